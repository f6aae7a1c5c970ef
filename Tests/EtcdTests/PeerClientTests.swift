import ClusterModel
import Glibc
import HTTPClient
import Posix
import Synchronization
import TestSupport
import Testing

@testable import Peers

@Suite(.timeLimit(.minutes(1)))
struct PeerClientTests {
    private let answer = """
        {"state": "running", "role": "replica", "timeline": 3, "xlog": {"received_location": 5, "replayed_location": 9}}
        """

    private func member(_ name: String, _ url: String?) -> Member {
        Member(name: name, data: url.map { ["api_url": .string($0)] } ?? [:])
    }

    @Test func everyMemberHasAnAnswerByTheDeadline() async throws {
        let answer = answer
        let seen = Mutex<[String]>([])
        let good = try StubServer { connection in
            while let request = connection.readRequest() {
                seen.withLock { $0.append(request) }
                connection.respond(503, answer)
            }
        }
        let hung = try StubServer { $0.hang() }
        let peers = try HTTPPeerClient(PeerClientOptions(username: "u", password: "p"))
        defer {
            peers.shutdown()
            good.stop()
            hung.stop()
        }
        let members = [
            member("good", good.url + "/patroni"), member("hung", hung.url + "/patroni"), member("mute", nil),
            member("gone", "http://127.0.0.1:\(try freePorts(1)[0])/patroni"),
        ]
        let answers = await peers.statuses(of: members, deadline: soon(.seconds(40)))
        #expect(answers["good"] == .status(PeerStatus(isPrimary: false, position: WALPosition(9), timeline: 3)))
        for name in ["hung", "mute", "gone"] {
            guard case .unreachable? = answers[name] else { return #expect(Bool(false), "\(name)") }
        }
        let request = try #require(seen.withLock { $0.first })
        #expect(request.hasPrefix("GET /patroni HTTP/1.1\r\n") && !request.lowercased().contains("authorization"))
    }

    @Test func whatChangesIsTakenAndWhatIsUnderWayEndsAsItBegan() async throws {
        let answer = answer
        let seen = Mutex<[String]>([])
        let isOpen = Mutex(false)
        let server = try StubServer { connection in
            while let request = connection.readRequest() {
                seen.withLock { $0.append(request) }
                while request.contains("/slow") && !isOpen.withLock({ $0 }) { poll(nil, 0, 1) }
                connection.respond(200, answer)
            }
        }
        let peers = try HTTPPeerClient(PeerClientOptions(userAgent: "first"))
        defer {
            isOpen.withLock { $0 = true }
            peers.shutdown()
            server.stop()
        }
        let slow = Task { try await peers.read(server.url + "/slow", deadline: soon(.seconds(20))).status }
        try await eventually("the slow request is there") { seen.withLock { $0.count == 1 } }
        try peers.adopt(PeerClientOptions(userAgent: "second"))
        let answers = await peers.statuses(
            of: [member("a", server.url + "/patroni")], deadline: soon(.seconds(20)))
        #expect(answers["a"] == .status(PeerStatus(isPrimary: false, position: WALPosition(9), timeline: 3)))
        isOpen.withLock { $0 = true }
        #expect(try await slow.value == 200)
        let heads = seen.withLock { $0 }
        #expect(heads.first?.contains("User-Agent: first") == true)
        #expect(heads.last?.contains("User-Agent: second") == true)
    }

    /// Whoever writes to the store chooses where we ask: nothing but a GET of `/patroni`, at a plain address, there.
    @Test(arguments: [
        ("http://10.0.0.1:8008/patroni", "http://10.0.0.1:8008/patroni"),
        ("HTTPS://n1.example:8008/patroni", "https://n1.example:8008/patroni"),
        ("http://n1/latest/meta-data?x#y", "http://n1/patroni"), ("http://[fe80::1]:1", "http://[fe80::1]:1/patroni"),
        ("http://a_b-c.d:65535", "http://a_b-c.d:65535/patroni"), ("file:///etc/passwd", nil),
        ("gopher://a/", nil), ("http:///patroni", nil), ("http://u:p@a/patroni", nil), ("http://a:0/", nil),
        ("http://a:65536/", nil), ("http://a:8x/", nil), ("http://a b/", nil), ("http://a\r\nX: y/", nil),
        ("http://a\\b/", nil), ("http://[::1", nil), ("http://[10.0.0.0/8]/", nil), ("http://[]:1/", nil),
        ("http://\u{e4}/", nil), ("http://a\u{301}/", nil), ("http://a%2fb/", nil), ("", nil), ("http", nil),
    ])
    func addresses(_ apiURL: String, _ asked: String?) {
        #expect(PeerURL.replacingPath(of: apiURL, with: "/patroni") == asked)
    }

    @Test func aRedirectIsNotFollowed() async throws {
        let followed = Mutex(0)
        let target = try StubServer { connection in
            while connection.readRequest() != nil {
                followed.withLock { $0 += 1 }
                connection.respond(200, "{}")
            }
        }
        let port = target.port
        let server = try StubServer { connection in
            while connection.readRequest() != nil {
                connection.write(
                    "HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:\(port)/\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let peers = try HTTPPeerClient()
        defer {
            peers.shutdown()
            target.stop()
            server.stop()
        }
        let answers = await peers.statuses(of: [member("a", server.url + "/patroni")], deadline: soon())
        guard case .unreachable? = answers["a"] else { return #expect(Bool(false), "\(answers)") }
        #expect(try await peers.read(server.url, deadline: soon()).status == 302)
        #expect(followed.withLock { $0 } == 0)
    }

    /// What stands at the address of our own name's key: only a daemon of our name and scope keeps ours from starting.
    @Test(arguments: [
        (#"{"patroni":{"name":"n1","scope":"s","version":"4.1.4"}}"#, true),
        (#"{"patroni":{"scope":"s","version":"3.0.0"}}"#, true), (#"{"patroni":{"name":"n2","scope":"s"}}"#, false),
        (#"{"patroni":{"name":"n1","scope":"t"}}"#, false), ("<html>hello</html>", false), ("", false), ("{}", false),
    ])
    func whoTakesOurName(_ document: String, _ isTaken: Bool) async throws {
        let server = try StubServer { connection in
            while let request = connection.readRequest() {
                connection.respond(503, request.hasPrefix("GET /patroni ") ? document : "")
            }
        }
        let peers = try HTTPPeerClient()
        defer {
            peers.shutdown()
            server.stop()
        }
        #expect(await peers.isTaken("n1", scope: "s", apiURL: server.url + "/patroni", deadline: soon()) == isTaken)
        #expect(await !peers.isTaken("n1", scope: "s", apiURL: "http://127.0.0.1:1/patroni", deadline: soon()))
    }

    @Test func anyAnswerToLivenessCounts() async throws {
        let server = try StubServer { connection in
            while let request = connection.readRequest() {
                connection.respond(request.hasPrefix("GET /liveness HTTP") ? 503 : 200, "")
                if !request.hasPrefix("GET /liveness HTTP") { return }
            }
        }
        let hung = try StubServer { $0.hang() }
        let peers = try HTTPPeerClient()
        defer {
            peers.shutdown()
            server.stop()
            hung.stop()
        }
        #expect(await peers.isAlive(apiURL: server.url + "/patroni", deadline: soon()))
        #expect(await !peers.isAlive(apiURL: hung.url + "/patroni", deadline: soon(.milliseconds(200))))
        #expect(await !peers.isAlive(apiURL: "nonsense", deadline: soon()))
    }
}

/// TLS towards peers, against the openssl command's server.
@Suite(.timeLimit(.minutes(1)))
struct PeerTLSServerTests {
    private func isAlive(_ port: Int, _ options: PeerClientOptions) async throws -> Bool {
        let peers = try HTTPPeerClient(options)
        defer { peers.shutdown() }
        return await peers.isAlive(apiURL: "https://localhost:\(port)/patroni", deadline: soon(.seconds(3)))
    }

    @Test func certificatesAreVerifiedWhereAnAuthorityIsConfigured() async throws {
        try await TestCertificates.with { files in
            let port = try freePorts(1)[0]
            // Its certificate names another host than the one that is asked for.
            let pid = try spawnGuarded([
                "/usr/bin/openssl", "s_server", "-accept", String(port), "-cert", files.cert("stranger"), "-key",
                files.key("stranger"), "-www", "-quiet",
            ])
            defer { kill(pid, SIGKILL) }
            try await eventually("the server answers") { try await isAlive(port, PeerClientOptions()) }
            let own = PeerClientOptions(
                cacert: files.ca, certfile: files.cert("client"), keyfile: files.key("client"))
            let isAliveToUs = try await isAlive(port, own)
            #expect(isAliveToUs)
            var wrong = own
            wrong.cacert = "\(files.directory)/other.crt"
            let isAliveToOthers = try await isAlive(port, wrong)
            #expect(!isAliveToOthers)
            // An authority alone is enough to be asked for.
            let isAliveToAuthority = try await isAlive(port, PeerClientOptions(cacert: files.ca))
            #expect(isAliveToAuthority)
            let isAliveToOther = try await isAlive(port, PeerClientOptions(cacert: wrong.cacert))
            #expect(!isAliveToOther)
            try await follows(port, own, wrong)
        }
    }

    /// One client that takes over other settings, and other files under the same names.
    private func follows(_ port: Int, _ own: PeerClientOptions, _ wrong: PeerClientOptions) async throws {
        let url = "https://localhost:\(port)/patroni"
        let peers = try HTTPPeerClient(wrong)
        defer { peers.shutdown() }
        #expect(await !peers.isAlive(apiURL: url, deadline: soon(.seconds(3))))
        try peers.adopt(own)
        #expect(await peers.isAlive(apiURL: url, deadline: soon(.seconds(3))))
        let (right, other) = (try #require(own.cacert), try #require(wrong.cacert))
        try Files.replace(right, with: try Files.readText(other).utf8, mode: 0o600)
        try peers.adopt(own)
        #expect(await !peers.isAlive(apiURL: url, deadline: soon(.seconds(3))))
    }
}
