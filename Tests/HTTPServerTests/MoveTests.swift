import Glibc
import HTTPServer
import Logging
import Posix
import Testing

/// Another address for a server that runs (`restapi.listen` at a reload).
@Suite(.timeLimit(.minutes(1))) struct MoveTests {
    private static let get = "GET /echo HTTP/1.1\r\n\r\n"

    /// Whether somebody listens there and answers.
    private func answers(_ port: UInt16) async throws -> Bool {
        try await offPool {
            do {
                let client = try TestClient(port: port)
                try client.send(Self.get)
                return try client.response().status == 200
            } catch let error as SystemError {
                if error.code == connectionRefused { return false }
                throw error
            }
        }
    }

    @Test func theOldPortRefusesTheNewOneAnswersAndWhatIsOpenGoesOn() async throws {
        try await withServer { port, handler, server in
            let clients = try await offPool {
                let kept = HeldClient(try TestClient(port: port))
                try kept.exchange(Self.get)
                let busy = HeldClient(try TestClient(port: port))
                try busy.client.send("GET /gate HTTP/1.1\r\n\r\n")
                return (kept: kept, busy: busy)
            }
            await handler.untilStarted(1)
            let addresses = try await server.move(to: [ListenAddress(host: "127.0.0.1", port: 0)])
            let fresh = try #require(addresses.first?.port)
            #expect(fresh != port)
            #expect(try await answers(fresh))
            #expect(try await !answers(port))
            let again = try await offPool { try clients.kept.exchange(Self.get) }
            #expect(again.status == 200 && again.header("Connection") == nil)
            handler.open()
            let late = try await offPool { try clients.busy.client.response() }
            #expect(late.body == "gate")
        }
    }

    @Test func aPortInUseKeepsTheOldOne() async throws {
        try await withServer { taken, _, _ in
            try await withServer { port, _, server in
                let wanted = ListenAddress(host: "127.0.0.1", port: taken)
                // Also where only the second of two addresses cannot be had.
                for addresses in [[wanted], [ListenAddress(host: "127.0.0.1", port: 0), wanted]] {
                    let error = await #expect(throws: HTTPServerError.self) {
                        try await server.move(to: addresses)
                    }
                    #expect(error?.description == "bind 127.0.0.1:\(taken): Address already in use")
                    let isThere = try await answers(port)
                    #expect(isThere)
                }
            }
            let isTaken = try await answers(taken)
            #expect(isTaken)
        }
    }

    /// The system refuses an address that takes in one that is listened at, or lies within it.
    @Test(arguments: [("*", "127.0.0.1"), ("127.0.0.1", "*"), ("0.0.0.0", "127.0.0.1"), ("localhost", "127.0.0.1")])
    func anAddressOfTheSamePortIsTakenOver(_ old: String, _ new: String) async throws {
        try await withServer {
            $0.listen = [ListenAddress(host: old, port: 0)]
        } _: { port, _, server in
            let kept = try await offPool {
                let kept = HeldClient(try TestClient(port: port))
                try kept.exchange(Self.get)
                return kept
            }
            let addresses = try await server.move(to: [ListenAddress(host: new, port: port)])
            #expect(addresses.map(\.port) == [port])
            #expect(try await answers(port))
            let again = try await offPool { try kept.exchange(Self.get) }
            #expect(again.status == 200)
            // Another server does not come to the port by mistake.
            let rival = HTTPServer(
                configuration: HTTPServerConfiguration(listen: [ListenAddress(host: new, port: port)]),
                handler: TestHandler(), logger: quiet)
            await #expect(throws: HTTPServerError.self) { try await rival.start() }
        }
    }

    @Test func whoWaitsToBeAcceptedIsTakenIn() async throws {
        try await withServer { port, handler, server in
            let holder = try await offPool {
                let holder = HeldClient(try TestClient(port: port))
                try holder.client.send("GET /stall HTTP/1.1\r\n\r\n")
                return holder
            }
            await handler.untilStarted(1)
            // The loop stands still: the kernel completes these, nobody accepts them.
            let waiting = try await offPool {
                try (0..<20).map { _ in
                    let client = HeldClient(try TestClient(port: port))
                    try client.client.send(Self.get)
                    return client
                }
            }
            async let moved = server.move(to: [ListenAddress(host: "127.0.0.1", port: 0)])
            handler.open()
            let fresh = try #require(try await moved.first?.port)
            let statuses = try await offPool { try waiting.map { try $0.client.response().status } }
            #expect(statuses == Array(repeating: 200, count: 20))
            #expect(try await offPool { try holder.client.response().body } == "stalled")
            #expect(try await answers(fresh))
        }
    }

    @Test func onlyAServerThatRunsMoves() async throws {
        let address = ListenAddress(host: "127.0.0.1", port: 0)
        let server = HTTPServer(
            configuration: HTTPServerConfiguration(listen: [address]), handler: TestHandler(), logger: quiet)
        await #expect(throws: HTTPServerError.self) { try await server.move(to: [address]) }
        try await server.start()
        await server.stop(drain: .zero)
        await #expect(throws: HTTPServerError.self) { try await server.move(to: [address]) }
    }
}

private let connectionRefused = ECONNREFUSED
private let quiet = Logger(label: "http-test")

/// A client that several threads use, one after the other: each is done before the next begins.
private struct HeldClient: @unchecked Sendable {
    let client: TestClient

    init(_ client: TestClient) { self.client = client }

    @discardableResult
    func exchange(_ request: String) throws -> ClientResponse {
        try client.send(request)
        return try client.response()
    }
}
