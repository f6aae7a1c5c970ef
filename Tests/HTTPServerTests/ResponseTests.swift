import Testing

@testable import HTTPServer

@Suite struct ResponseTests {
    private let stamp = {
        var stamp = ResponseStamp(server: "s")
        stamp.refresh(secondsSinceEpoch: 0)
        return stamp
    }()

    private func bytes(
        _ response: HTTPResponse, _ version: HTTPVersion = .http11, head: Bool = false, keep: Bool = true
    ) -> String {
        var output: [UInt8] = []
        ResponseWriter.append(
            response, form: .init(version: version, omitsBody: head, keepsAlive: keep), stamp: stamp, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    @Test func theFormFollowsTheRequest() {
        let response = HTTPResponse(status: 200, headers: ["Content-Type": "text/html"], body: Array("hi".utf8))
        let head =
            " 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\nServer: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        #expect(bytes(response) == "HTTP/1.1\(head)\r\nhi")
        #expect(bytes(response, head: true) == "HTTP/1.1\(head)\r\n")
        #expect(bytes(response, keep: false) == "HTTP/1.1\(head)Connection: close\r\n\r\nhi")
        #expect(bytes(response, .http10) == "HTTP/1.0\(head)Connection: keep-alive\r\n\r\nhi")
        #expect(bytes(response, .http10, keep: false) == "HTTP/1.0\(head)Connection: close\r\n\r\nhi")
    }

    @Test func theBareAnswerIsThePeersToAClientOfHTTP10() {
        #expect(bytes(.bare(200), .http10, keep: false) == "HTTP/1.0 200 OK\r\n\r\n")
        #expect(bytes(.bare(503), .http10, head: true, keep: false) == "HTTP/1.0 503 Service Unavailable\r\n\r\n")
        #expect(bytes(.bare(200)) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(
            bytes(.bare(200), .http10) == "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
        #expect(bytes(.bare(200), keep: false) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    }

    @Test func prerenderedAnswersAreTheSameBytes() {
        let all: [HTTPResponse] = [
            .bare(200), .text(503, "{}", type: "application/json"), .stockError(501), .text(204, ""),
        ]
        for response in all {
            let rendered = response.prerendered()
            #expect(rendered == response)
            #expect(bytes(rendered) == bytes(response))
        }
        var changed = HTTPResponse.text(200, "a").prerendered()
        changed.status = 503
        changed.body = Array("longer".utf8)
        #expect(bytes(changed) == bytes(.text(503, "longer")))
    }

    @Test(arguments: [204, 304])
    func statusesWithoutABodyHaveNoLength(status: Int) {
        let text = bytes(.text(status, "body"))
        #expect(!text.contains("Content-Length"))
        #expect(text.hasSuffix("\r\n\r\n"))
    }

    @Test func stockErrorsCarryTheThreeLines() {
        let response = HTTPResponse.stockError(501, message: "Unsupported method ('DELETE')")
        let text = bytes(response, .http10, keep: false)
        #expect(text.hasPrefix("HTTP/1.0 501 Unsupported method ('DELETE')\r\n"))
        #expect(text.contains("Content-Type: text/html;charset=utf-8\r\n"))
        #expect(text.contains("Connection: close\r\n"))
        #expect(text.contains("Error code: 501"))
        #expect(text.contains("Message: Unsupported method ('DELETE')."))
        #expect(text.contains("Error code explanation: 501 - Server does not support this operation."))
        #expect(response.closesConnection)
        let escaped = String(decoding: HTTPResponse.stockError(400, message: "<a&b>").body, as: UTF8.self)
        #expect(escaped.contains("Message: &lt;a&amp;b&gt;."))
    }

    @Test func nothingInAHeaderCanEndIt() {
        let response = HTTPResponse(
            status: 200, reason: "O\r\nK", headers: ["A": "b\r\nEvil: 1\0", "B d": "x", "": "y", "C": "z"])
        #expect(
            bytes(response)
                == "HTTP/1.1 200 O  K\r\nA: b  Evil: 1 \r\nC: z\r\nContent-Length: 0\r\nServer: s\r\n"
                + "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n")
    }

    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
    ])
    func dates(_ seconds: Int, _ text: String) {
        #expect(HTTPDate.text(secondsSinceEpoch: seconds) == text)
    }
}
