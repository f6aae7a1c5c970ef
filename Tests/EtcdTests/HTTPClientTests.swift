import ClusterModel
import Glibc
import HTTPClient
import Posix
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1)))
struct HTTPClientTests {
    private func withClient(
        _ script: @escaping @Sendable (StubServer.Connection) -> Void,
        _ body: (HTTPClient, StubServer) async throws -> Void
    ) async throws {
        let server = try StubServer(script)
        let client = try HTTPClient(name: "test")
        defer {
            client.shutdown()
            server.stop()
        }
        try await body(client, server)
    }

    @Test func requestsArriveWholeOverOneConnection() async throws {
        let seen = Mutex<[String]>([])
        let record: @Sendable (StubServer.Connection) -> Void = { connection in
            while let request = connection.readRequest() {
                seen.withLock { $0.append(request) }
                connection.respond(request.hasPrefix("GET") ? 503 : 200, "answer")
            }
        }
        try await withClient(record) { client, server in
            var request = HTTPClientRequest(url: server.url + "/a?b=c", headers: [("X-One", "1")])
            request.credentials = BasicCredentials(username: "u", password: "p")
            let first = try await client.send(request, deadline: soon())
            #expect(first == HTTPClientResponse(status: 503, body: Array("answer".utf8)))
            let big = String(repeating: "x", count: 2 << 20)
            let put = HTTPClientRequest(method: "PUT", url: server.url + "/", body: Array(big.utf8))
            #expect(try await client.send(put, deadline: soon()).status == 200)
            #expect(server.acceptedCount == 1)
        }
        let requests = seen.withLock { $0 }
        #expect(requests[0].hasPrefix("GET /a?b=c HTTP/1.1\r\n"))
        for part in ["X-One: 1\r\n", "Authorization: Basic dTpw\r\n", "User-Agent: Matriarch\r\n"] {
            #expect(requests[0].contains(part))
        }
        #expect(requests[1].hasPrefix("PUT / HTTP/1.1\r\n"))
        #expect(!requests[1].lowercased().contains("expect:") && !requests[1].lowercased().contains("content-type:"))
        #expect(requests[1].utf8.count > 2 << 20)
    }

    @Test func nobodyListens() async throws {
        let port = try freePorts(1)[0]
        let client = try HTTPClient()
        defer { client.shutdown() }
        let error = await #expect(throws: HTTPClientError.self) {
            try await client.send(HTTPClientRequest(url: "http://127.0.0.1:\(port)/"), deadline: soon())
        }
        guard case .notConnected? = error else { return #expect(Bool(false), "\(String(describing: error))") }
        #expect(error?.mayHaveBeenSent == false)
    }

    @Test func theDeadlineEndsARequest() async throws {
        try await withClient(hanging) { client, server in
            let start = BootClock.now()
            let error = await #expect(throws: HTTPClientError.self) {
                try await client.send(HTTPClientRequest(url: server.url), deadline: start + .milliseconds(200))
            }
            guard case .timedOut? = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(BootClock.now() - start >= .milliseconds(200))
        }
    }

    @Test func cancellationEndsARequest() async throws {
        try await withClient(hanging) { client, server in
            let task = Task {
                await #expect(throws: HTTPClientError.cancelled) {
                    try await client.send(HTTPClientRequest(url: server.url), deadline: soon(.seconds(50)))
                }
            }
            try await eventually("the request is under way") { server.acceptedCount == 1 }
            task.cancel()
            _ = await task.value
            let early = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                await #expect(throws: HTTPClientError.cancelled) {
                    try await client.send(HTTPClientRequest(url: server.url), deadline: soon(.seconds(50)))
                }
            }
            _ = await early.value
        }
    }

    @Test func shutdownEndsWhatIsUnderWay() async throws {
        try await withClient(hanging) { client, server in
            let task = Task {
                await #expect(throws: HTTPClientError.closed) {
                    try await client.send(HTTPClientRequest(url: server.url), deadline: soon(.seconds(50)))
                }
            }
            try await eventually("the request is under way") { server.acceptedCount == 1 }
            client.shutdown()
            _ = await task.value
            await #expect(throws: HTTPClientError.closed) {
                try await client.send(HTTPClientRequest(url: server.url), deadline: soon())
            }
        }
    }

    @Test func aBodyIsBounded() async throws {
        let answer: @Sendable (StubServer.Connection) -> Void = { connection in
            while connection.readRequest() != nil { connection.respond(200, String(repeating: "x", count: 1001)) }
        }
        try await withClient(answer) { client, server in
            let fits = HTTPClientRequest(url: server.url, bodyLimit: 1001)
            let whole = try await client.send(fits, deadline: soon())
            #expect(whole.body.count == 1001)
            await #expect(throws: HTTPClientError.tooLarge(limit: 1000)) {
                try await client.send(HTTPClientRequest(url: server.url, bodyLimit: 1000), deadline: soon())
            }
        }
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"])
    func aBrokenAnswerIsAnError(_ text: String) async throws {
        let answer: @Sendable (StubServer.Connection) -> Void = { connection in
            _ = connection.readRequest()
            connection.write(text)
        }
        try await withClient(answer) { client, server in
            let error = await #expect(throws: HTTPClientError.self) {
                try await client.send(HTTPClientRequest(url: server.url), deadline: soon())
            }
            guard case .interrupted? = error else { return #expect(Bool(false), "\(String(describing: error))") }
        }
    }

    @Test func aRequestThatWentOutTwiceSaysSo() async throws {
        let counts = Mutex<[String: Int]>([:])
        let script: @Sendable (StubServer.Connection) -> Void = { connection in
            while let request = connection.readRequest() {
                let path = String(request.split(separator: " ")[1])
                let count = counts.withLock { counts in
                    counts[path, default: 0] += 1
                    return counts[path] ?? 0
                }
                // The kept connection ends under the second request, after it was read.
                if path == "/second", count == 1 { return }
                connection.respond(200, String(count))
            }
        }
        try await withClient(script) { client, server in
            func post(_ path: String) async throws -> HTTPClientResponse {
                let body = Array("body".utf8)
                return try await client.send(
                    HTTPClientRequest(method: "POST", url: server.url + path, body: body), deadline: soon())
            }
            let first = try await post("/first")
            #expect(!first.wasResent)
            let second = try await post("/second")
            #expect(second.wasResent && second.body == Array("2".utf8))
        }
    }

    @Test func aThousandRequestsAtOnce() async throws {
        let answer: @Sendable (StubServer.Connection) -> Void = { connection in
            while let request = connection.readRequest() {
                connection.respond(200, String(request.split(separator: " ")[1]))
            }
        }
        try await withClient(answer) { client, server in
            try await withThrowingTaskGroup { group in
                for worker in 0..<20 {
                    group.addTask {
                        for number in 0..<50 {
                            let request = HTTPClientRequest(url: "\(server.url)/\(worker)-\(number)")
                            let answer = try await client.send(request, deadline: soon(.seconds(30)))
                            #expect(String(decoding: answer.body, as: UTF8.self) == "/\(worker)-\(number)")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
