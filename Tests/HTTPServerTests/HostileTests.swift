import Glibc
import HTTPServer
import Testing

/// Probes among clients that want all of the server for themselves. What is asserted is the order of things.
@Suite(.serialized, .timeLimit(.minutes(1))) struct HostileTests {
    private static let get = "GET /health HTTP/1.1\r\n\r\n"

    // MARK: Turns

    /// A thousand requests at once are answered in turns, between which others are.
    @Test func pipelinedRequestsLeaveTimeForOthers() async throws {
        try await withServer { port, handler, _ in
            // The server stands still until all has been sent, so that the order is its own.
            let clients = try await offPool {
                let clients = try (0..<3).map { _ in try TestClient(port: port) }
                try clients[0].send("GET /stall HTTP/1.1\r\n\r\n")
                return clients.map { ClientBox($0) }
            }
            await handler.untilStarted(1)
            let answered = try await offPool {
                try clients[1].whole {
                    try $0.send(String(repeating: "GET /busy HTTP/1.1\r\n\r\n", count: 300))
                }
                return try clients[2].whole { client in
                    try client.send("GET /hold HTTP/1.1\r\n\r\n")
                    handler.open()
                    while !handler.isHolding { pause(milliseconds: 1) }
                    return handler.busyCount
                }
            }
            #expect(answered.map { $0 < 300 } == true)
            handler.release()
        }
    }

    /// However many connections have something to be answered, a new one is first.
    @Test func newcomersAreAnsweredBeforeThoseThatWere() async throws {
        try await withServer { port, handler, _ in
            let clients = try await offPool {
                let clients = try (0..<60).map { _ in
                    let client = try TestClient(port: port)
                    try client.send(Self.get)
                    _ = try client.response()
                    return client
                }
                let probe = try TestClient(port: port)
                let stalling = try TestClient(port: port)
                try stalling.send("GET /stall HTTP/1.1\r\n\r\n")
                return (clients + [stalling]).map { ClientBox($0) } + [ClientBox(probe)]
            }
            await handler.untilStarted(1)
            let answered = try await offPool {
                for client in clients.dropLast(2) { try client.whole { try $0.send("GET /busy HTTP/1.1\r\n\r\n") } }
                // The last to have sent something, so that its event comes last.
                return try clients.last?.whole { client in
                    try client.send("GET /hold HTTP/1.1\r\n\r\n")
                    handler.open()
                    while !handler.isHolding { pause(milliseconds: 1) }
                    return handler.busyCount
                }
            }
            #expect(answered.map { $0 < 10 } == true, "\(String(describing: answered)) of 60 were answered before")
            handler.release()
        }
    }

    // MARK: A full table

    /// `flood` is what the others send of a request, again and again; the probe sends the first part, then they come,
    /// then it sends the rest.
    @Test(arguments: [
        ("GET /hea", "", get), ("", "", get), ("", "GET /hea", "lth HTTP/1.1\r\n\r\n"),
        ("GET /health HTTP/1.1\r\nX: ", "", get),
    ])
    func aProbeInItsFirstSecondOutlivesAFlood(_ flood: String, _ first: String, _ rest: String) async throws {
        try await withServer {
            $0.connectionsMax = 64
        } _: { port, _, _ in
            let bodies = try await offPool {
                func others(_ count: Int) throws -> [TestClient] {
                    try (0..<count).map { _ in
                        let client = try TestClient(port: port)
                        if !flood.isEmpty { try client.send(flood) }
                        return client
                    }
                }
                var held = try others(64)
                return try (0..<5).map { _ in
                    let probe = try TestClient(port: port)
                    if !first.isEmpty { try probe.send(first) }
                    held += try others(40)
                    try probe.send(rest)
                    return try probe.response().body
                }
            }
            #expect(bodies == Array(repeating: "healthy", count: 5))
        }
    }

    /// Its request is there, and the loop sees those first that it makes way for.
    @Test func whoHasSentItsRequestIsAnsweredBeforeItMakesWay() async throws {
        try await withServer {
            $0.connectionsMax = 8
        } _: { port, handler, _ in
            let (probe, stalling) = try await offPool {
                let probe = try TestClient(port: port)
                let stalling = try TestClient(port: port)
                try stalling.send("GET /stall HTTP/1.1\r\n\r\n")
                return (ClientBox(probe), ClientBox(stalling))
            }
            await handler.untilStarted(1)
            let body = try await offPool {
                let flood = try (0..<40).map { _ in try TestClient(port: port) }
                return try probe.whole { probe in
                    try probe.send("GET /health HTTP/1.0\r\n\r\n")
                    handler.open()
                    return try withExtendedLifetime(flood) { try probe.untilEnd() }
                }
            }
            #expect(body?.hasSuffix("healthy") == true)
            withExtendedLifetime(stalling) {}
        }
    }

    @Test func whoHasTooManyLosesItsOwn() async throws {
        try await withServer {
            $0.connectionsMax = 32
        } _: { port, _, _ in
            let bodies = try await offPool {
                let others = try (3..<7).map { last in
                    let client = try TestClient(port: port, from: UInt8(last))
                    // No health check, so that it has no part in the share.
                    try client.send("GET /echo HTTP/1.1\r\n\r\n")
                    _ = try client.response()
                    return client
                }
                let flood = try (0..<100).map { _ in try TestClient(port: port, from: 2) }
                return try withExtendedLifetime(flood) {
                    try others.map { client in
                        try client.send(Self.get)
                        return try client.response().body
                    }
                }
            }
            #expect(bodies == Array(repeating: "healthy", count: 4))
        }
    }

    /// The part in the share goes by what was asked last.
    @Test func theShareIsLeftByAskingForSomethingElse() async throws {
        try await withServer {
            $0.connectionsMax = 8
        } _: { port, _, _ in
            let said = try await offPool {
                let client = try TestClient(port: port)
                for path in ["/health", "/echo"] {
                    try client.send("GET \(path) HTTP/1.1\r\n\r\n")
                    _ = try client.response()
                }
                let flood = try (0..<40).map { _ in try TestClient(port: port) }
                return try withExtendedLifetime(flood) { try client.untilEnd() }
            }
            #expect(said == "")
        }
    }
}
