import Testing

@testable import HTTPServer

/// Everything the parser makes of `text`, fed in pieces of `step` bytes: outcomes other than `needsMore`.
func outcomes(_ text: [UInt8], step: Int, limits: HTTPLimits = HTTPLimits()) -> [HTTPRequestParser.Outcome] {
    var parser = HTTPRequestParser(limits: limits, peer: "192.0.2.1")
    var found: [HTTPRequestParser.Outcome] = []
    var index = 0
    while index < text.count {
        let end = min(index + step, text.count)
        text.withUnsafeBytes { parser.append(UnsafeRawBufferPointer(rebasing: $0[index..<end])) }
        index = end
        while true {
            let outcome = parser.next()
            if outcome == .needsMore { break }
            found.append(outcome)
            if case .failed = outcome { return found }
        }
    }
    return found
}

func requests(_ text: String, step: Int) -> [HTTPRequest] {
    outcomes(Array(text.utf8), step: step).compactMap { outcome in
        guard case .request(let request) = outcome else { return nil }
        return request
    }
}

/// Byte by byte, cut at odd places, and whole: the outcome must not depend on how the network cuts a request.
let feedingSteps = [1, 7, 1 << 20]

@Suite struct ParserTests {
    struct Good: Sendable, CustomTestStringConvertible {
        let text: String
        let method: String
        let path: String
        var query = ""
        var version = HTTPVersion.http11
        var keepsAlive = true
        var body = ""
        var testDescription: String { String(text.prefix(60)).debugDescription }

        init(_ text: String, _ method: String, _ path: String, query: String = "", body: String = "") {
            self.text = text
            self.method = method
            self.path = path
            self.query = query
            self.body = body
        }

        func old(keepsAlive: Bool) -> Good {
            var copy = self
            copy.version = .http10
            copy.keepsAlive = keepsAlive
            return copy
        }

        func closing() -> Good {
            var copy = self
            copy.keepsAlive = false
            return copy
        }
    }

    /// A query of so many pairs.
    static func many(_ count: Int) -> String { (0..<count).map { "a\($0)" }.joined(separator: "&") }

    static let good: [Good] = [
        Good("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/"),
        Good("OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS", "/").old(keepsAlive: false),
        Good("OPTIONS / HTTP/1.1\r\n\r\n", "OPTIONS", "/"),
        Good("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*"),
        Good("HEAD /primary HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD", "/primary"),
        Good("GET /replica?lag=10MB&tag_a=b HTTP/1.1\r\n\r\n", "GET", "/replica", query: "lag=10MB&tag_a=b"),
        Good("GET //primary HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/primary"),
        Good("GET ///a//b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a//b"),
        Good("GET /a%20%2fb%C3%A9 HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a%20%2fb%C3%A9"),
        Good("GET /%zz%4%00 HTTP/1.1\r\n\r\n", "GET", "/%zz%4%00"),
        Good("GET /?\(many(32)) HTTP/1.1\r\n\r\n", "GET", "/", query: many(32)),
        Good("GET /\u{E9}?tag_x=\u{E9} HTTP/1.1\r\n\r\n", "GET", "/\u{E9}", query: "tag_x=\u{E9}"),
        Good("GET http://h:8008/x?y=1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET", "/x", query: "y=1"),
        Good("GET HTTPS://h HTTP/1.1\r\nHost: h\r\n\r\n", "GET", "/"),
        Good("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n", "GET", "/", query: "q"),
        Good("BREW-2 /pot HTTP/1.1\r\nHost: h\r\n\r\n", "BREW-2", "/pot"),
        Good("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", "CONNECT", "h:1"),
        Good("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/"),
        Good("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/").old(keepsAlive: true),
        Good("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET", "/").old(keepsAlive: false),
        Good("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", "GET", "/").closing(),
        Good("POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "POST", "/x", body: "hello"),
        Good("POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "POST", "/x"),
        Good("POST /x HTTP/1.1\r\ncontent-length:  005 \t\r\n\r\nhello", "POST", "/x", body: "hello"),
        Good(
            "POST /x HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n00A;n=\"v\"\r\n, world!!!\r\n0\r\n\r\n",
            "POST", "/x", body: "hello, world!!!"),
        Good(
            "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer-Field: x\r\n\r\n",
            "POST", "/x", body: "a"),
    ]

    @Test(arguments: good, feedingSteps)
    func wellFormedRequestsComeOut(_ good: Good, step: Int) throws {
        let all = requests(good.text, step: step)
        #expect(all.count == 1)
        let request = try #require(all.first)
        #expect(request.method == good.method)
        #expect(request.path == good.path)
        #expect(request.query == good.query)
        #expect(request.version == good.version)
        #expect(request.keepsAlive == good.keepsAlive)
        #expect(String(decoding: request.body, as: UTF8.self) == good.body)
        #expect(request.peer == "192.0.2.1")
    }

    @Test(arguments: feedingSteps)
    func pipelinedRequestsComeOutInOrder(step: Int) {
        let text =
            "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
            + "POST /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\nGET /4 HTTP/1.0\r\n\r\n"
        let all = requests(text, step: step)
        #expect(all.map(\.path) == ["/1", "/2", "/3", "/4"])
        #expect(all.map { String(decoding: $0.body, as: UTF8.self) } == ["", "abc", "de", ""])
        #expect(all.map(\.headers.count) == [0, 1, 1, 0])
    }

    @Test(arguments: feedingSteps)
    func headersKeepOrderAndAreFoundWithoutCase(step: Int) throws {
        let text = "GET / HTTP/1.1\r\nX-B: 1\r\nx-a:\t two words \r\nX-b: 3\r\nEmpty:\r\nHost:\r\n\r\n"
        let request = try #require(requests(text, step: step).first)
        #expect(request.headers.all.map(\.name) == ["X-B", "x-a", "X-b", "Empty", "Host"])
        #expect(request.headers["x-b"] == "1")
        #expect(request.headers["X-A"] == "two words")
        #expect(request.headers["EMPTY"] == "")
        #expect(request.headers.values("X-B") == ["1", "3"])
        #expect(request.headers["absent"] == nil)
        #expect(request.headers.contains("EMPTY"))
    }

    @Test func anExpectationIsToldOnceAndOnlyWhileTheClientWaits() throws {
        let head = "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
        var parser = HTTPRequestParser()
        Array(head.utf8).withUnsafeBytes { parser.append($0) }
        #expect(parser.next() == .sendContinue)
        #expect(parser.next() == .needsMore)
        #expect(parser.isMidRequest)
        Array("ab".utf8).withUnsafeBytes { parser.append($0) }
        guard case .request(let request) = parser.next() else {
            Issue.record("the body was there and no request came out")
            return
        }
        #expect(request.body == Array("ab".utf8))
        #expect(!parser.isMidRequest)
        #expect(outcomes(Array((head + "ab").utf8), step: 1 << 20).count == 1)
        #expect(outcomes(Array(head.replacing("1.1", with: "1.0").utf8), step: 1 << 20).isEmpty)
    }

    @Test func amountsAtTheirBoundsAreServed() {
        let target = "/" + String(repeating: "a", count: 8192 - "GET / HTTP/1.1".utf8.count)
        let line = "X: " + String(repeating: "v", count: 8192 - 3)
        let many = (0..<100).map { "H\($0): v\r\n" }.joined()
        let body = String(repeating: "b", count: 1 << 20)
        let chunk = "80000\r\n" + String(repeating: "c", count: 0x80000) + "\r\n"
        for text in [
            "GET \(target) HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\(line)\r\n\r\n", "GET / HTTP/1.1\r\n\(many)\r\n",
            "POST / HTTP/1.1\r\nContent-Length: \(1 << 20)\r\n\r\n\(body)",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)\(chunk)0\r\n\r\n",
        ] {
            #expect(requests(text, step: 64 << 10).count == 1, "\(text.prefix(40))")
        }
    }

    @Test func queriesAreFormDecoded() throws {
        let request = try HTTPRequest(method: "GET", target: "/replica?lag=&a=1%202+3&a=4&b&c=100%&=x&lag=5")
        let pairs = request.queryItems.map { "\($0.name)=\($0.value)" }
        #expect(pairs == ["lag=", "a=1 2 3", "a=4", "b=", "c=100%", "=x", "lag=5"])
        #expect(request.queryValue("lag") == "5")
        #expect(request.queryValue("a") == "1 2 3")
        #expect(request.queryValue("b") == nil)
    }
}
