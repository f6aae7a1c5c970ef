import HTTPServer
import Testing

/// Answers without a known end.
@Suite(.timeLimit(.minutes(1))) struct StreamTests {
    @Test(arguments: ["HTTP/1.0", "HTTP/1.1"]) func aStreamEndsWithTheConnection(_ version: String) async throws {
        try await withServer { port, _, _ in
            let text = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /stream \(version)\r\nConnection: keep-alive\r\n\r\nGET /health HTTP/1.1\r\n\r\n")
                return try client.untilEnd()
            }
            #expect(text.hasPrefix("\(version) 200 OK\r\n") && text.hasSuffix("\r\n\r\nabc"))
            #expect(text.contains("Connection: close\r\n") && !text.contains("Content-Length"))
        }
    }

    @Test func whatIsWrittenArrivesAtOnceAndTheClientsEndEndsIt() async throws {
        try await withServer { port, handler, _ in
            try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /stream/open HTTP/1.1\r\n\r\n")
                while !String(decoding: client.buffer, as: UTF8.self).hasSuffix("first") { _ = try client.receive() }
            }
            // The client is gone with its scope.
            await handler.untilFinished(1)
        }
    }

    @Test func aClientThatDoesNotKeepUpIsLetGo() async throws {
        try await withServer { port, handler, _ in
            let client = try await offPool { () -> Held in
                let client = try TestClient(port: port, receiveBuffer: 4096)
                try client.send("GET /stream/flood HTTP/1.1\r\n\r\n")
                return Held(client)
            }
            await handler.untilFinished(1)
            withExtendedLifetime(client) {}
        }
    }

    /// At the bound the client with most loses its oldest, so that nobody holds them all.
    @Test func theClientWithMostStreamsLosesItsOldest() async throws {
        try await withServer {
            $0.streamsMax = 3
        } _: { port, handler, _ in
            let (ended, kept) = try await offPool {
                func open(from last: UInt8) throws -> TestClient {
                    let client = try TestClient(port: port, from: last)
                    try client.send("GET /stream/open HTTP/1.1\r\n\r\n")
                    while !String(decoding: client.buffer, as: UTF8.self).hasSuffix("first") {
                        _ = try client.receive()
                    }
                    return client
                }
                let greedy = try [open(from: 2), open(from: 2)]
                let modest = try open(from: 3)
                // The third has none yet; the second of the greedy one is then one among three.
                let late = try open(from: 4)
                _ = try greedy[0].untilEnd()
                // Now all have one. Who has one already loses that for the next.
                let again = try open(from: 3)
                _ = try modest.untilEnd()
                return (2, [greedy[1], late, again].filter { !$0.hasInput() }.count)
            }
            #expect(ended == 2 && kept == 3)
            await handler.untilFinished(5)
        }
    }

    @Test func streamsAreBoundedAndOtherRequestsAreNot() async throws {
        try await withServer {
            $0.streamsMax = 1
        } _: { port, handler, server in
            let held = try await offPool { () -> Held in
                let client = try TestClient(port: port)
                try client.send("GET /stream/open HTTP/1.1\r\n\r\n")
                return Held(client)
            }
            await handler.untilStarted(1)
            let answers = try await offPool {
                let second = try TestClient(port: port)
                try second.send("GET /later HTTP/1.1\r\n\r\n")
                return try second.response().status
            }
            #expect(answers == 200)
            // A stop does not wait for a stream.
            await server.stop(drain: .seconds(50))
            await handler.untilFinished(1)
            withExtendedLifetime(held) {}
        }
    }

    /// A client that is kept from one thread to another; only one uses it at a time.
    private final class Held: @unchecked Sendable {
        // Used by the thread that made it, then only kept.
        private let client: TestClient
        init(_ client: TestClient) { self.client = client }
    }
}
