import HTTPServer
import Posix
import TestSupport
import Testing

/// What a certificate gave its client a right to, and how long; and what handshakes cost whom.
@Suite(.serialized, .timeLimit(.minutes(1))) struct TLSTrustTests {
    private let files: TLSTests.Files

    init() throws { files = try TLSTests.Files(TLSTests.all) }

    private func context(
        _ verification: TLSConfiguration.ClientVerification, authority: String = "ca.crt", certificate: String = "first"
    ) throws -> TLSContext {
        try TLSContext(
            TLSConfiguration(
                certificateFile: files.path("\(certificate).crt"), keyFile: files.path("\(certificate).key"),
                authorityFile: files.path(authority), clientVerification: verification))
    }

    /// A client that is kept from one thread to another; only one uses it at a time.
    private final class Kept: @unchecked Sendable {
        // The test waits for one use before it begins the next.
        private let client: TLSClient
        init(_ client: TLSClient) { self.client = client }

        /// The body of the answer; nil where there is none any more.
        func ask(_ path: String) -> String? {
            guard (try? client.send("GET \(path) HTTP/1.1\r\n\r\n")) != nil else { return nil }
            return try? client.response().body
        }

        func send(_ text: String) throws { try client.send(text) }
        func response() throws -> ClientResponse { try client.response() }
    }

    private func client(_ port: UInt16, certified: Bool) throws -> Kept {
        let options = TLSClient.Options(
            certificate: certified ? files.path("client.crt") : nil, key: certified ? files.path("client.key") : nil)
        return Kept(try TLSClient(port: port, options))
    }

    struct Change: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var before: TLSConfiguration.ClientVerification
        var after: TLSConfiguration.ClientVerification
        var authority = "ca.crt"
        /// What a client with a certificate is told then, and one without; nil where the connection ends.
        let certified: String?
        let other: String?
    }

    @Test(arguments: [
        Change(
            testDescription: "another authority", before: .optional, after: .optional, authority: "second.crt",
            certified: nil, other: "encrypted"),
        Change(
            testDescription: "another authority, and required", before: .optional, after: .required,
            authority: "second.crt", certified: nil, other: nil),
        Change(
            testDescription: "required", before: .optional, after: .required, certified: "verified", other: nil),
        Change(testDescription: "asked for", before: .none, after: .required, certified: nil, other: nil),
        Change(
            testDescription: "no more asked for", before: .optional, after: .none, certified: "encrypted",
            other: "encrypted"),
        Change(
            testDescription: "the same", before: .optional, after: .optional, certified: "verified",
            other: "encrypted"),
    ])
    func rightsEndWithWhatTheyRestOn(_ change: Change) async throws {
        let (before, after) = try (context(change.before), context(change.after, authority: change.authority))
        try await withServer {
            $0.settings.tls = before
        } _: { port, _, server in
            let test = self
            let clients = try await offPool {
                let clients = try [test.client(port, certified: true), test.client(port, certified: false)]
                _ = clients.map { $0.ask("/security") }
                return clients
            }
            server.adopt(HTTPServerSettings(tls: after))
            // The message to the loop was posted before these ask.
            let answers = try await offPool { clients.map { $0.ask("/security") } }
            #expect(answers == [change.certified, change.other])
        }
    }

    /// What was asked under the old rules is answered, and then the connection ends; a stream ends at once.
    @Test func whatIsUnderWayEndsWithTheRules() async throws {
        let (before, after) = try (context(.optional), context(.required))
        try await withServer {
            $0.settings.tls = before
        } _: { port, handler, server in
            let test = self
            let busy = try await offPool {
                let clients = try (0..<2).map { _ in try test.client(port, certified: false) }
                try clients[0].send("GET /gate HTTP/1.1\r\n\r\n")
                try clients[1].send("GET /stream/open HTTP/1.1\r\n\r\n")
                return clients
            }
            await handler.untilStarted(2)
            server.adopt(HTTPServerSettings(tls: after))
            await handler.untilFinished(1)
            handler.open()
            let answer = try await offPool { try busy[0].response() }
            #expect(answer.body == "gate" && answer.header("Connection") == "close")
        }
    }

    /// In clear, from before HTTPS was switched on, with certificates that are required.
    @Test func clearConnectionsEndWhereCertificatesAreRequired() async throws {
        let after = try context(.required)
        try await withServer { port, _, server in
            let kept = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /security HTTP/1.1\r\n\r\n")
                _ = try client.response()
                return ClientBox(client)
            }
            server.adopt(HTTPServerSettings(tls: after))
            #expect(try await offPool { try kept.untilEnd() } == "")
        }
    }

    @Test func theSameFilesMakeTheSameContext() throws {
        let first = try context(.optional)
        #expect(try first.isSame(as: context(.optional)))
        #expect(try !first.isSame(as: context(.required)))
        #expect(try !first.isSame(as: context(.optional, certificate: "second")))
        try files.replace("ca.crt", PEM.second)
        #expect(try !first.isSame(as: context(.optional)))
    }

    @Test func keysAreForgottenWithTheConnection() async throws {
        let context = try context(.none)
        try await withServer {
            $0.settings.tls = context
        } _: { port, _, _ in
            let ciphers = try await offPool {
                let any = TLSClient.Options(maximumVersion: 0x0303)
                return try TLSClient(port: port, any).cipher
            }
            #expect(ciphers.hasPrefix("ECDHE-"))
            let old = try? await offPool {
                let options = TLSClient.Options(maximumVersion: 0x0303, ciphers: "ECDHE-ECDSA-AES128-SHA")
                return try TLSClient(port: port, options).cipher
            }
            #expect(old == nil)
        }
    }

    // MARK: Handshakes

    /// A signature each for a hundred clients that compute nothing: a kept connection does not wait for them.
    @Test func handshakesDoNotHoldUpKeptConnections() async throws {
        let context = try context(.none)
        try await withServer {
            $0.settings.tls = context
            $0.handshakeTimeout = .seconds(60)
        } _: { port, handler, _ in
            let test = self
            let (kept, stalling) = try await offPool {
                let clients = try (0..<2).map { _ in try test.client(port, certified: false) }
                _ = clients.map { $0.ask("/echo") }
                try clients[1].send("GET /stall HTTP/1.1\r\n\r\n")
                return (clients[0], clients[1])
            }
            await handler.untilStarted(1)
            let greeted = try await offPool {
                let hello = try TLSClient.hello()
                let others = try (0..<100).map { _ in
                    let client = try TestClient(port: port, seconds: 50)
                    try client.send(hello)
                    return client
                }
                try kept.send("GET /hold HTTP/1.1\r\n\r\n")
                handler.open()
                while !handler.isHolding { pause(milliseconds: 1) }
                let greeted = others.filter { $0.hasInput() }.count
                handler.release()
                _ = try kept.response()
                // All have their turn in the end.
                for client in others { _ = try client.receive() }
                return greeted
            }
            // Before it are at most those of the rounds that a full batch of events takes.
            #expect(greeted < 50, "\(greeted) of 100 were served before")
            withExtendedLifetime(stalling) {}
        }
    }

    /// A part of a first message, and the client's end: nothing more is waited for.
    @Test(arguments: [1, 3, 5, 60]) func aClientThatEndsWithinItsFirstMessageIsClosed(_ part: Int) async throws {
        let context = try context(.none)
        try await withServer {
            $0.settings.tls = context
            $0.handshakeTimeout = .seconds(60)
        } _: { port, _, _ in
            let rest = try await offPool {
                let client = try TestClient(port: port)
                try client.send(Array(try TLSClient.hello().prefix(part)))
                client.endSending()
                return try client.untilEnd()
            }
            #expect(rest.isEmpty)
        }
    }

    /// Silent ones and halves of a hello, more than there is room for.
    @Test(arguments: [0, 3, 100]) func aHandshakeInItsFirstSecondOutlivesAFlood(_ part: Int) async throws {
        let context = try context(.none)
        try await withServer {
            $0.settings.tls = context
            $0.connectionsMax = 64
        } _: { port, _, _ in
            let bodies = try await offPool {
                let half = Array(try TLSClient.hello().prefix(part))
                func others(_ count: Int) throws -> [TestClient] {
                    try (0..<count).map { _ in
                        let client = try TestClient(port: port)
                        if !half.isEmpty { try client.send(half) }
                        return client
                    }
                }
                var held = try others(64)
                return try (0..<5).map { _ in
                    let client = try TLSClient(port: port)
                    held += try others(40)
                    try client.send("GET /health HTTP/1.1\r\n\r\n")
                    return try client.response().body
                }
            }
            #expect(bodies == Array(repeating: "healthy", count: 5))
        }
    }
}
