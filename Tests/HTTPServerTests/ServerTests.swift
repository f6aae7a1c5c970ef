import HTTPServer
import Posix
import Synchronization
import Testing

/// The server over real sockets: one request after another, and in the ways that clients send them.
@Suite(.timeLimit(.minutes(1))) struct ServerTests {
    @Test func aConnectionIsKeptForHTTP11() async throws {
        try await withServer { port, _, _ in
            let answers = try await offPool {
                let client = try TestClient(port: port)
                return try (0..<3).map { index in
                    try client.send("GET /echo?\(index) HTTP/1.1\r\nHost: a\r\n\r\n")
                    return try client.response()
                }
            }
            #expect(answers.map(\.body) == (0..<3).map { "GET /echo?\($0) 127.0.0.1 0" })
            #expect(answers.allSatisfy { $0.statusLine == "HTTP/1.1 200 OK" && $0.header("Connection") == nil })
            #expect(answers.allSatisfy { $0.header("Date")?.hasSuffix(" GMT") == true })
            #expect(answers.allSatisfy { $0.header("Server") == "Matriarch" })
        }
    }

    @Test func aConnectionIsClosedForHTTP10() async throws {
        try await withServer { port, _, _ in
            let (full, bare, kept) = try await offPool {
                let full = try TestClient(port: port)
                try full.send("GET /health HTTP/1.0\r\n\r\n")
                let bare = try TestClient(port: port)
                try bare.send("OPTIONS /bare HTTP/1.0\r\n\r\n")
                let kept = try TestClient(port: port)
                try kept.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                let first = try kept.response()
                try kept.send("GET /echo HTTP/1.0\r\n\r\n")
                return (try full.untilEnd(), try bare.untilEnd(), [first.head, try kept.untilEnd()])
            }
            #expect(full.hasPrefix("HTTP/1.0 200 OK\r\n") && full.hasSuffix("\r\n\r\nhealthy"))
            #expect(bare == "HTTP/1.0 200 OK\r\n\r\n")
            #expect(kept[0].contains("Connection: keep-alive\r\n"))
            #expect(kept[1].hasSuffix("GET /echo 127.0.0.1 0"))
        }
    }

    @Test func aClientThatEndsItsSideAfterTheRequestIsAnswered() async throws {
        try await withServer { port, _, _ in
            let answer = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /health HTTP/1.1\r\n\r\n")
                client.endSending()
                return try client.untilEnd()
            }
            #expect(answer.hasSuffix("\r\n\r\nhealthy"))
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrderAlsoAroundATask() async throws {
        try await withServer { port, _, _ in
            let bodies = try await offPool {
                let client = try TestClient(port: port)
                let paths = ["/echo?1", "/later?2", "/later?3", "/echo?4", "/health"]
                try client.send(paths.map { "GET \($0) HTTP/1.1\r\n\r\n" }.joined())
                return try paths.map { _ in try client.response().body }
            }
            #expect(
                bodies == [
                    "GET /echo?1 127.0.0.1 0", "later /later?2", "later /later?3", "GET /echo?4 127.0.0.1 0", "healthy",
                ])
        }
    }

    @Test func manyPipelinedRequestsAreAllAnswered() async throws {
        try await withServer { port, _, _ in
            let count = try await offPool {
                let client = try TestClient(port: port)
                // More answers than are gathered at once, and more than a socket takes unread.
                let batch = String(repeating: "GET /health HTTP/1.1\r\n\r\n", count: 5000)
                try client.send(batch)
                for _ in 0..<5000 where try client.response().status != 200 { throw ClientError("not 200") }
                return client.buffer.count
            }
            #expect(count == 0)
        }
    }

    @Test func headHasTheLengthAndNoBody() async throws {
        try await withServer { port, _, _ in
            let (head, next) = try await offPool {
                let client = try TestClient(port: port)
                try client.send("HEAD /health HTTP/1.1\r\n\r\nGET /echo HTTP/1.1\r\n\r\n")
                return (try client.response(head: true), try client.response())
            }
            #expect(head.header("Content-Length") == "7")
            #expect(next.body == "GET /echo 127.0.0.1 0")
        }
    }

    @Test func bodiesArriveWholeHoweverTheyAreSent() async throws {
        try await withServer { port, _, _ in
            let large = String(repeating: "y", count: 1 << 20)
            let answers = try await offPool {
                let client = try TestClient(port: port)
                try client.send(
                    "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
                let chunked = try client.response().body
                try client.send("POST /body HTTP/1.1\r\nContent-Length: \(large.utf8.count)\r\n\r\n\(large)")
                return [chunked, try client.response().body]
            }
            #expect(answers[0] == "abcde")
            #expect(answers[1] == large)
        }
    }

    @Test func aWaitingClientIsToldToContinue() async throws {
        try await withServer { port, _, _ in
            let (interim, final) = try await offPool {
                let client = try TestClient(port: port)
                try client.send("POST /body HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
                let interim = try client.response()
                try client.send("ok")
                return (interim, try client.response())
            }
            #expect(interim.statusLine == "HTTP/1.1 100 Continue")
            #expect(final.body == "ok")
        }
    }

    @Test(arguments: [
        ("GET / HTTP/3.0\r\n\r\n", 505), ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", 413), ("BREW / HTTP/1.1\r\n\r\n", 501),
    ])
    func refusalsAreToldAndEndTheConnection(_ request: String, status: Int) async throws {
        try await withServer { port, _, _ in
            let answer = try await offPool {
                let client = try TestClient(port: port)
                try client.send(request)
                return try client.untilEnd()
            }
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
            #expect(answer.contains("Connection: close\r\n"))
            #expect(answer.contains("Error code: \(status)"))
        }
    }

    @Test func aRefusalSpeaksTheClientsVersion() async throws {
        try await withServer { port, _, _ in
            let answer = try await offPool {
                let client = try TestClient(port: port)
                try client.send("POST / HTTP/1.0\r\nContent-Length: x\r\n\r\n")
                return try client.untilEnd()
            }
            #expect(answer.hasPrefix("HTTP/1.0 400 Bad Request\r\n"))
        }
    }

    @Test func aClientThatGoesOnSendingReadsWhyItWasRefused() async throws {
        try await withServer { port, _, _ in
            let answer = try await offPool {
                let client = try TestClient(port: port)
                try client.send(
                    "POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + String(repeating: "z", count: 2_000_000))
                return try client.untilEnd()
            }
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
        }
    }

    @Test func aLargeAnswerReachesASlowReader() async throws {
        try await withServer { port, _, _ in
            let length = try await offPool {
                let client = try TestClient(port: port, receiveBuffer: 4096)
                try client.send("GET /large HTTP/1.1\r\n\r\nGET /echo HTTP/1.1\r\n\r\n")
                let large = try client.response().body.utf8.count
                return (large, try client.response().body)
            }
            #expect(length == (8 << 20, "GET /echo 127.0.0.1 0"))
        }
    }

    @Test func everyAnsweredRequestIsLogged() async throws {
        let entries = Mutex<[HTTPAccess]>([])
        let log: @Sendable (HTTPAccess) -> Void = { entry in entries.withLock { $0.append(entry) } }
        try await withServer {
            $0.accessLog = log
        } _: { port, _, _ in
            try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /health HTTP/1.1\r\n\r\nGET /later HTTP/1.1\r\n\r\nPUT /x HTTP/1.0\r\n\r\n")
                _ = try client.untilEnd()
            }
        }
        let seen = entries.withLock { $0 }
        #expect(
            seen.map { "\($0.peer) \($0.method) \($0.target) \($0.version.text) \($0.status)" } == [
                "127.0.0.1 GET /health HTTP/1.1 200", "127.0.0.1 GET /later HTTP/1.1 200",
                "127.0.0.1 PUT /x HTTP/1.0 501",
            ])
        #expect(seen.allSatisfy { $0.latency >= .zero })
    }

    @Test func allInterfacesMeansIPv4TooAndShowsPlainAddresses() async throws {
        try await withServer {
            $0.listen = [ListenAddress(host: "*", port: 0)]
        } _: { port, _, _ in
            let answer = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /echo HTTP/1.0\r\n\r\n")
                return try client.untilEnd()
            }
            #expect(answer.hasSuffix("GET /echo 127.0.0.1 0"))
        }
    }
}
