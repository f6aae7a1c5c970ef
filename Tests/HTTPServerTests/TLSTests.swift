import Glibc
import HTTPServer
import Posix
import Synchronization
import TestSupport
import Testing

/// HTTPS (rest-api.md §4).
@Suite(.timeLimit(.minutes(1))) struct TLSTests {
    /// The files of a test, in a directory of its own.
    final class Files: Sendable {
        let directory: String

        init(_ files: [String: String]) throws {
            directory = try makeTemporaryDirectory("tls")
            for (name, text) in files { try replace(name, text) }
        }

        deinit { try? Posix.Files.removeTree(directory) }

        func path(_ name: String) -> String { "\(directory)/\(name)" }

        func replace(_ name: String, _ text: String) throws {
            try Posix.Files.replace(path(name), with: (text + "\n").utf8, mode: 0o600)
        }
    }

    static let all = [
        "first.crt": PEM.first, "first.key": PEM.firstKey, "locked.key": PEM.lockedKey, "second.crt": PEM.second,
        "second.key": PEM.secondKey, "ca.crt": PEM.authority, "client.crt": PEM.client, "client.key": PEM.clientKey,
        "stranger.crt": PEM.stranger, "stranger.key": PEM.strangerKey, "both.pem": PEM.first + "\n" + PEM.firstKey,
        "junk": "junk",
    ]

    private func configuration(
        _ files: Files, _ verification: TLSConfiguration.ClientVerification = .none
    ) -> TLSConfiguration {
        TLSConfiguration(
            certificateFile: files.path("first.crt"), keyFile: files.path("first.key"),
            authorityFile: files.path("ca.crt"), clientVerification: verification)
    }

    private func withTLSServer(
        _ verification: TLSConfiguration.ClientVerification = .none, handshakeTimeout: Duration = .seconds(30),
        _ body: (UInt16, Files, HTTPServer) async throws -> Void
    ) async throws {
        let files = try Files(Self.all)
        let context = try TLSContext(configuration(files, verification))
        try await withServer {
            $0.settings.tls = context
            $0.handshakeTimeout = handshakeTimeout
        } _: { port, _, server in
            try await body(port, files, server)
        }
    }

    // MARK: Turns

    /// Records that carry nothing - here requests for new keys - come as fast as a client likes, and cost more than its
    /// requests do: one who sends many of them has reached its end with the first read.
    @Test func recordsWithoutContentAreFew() async throws {
        let files = try Files(Self.all)
        let context = try TLSContext(configuration(files))
        let (received, turns) = try await offPool {
            let some = try TLSPair(context)
            try some.updateKeys(32)
            try some.send("x")
            let received = try some.receive().text
            let many = try TLSPair(context)
            try many.updateKeys(4000)
            return (received, try many.turnsUntilEnd())
        }
        #expect(received == "x")
        #expect(turns == 1)
    }

    // MARK: Exchanges

    @Test(arguments: [0x0303, 0x0304]) func requestsAreAnswered(_ version: Int) async throws {
        try await withTLSServer { port, _, _ in
            let (answers, last) = try await offPool {
                let client = try TLSClient(port: port, .init(maximumVersion: version))
                let answers = try (0..<3).map { index in
                    try client.send("GET /security?\(index) HTTP/1.1\r\n\r\n")
                    return try client.response()
                }
                try client.send("GET /large HTTP/1.0\r\n\r\n")
                return (answers, try client.untilEnd())
            }
            #expect(answers.map(\.body) == ["encrypted", "encrypted", "encrypted"])
            // Eight megabytes do not fit into any buffer: what the socket does not take goes on later.
            #expect(last.utf8.count > 8 << 20 && last.hasSuffix("xxxx"))
        }
    }

    @Test func aLargeBodyAndPipelinedRequestsArrive() async throws {
        try await withTLSServer { port, _, _ in
            let bodies = try await offPool {
                let client = try TLSClient(port: port)
                let body = String(repeating: "y", count: 900_000)
                try client.send("POST /body HTTP/1.1\r\nContent-Length: \(body.utf8.count)\r\n\r\n" + body)
                let first = try client.response().body.utf8.count
                try client.send(
                    String(repeating: "GET /echo HTTP/1.1\r\n\r\n", count: 3) + "GET /health HTTP/1.0\r\n\r\n")
                return (first, try client.untilEnd())
            }
            #expect(bodies.0 == 900_000)
            #expect(bodies.1.components(of: "HTTP/1.").count == 5 && bodies.1.hasSuffix("healthy"))
        }
    }

    @Test(arguments: [0x0303, 0x0304]) func aSessionIsResumed(_ version: Int) async throws {
        try await withTLSServer(.optional) { port, files, _ in
            let (before, after, security) = try await offPool {
                var options = TLSClient.Options(
                    certificate: files.path("client.crt"), key: files.path("client.key"), maximumVersion: version)
                let first = try TLSClient(port: port, options)
                try first.send("GET /echo HTTP/1.1\r\n\r\n")
                _ = try first.response()
                options.session = try first.saved()
                let second = try TLSClient(port: port, options)
                try second.send("GET /security HTTP/1.1\r\n\r\n")
                return (first.isResumed, second.isResumed, try second.response().body)
            }
            #expect(!before && after)
            // What was verified then counts now.
            #expect(security == "verified")
        }
    }

    // MARK: Client certificates

    @Test(
        arguments: [
            (TLSConfiguration.ClientVerification.none, nil, "encrypted"), (.none, "stranger", "encrypted"),
            (.optional, nil, "encrypted"), (.optional, "client", "verified"), (.optional, "stranger", nil),
            (.required, nil, nil), (.required, "client", "verified"), (.required, "stranger", nil),
        ] as [(TLSConfiguration.ClientVerification, String?, String?)])
    func clientCertificates(
        _ verification: TLSConfiguration.ClientVerification, _ certificate: String?, _ expected: String?
    ) async throws {
        try await withTLSServer(verification) { port, files, _ in
            let body = try? await offPool {
                let options = TLSClient.Options(
                    certificate: certificate.map { files.path("\($0).crt") },
                    key: certificate.map { files.path("\($0).key") })
                let client = try TLSClient(port: port, options)
                try client.send("GET /security HTTP/1.1\r\n\r\n")
                return try client.response().body
            }
            #expect(body == expected)
        }
    }

    // MARK: Changes

    @Test func aNewCertificateIsServedAndAnOpenConnectionGoesOn() async throws {
        try await withTLSServer { port, files, server in
            let kept = try await offPool { () -> Kept in
                let kept = Kept(try TLSClient(port: port))
                try kept.ask("/echo")
                return kept
            }
            var fresh = configuration(files)
            fresh.certificateFile = files.path("second.crt")
            fresh.keyFile = files.path("second.key")
            server.adopt(HTTPServerSettings(serverName: "New", tls: try TLSContext(fresh)))
            let (names, answer) = try await offPool {
                // The message to the loop was posted before this client connects.
                let second = try TLSClient(port: port)
                return ([kept.server, second.server], try kept.ask("/echo"))
            }
            #expect(names == ["/CN=first", "/CN=second"])
            #expect(answer.status == 200 && answer.header("Server") == "New")
        }
    }

    @Test func whatCannotBeUsedIsNamed() throws {
        let files = try Files(Self.all)
        func failure(_ change: (inout TLSConfiguration) -> Void) -> String {
            var configuration = configuration(files)
            change(&configuration)
            do throws(TLSError) {
                _ = try TLSContext(configuration)
                return ""
            } catch {
                return error.subject.replacing(files.directory + "/", with: "")
            }
        }
        #expect(failure { _ in } == "")
        #expect(failure { $0.certificateFile = files.path("none") } == "certificate none")
        #expect(failure { $0.certificateFile = files.path("junk") } == "certificate junk")
        #expect(failure { $0.keyFile = files.path("junk") } == "key junk")
        // OpenSSL compares a key with the certificate as it loads it.
        #expect(failure { $0.keyFile = files.path("second.key") } == "key second.key")
        #expect(failure { $0.keyFile = files.path("locked.key") } == "key locked.key")
        #expect(failure { ($0.keyFile, $0.keyFilePassword) = (files.path("locked.key"), "wrong") } == "key locked.key")
        #expect(failure { ($0.keyFile, $0.keyFilePassword) = (files.path("locked.key"), "secret") } == "")
        #expect(failure { ($0.certificateFile, $0.keyFile) = (files.path("both.pem"), nil) } == "")
        #expect(failure { $0.ciphers = "nonsense" } == "ciphers nonsense")
        #expect(failure { $0.ciphers = "HIGH:!aNULL" } == "")
        #expect(failure { $0.authorityFile = files.path("none") } == "authority none")
        // In the system's words, where OpenSSL has none.
        let error = #expect(throws: TLSError.self) { try TLSContext(TLSConfiguration(certificateFile: "/nowhere.pem")) }
        #expect(error?.reason == "No such file or directory")
    }

    // MARK: Hostile clients

    @Test func whatIsNoTLSAndOldTLSAreTurnedAway() async throws {
        try await withTLSServer { port, _, _ in
            let plain = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET / HTTP/1.1\r\n\r\n")
                return try client.untilEnd()
            }
            #expect(plain.hasPrefix("HTTP/1.1 400 ") && plain.contains("this port speaks HTTPS"))
            let old = try? await offPool { try TLSClient(port: port, .init(maximumVersion: 0x0302)).server }
            #expect(old == nil)
        }
    }

    @Test func aHandshakeThatDoesNotComeEnds() async throws {
        try await withTLSServer(handshakeTimeout: .milliseconds(50)) { port, _, _ in
            let said = try await offPool {
                let silent = try TestClient(port: port)
                let slow = try TestClient(port: port)
                try slow.send("\u{16}\u{3}\u{1}")
                return [try silent.untilEnd(), try slow.untilEnd()]
            }
            #expect(said == ["", ""])
        }
    }

    /// A client that goes from one thread to another; only one uses it at a time.
    private final class Kept: @unchecked Sendable {
        // The test waits for one use before it begins the next.
        private let client: TLSClient
        init(_ client: TLSClient) { self.client = client }

        var server: String { client.server }

        @discardableResult
        func ask(_ path: String) throws -> ClientResponse {
            try client.send("GET \(path) HTTP/1.1\r\n\r\n")
            return try client.response()
        }
    }
}

extension String {
    /// The parts between occurrences of `separator`.
    fileprivate func components(of separator: String) -> [Substring] {
        self.split(separator: separator, omittingEmptySubsequences: false)
    }
}
