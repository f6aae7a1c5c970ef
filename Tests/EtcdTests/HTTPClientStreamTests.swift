import ClusterModel
import HTTPClient
import Posix
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1)))
struct HTTPClientStreamTests {
    private static let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    private func withStream(
        limit: Int = 1 << 20, idleLimit: Duration? = nil, opening: Duration = .seconds(10),
        _ script: @escaping @Sendable (StubServer.Connection) -> Void,
        _ body: (HTTPClientStream) async throws -> Void
    ) async throws {
        let server = try StubServer { connection in
            _ = connection.readRequest()
            script(connection)
        }
        let client = try HTTPClient(name: "test")
        defer {
            client.shutdown()
            server.stop()
        }
        let request = HTTPClientRequest(method: "POST", url: server.url, body: [], bodyLimit: limit)
        try await body(try await client.stream(request, deadline: soon(opening), idleLimit: idleLimit))
    }

    @Test func chunksComeAsTheyAreSentAndThenTheEnd() async throws {
        let script: @Sendable (StubServer.Connection) -> Void = { connection in
            connection.write(Self.head + "3\r\nabc\r\n")
            connection.write("2\r\nde\r\n0\r\n\r\n")
        }
        try await withStream(script) { stream in
            #expect(stream.status == 200)
            var text = ""
            while let bytes = try await stream.next() { text += String(decoding: bytes, as: UTF8.self) }
            #expect(text == "abcde")
            #expect(try await stream.next() == nil)
        }
    }

    @Test func aSlowReaderHoldsTheServerBack() async throws {
        let written = Mutex(0)
        let total = 64 << 20
        let script: @Sendable (StubServer.Connection) -> Void = { connection in
            let block = String(repeating: "x", count: 1 << 16)
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
            while written.withLock({ $0 }) < total {
                guard connection.write(block) else { return }
                written.withLock { $0 += block.utf8.count }
            }
        }
        try await withStream(limit: 1 << 20, script) { stream in
            // The server comes to a stand when the pipe and the sockets' buffers are full.
            var before = -1
            try await eventually("the server is held back") {
                let now = written.withLock { $0 }
                defer { before = now }
                if before == now, now > 0 { return true }
                try await Task.sleep(for: .milliseconds(300))
                return false
            }
            #expect(written.withLock { $0 } < total / 2)
            var received = 0
            while let bytes = try await stream.next() { received += bytes.count }
            #expect(received == total)
        }
    }

    @Test func aSilentServerFailsTheOpening() async throws {
        let error = await #expect(throws: HTTPClientError.self) {
            try await withStream(opening: .milliseconds(200), hanging) { _ in }
        }
        guard case .timedOut? = error else { return #expect(Bool(false), "\(String(describing: error))") }
    }

    @Test func silenceBeyondTheIdleLimitEndsTheStream() async throws {
        let script: @Sendable (StubServer.Connection) -> Void = { connection in
            connection.write(Self.head + "1\r\na\r\n")
            connection.hang()
        }
        try await withStream(idleLimit: .milliseconds(200), script) { stream in
            let first = try await stream.next()
            #expect(first == [0x61])
            let error = await #expect(throws: HTTPClientError.self) { try await stream.next() }
            guard case .timedOut? = error else { return #expect(Bool(false), "\(String(describing: error))") }
        }
    }

    @Test func cancellingEndsAReader() async throws {
        let script: @Sendable (StubServer.Connection) -> Void = { connection in
            connection.write(Self.head + "1\r\na\r\n")
            connection.hang()
        }
        try await withStream(script) { stream in
            let first = try await stream.next()
            #expect(first == [0x61])
            let reader = Task { await #expect(throws: HTTPClientError.cancelled) { try await stream.next() } }
            stream.cancel()
            _ = await reader.value
        }
    }

    @Test func aCutConnectionIsNotTheEnd() async throws {
        let script: @Sendable (StubServer.Connection) -> Void = { $0.write(Self.head + "5\r\nabc") }
        try await withStream(script) { stream in
            let error = await #expect(throws: HTTPClientError.self) {
                while try await stream.next() != nil {}
            }
            guard case .interrupted? = error else { return #expect(Bool(false), "\(String(describing: error))") }
        }
    }
}
