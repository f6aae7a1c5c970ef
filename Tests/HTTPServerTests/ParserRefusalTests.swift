import Testing

@testable import HTTPServer

@Suite struct ParserRefusalTests {
    struct Bad: Sendable, CustomTestStringConvertible {
        let name: String
        let status: Int
        let bytes: [UInt8]
        var testDescription: String { name }

        init(_ name: String, _ status: Int, _ text: String) {
            self.name = name
            self.status = status
            bytes = Array(text.utf8)
        }
    }

    private static func get(_ header: String) -> String { "GET / HTTP/1.1\r\n\(header)\r\n\r\n" }
    private static func post(_ header: String, _ body: String) -> String {
        "POST / HTTP/1.1\r\n\(header)\r\n\r\n\(body)"
    }
    private static func chunked(_ body: String) -> String { post("Transfer-Encoding: chunked", body) }
    private static func long(_ count: Int) -> String { String(repeating: "a", count: count) }

    static let requestLines: [Bad] = [
        Bad("binary", 400, "\u{16}\u{03}\u{01}\u{02}"),
        Bad("leading space", 400, " GET / HTTP/1.1\r\n\r\n"),
        Bad("method is no token", 400, "GE(T / HTTP/1.1\r\n\r\n"),
        Bad("no version", 400, "GET /\r\n\r\n"),
        Bad("no target", 400, "GET  HTTP/1.1\r\n\r\n"),
        Bad("two spaces", 400, "GET  / HTTP/1.1\r\n\r\n"),
        Bad("space in the target", 400, "GET /a b HTTP/1.1\r\n\r\n"),
        Bad("trailing space", 400, "GET / HTTP/1.1 \r\n\r\n"),
        Bad("tab as separator", 400, "GET\t/ HTTP/1.1\r\n\r\n"),
        Bad("relative target", 400, "GET primary HTTP/1.1\r\n\r\n"),
        Bad("asterisk without OPTIONS", 400, "GET * HTTP/1.1\r\n\r\n"),
        Bad("absolute target without host", 400, "GET http:///x HTTP/1.1\r\n\r\n"),
        Bad("foreign scheme", 400, "GET ftp://h/x HTTP/1.1\r\n\r\n"),
        Bad("NUL in the target", 400, "GET /\0 HTTP/1.1\r\n\r\n"),
        Bad("33 pairs in a query", 400, "GET /?\(ParserTests.many(33)) HTTP/1.1\r\n\r\n"),
        Bad("as many empty pairs", 400, "GET /?\(String(repeating: "&", count: 32)) HTTP/1.1\r\n\r\n"),
        Bad("lower-case version", 400, "GET / http/1.1\r\n\r\n"),
        Bad("version without minor", 400, "GET / HTTP/1\r\n\r\n"),
        Bad("HTTP/1.2", 505, "GET / HTTP/1.2\r\n\r\n"),
        Bad("HTTP/0.9", 505, "GET / HTTP/0.9\r\n\r\n"),
        Bad("the preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Bad("bare LF", 400, "GET / HTTP/1.1\nHost: a\n\n"),
        Bad("CR within the line", 400, "GET /\rx HTTP/1.1\r\n\r\n"),
        Bad("too many empty lines", 400, "\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        Bad("line too long", 414, "GET /\(long(8200)) HTTP/1.1\r\n\r\n"),
        Bad("line without an end", 414, long(9000)),
    ]

    static let headers: [Bad] = [
        Bad("folded line", 400, get("A: b\r\n c")),
        Bad("folded first line", 400, get(" A: b")),
        Bad("space before the colon", 400, get("Host : a")),
        Bad("no colon", 400, get("Host")),
        Bad("no name", 400, get(": a")),
        Bad("name is no token", 400, get("A(b: c")),
        Bad("NUL in a value", 400, get("A: b\0c")),
        Bad("control character in a value", 400, get("A: b\u{07}c")),
        Bad("CR in a value", 400, get("A: b\rc")),
        Bad("bare LF in a header", 400, get("A: b\nC: d")),
        Bad("bare LF at the end", 400, "GET / HTTP/1.1\r\nA: b\r\n\n"),
        Bad("two Hosts", 400, get("Host: a\r\nHost: a")),
        Bad("header line too long", 431, get("A: \(long(8200))")),
        Bad("header line without an end", 431, "GET / HTTP/1.1\r\n\(long(9000))"),
        Bad("101 fields", 431, get((0...100).map { "H\($0): v" }.joined(separator: "\r\n"))),
        Bad("header too large", 431, get((0..<20).map { "H\($0): \(long(4000))" }.joined(separator: "\r\n"))),
        Bad("other expectation", 417, get("Expect: tea")),
    ]

    static let bodies: [Bad] = [
        Bad("length and coding", 400, post("Content-Length: 3\r\nTransfer-Encoding: chunked", "abc")),
        Bad("coding and length", 400, post("Transfer-Encoding: chunked\r\nContent-Length: 3", "abc")),
        Bad("length twice", 400, post("Content-Length: 3\r\nContent-Length: 3", "abc")),
        Bad("length list", 400, post("Content-Length: 3, 3", "abc")),
        Bad("positive length", 400, post("Content-Length: +3", "abc")),
        Bad("negative length", 400, post("Content-Length: -3", "abc")),
        Bad("hexadecimal length", 400, post("Content-Length: 0x3", "abc")),
        Bad("empty length", 400, post("Content-Length:", "abc")),
        Bad("length with a space inside", 400, post("Content-Length: 1 1", "abc")),
        Bad("length over the bound", 413, post("Content-Length: \((1 << 20) + 1)", "")),
        Bad("length over everything", 413, post("Content-Length: 99999999999999999999999999", "")),
        Bad("unknown coding", 501, post("Transfer-Encoding: gzip", "")),
        Bad("unknown coding before chunked", 501, post("Transfer-Encoding: gzip, chunked", "")),
        Bad("identity", 501, post("Transfer-Encoding: identity", "")),
        Bad("hidden coding", 501, post("Transfer-Encoding: xchunked", "")),
        Bad("coding twice", 400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
        Bad("coding in HTTP/1.0", 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Bad("chunk without size", 400, chunked("\r\n\r\n")),
        Bad("signed chunk", 400, chunked("+1\r\na\r\n0\r\n\r\n")),
        Bad("prefixed chunk", 400, chunked("0x1\r\na\r\n0\r\n\r\n")),
        Bad("chunk size with a space", 400, chunked("1 \r\na\r\n0\r\n\r\n")),
        Bad("chunk longer than told", 400, chunked("1\r\nab\r\n0\r\n\r\n")),
        Bad("chunk without CRLF", 400, chunked("1\r\nab0\r\n\r\n")),
        Bad("chunk with bare LF", 400, chunked("1\na\n0\n\n")),
        Bad("chunk extension too long", 400, chunked("1;\(long(300))\r\na\r\n0\r\n\r\n")),
        Bad("chunk over the bound", 413, chunked("100001\r\n")),
        Bad("chunk over everything", 413, chunked("fffffffffffffffffffffff\r\n")),
        Bad("bad trailer", 400, chunked("0\r\nA : b\r\n\r\n")),
        Bad("trailer too long", 431, chunked("0\r\n" + (0...100).map { "H\($0): v\r\n" }.joined() + "\r\n")),
    ]

    @Test(arguments: requestLines + headers + bodies, feedingSteps)
    func malformedRequestsAreRefused(_ bad: Bad, step: Int) {
        let last = outcomes(bad.bytes, step: step).last
        guard case .failed(let error) = last else {
            Issue.record("\(bad.name) was accepted: \(String(describing: last))")
            return
        }
        #expect(error.status == bad.status, "\(error)")
        #expect(!error.detail.isEmpty)
    }

    @Test func chunksTogetherAreBounded() {
        let half = "80000\r\n" + String(repeating: "c", count: 0x80000) + "\r\n"
        let last = outcomes(Array(ParserRefusalTests.chunked(half + half + "1\r\n").utf8), step: 64 << 10).last
        guard case .failed(let error) = last else {
            Issue.record("more than the bound was accepted")
            return
        }
        #expect(error.status == 413)
    }

    @Test func aRefusalIsFinal() {
        var parser = HTTPRequestParser()
        Array("GET / HTTP/3.0\r\n\r\nGET / HTTP/1.1\r\n\r\n".utf8).withUnsafeBytes { parser.append($0) }
        let first = parser.next()
        #expect(parser.next() == first)
        Array("GET / HTTP/1.1\r\n\r\n".utf8).withUnsafeBytes { parser.append($0) }
        #expect(parser.next() == first)
        #expect(!parser.isMidRequest)
    }
}
