import HTTPServer
import Posix
import Testing

/// First messages of handshakes in numbers, from clients that go on with them and from such as do not.
@Suite(.serialized, .timeLimit(.minutes(1))) struct TLSFloodTests {
    private let context: TLSContext

    init() throws {
        let files = try TLSTests.Files(TLSTests.all)
        context = try TLSContext(
            TLSConfiguration(certificateFile: files.path("first.crt"), keyFile: files.path("first.key")))
    }

    /// What takes the place of the random number in a request to begin again (RFC 8446 §4.1.3).
    private static let beginAgain: [UInt8] = [0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11]

    private struct Met: Sendable {
        /// How many of the flood's clients were asked to begin again.
        let askedAgain: Int
        /// What clients that mean it were told, by the version that they speak at most.
        let bodies: [String]
    }

    /// `honest` clients come one after another and finish; then so many first messages are there at once, and among
    /// them clients that mean it.
    private func flood(
        _ count: Int, afterFinished honest: Int = 0, _ change: @escaping (inout HTTPServerConfiguration) -> Void
    ) async throws -> Met {
        var met: Met?
        let context = context
        try await withServer {
            $0.settings.tls = context
            $0.handshakeTimeout = .seconds(60)
            change(&$0)
        } _: { port, handler, _ in
            let stalling = try await offPool {
                for _ in 0..<honest { _ = try Self.ask(port) }
                let client = KeptTLS(try TLSClient(port: port))
                try client.send("GET /stall HTTP/1.1\r\n\r\n")
                return client
            }
            await handler.untilStarted(1)
            met = try await offPool {
                let hello = try TLSClient.hello()
                let others = try (0..<count).map { _ in
                    let client = try TestClient(port: port, seconds: 50)
                    try client.send(hello)
                    return client
                }
                handler.open()
                let bodies = try [0x0304, 0x0303].map { try Self.ask(port, $0) }
                for client in others { _ = try client.receive() }
                let askedAgain = others.filter { $0.buffer.firstRange(of: Self.beginAgain) != nil }.count
                return Met(askedAgain: askedAgain, bodies: bodies)
            }
            withExtendedLifetime(stalling) {}
        }
        return try #require(met)
    }

    private static func ask(_ port: UInt16, _ version: Int = 0) throws -> String {
        let client = try TLSClient(port: port, TLSClient.Options(maximumVersion: version))
        try client.send("GET /health HTTP/1.1\r\n\r\n")
        return try client.response().body
    }

    /// Beyond what is borne, a first message among many is answered by a request to begin again, which needs no
    /// signature; who does so is served, and so is who cannot.
    @Test func aFirstMessageOfAFloodCostsNoSignature() async throws {
        let met = try await flood(100) { $0.unpaidSignaturesMax = 1 }
        #expect(met.bodies == ["healthy", "healthy"])
        // Not the last ones, beside which no others are due; and one is forgiven every two seconds.
        #expect(met.askedAgain >= 60, "\(met.askedAgain) of 100 were asked to begin again")
    }

    /// Being asked costs both sides: a crowd is not.
    @Test func aCrowdIsNotAskedToBeginAgain() async throws {
        let met = try await flood(100) { _ in }
        #expect(met.bodies == ["healthy", "healthy"])
        #expect(met.askedAgain == 0)
    }

    @Test func whoFinishesIsNoPartOfAFlood() async throws {
        let met = try await flood(20, afterFinished: 200) { $0.unpaidSignaturesMax = 40 }
        #expect(met.bodies == ["healthy", "healthy"])
        #expect(met.askedAgain == 0)
    }
}

/// A client that goes from one thread to another.
private final class KeptTLS: @unchecked Sendable {
    // The test waits for one use before it begins the next.
    private let client: TLSClient
    init(_ client: TLSClient) { self.client = client }
    func send(_ text: String) throws { try client.send(text) }
}
