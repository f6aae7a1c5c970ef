import ClusterModel
import Glibc
import JSON
import Posix
import Synchronization
import Testing

/// Passwords stand where they are needed, and nowhere else.
extension ClusterIntegrationTests {
    /// One for each purpose, so that a finding says which it is.
    private static let secrets = ["superuser", "replication", "rewinding", "restapi", "application"].map {
        "s3cret-\($0)-\(getpid())"
    }

    @Test(
        "No password is in a list of processes, a log, an answer or an event of a cluster's life",
        .timeLimit(.minutes(4)))
    func secrets() async throws {
        let secrets = Self.secrets
        func account(_ name: String, _ index: Int) -> JSONValue {
            ["username": .string(name), "password": .string(secrets[index])]
        }
        let users: JSONValue = [
            "superuser": account("postgres", 0), "replication": account("replicator", 1),
            "rewind": account("rewinder", 2),
        ]
        let authentication = account("admin", 3)
        let local: @Sendable (Int, String) -> JSONObject = { _, _ in
            [
                "log": ["level": "DEBUG"], "postgresql": ["authentication": users],
                "restapi": ["authentication": authentication],
            ]
        }
        try await TestCluster.with([.subject, .subject], local: local) { cluster in
            let watch = try CommandLineWatch(for: secrets)
            defer { watch.end() }
            let leader = try await cluster.bootstrap()
            let replica = 3 - leader
            try await Self.makeNoise(cluster, leader: leader, replica)
            #expect(watch.findings == [])
            #expect(watch.looks > 10)
            for node in cluster.nodes {
                try Self.expectNone(of: secrets, in: "\(cluster.directory)/\(cluster.name(node)).log")
                for path in ["/", "/patroni", "/cluster", "/config", "/history", "/metrics", "/failsafe", "/members"] {
                    let body = await cluster.get(node, path)?.body ?? ""
                    for secret in secrets { #expect(!body.contains(secret), "\(path) of n\(node): \(body)") }
                }
                let events = try await Tool.run([
                    "/bin/sh", "-c", "curl -sN -m 2 http://127.0.0.1:\(cluster.restPort(node))/events || true",
                ])
                for secret in secrets { #expect(!events.contains(secret), "\(events)") }
            }
        }
    }

    /// What makes a daemon speak of its connections: a copy anew, a change of the configuration, a reload of one that
    /// is wrong, a leader that moves.
    private static func makeNoise(_ cluster: TestCluster, leader: Int, _ replica: Int) async throws {
        let admin = "admin:\(secrets[3])"
        func send(_ method: String, _ node: Int, _ path: String, _ body: String) async throws -> String {
            // curl reads the password from a file: its command line is watched, too.
            let file = "\(cluster.directory)/curl"
            let port = cluster.restPort(node)
            let text = "user = \"\(admin)\"\nurl = \"http://127.0.0.1:\(port)\(path)\"\nrequest = \(method)\n"
            try Files.replace(file, with: text.utf8, mode: 0o600)
            let words = ["curl", "-s", "-m", "30", "-w", " %{http_code}", "-K", file, "-d", body]
            return try await Tool.run(["/usr/bin/env"] + words)
        }
        let dsn = "postgresql://app:\(secrets[4])@192.0.2.1/x"
        let file = "\(cluster.directory)/body"
        let patch = #"{"postgresql": {"parameters": {"app.dsn": "\#(dsn)"}}}"#
        try Files.replace(file, with: patch.utf8, mode: 0o600)
        let answer = try await send("PATCH", leader, "/config", "@\(file)")
        #expect(answer.hasSuffix(" 200") && !answer.contains(secrets[4]), "\(answer)")
        let log = "\(cluster.directory)/\(cluster.name(replica)).log"
        let again = try await send("POST", replica, "/reinitialize", #"{"force": true}"#)
        #expect(again.hasSuffix(" 200"), "\(again)")
        // What the keys say may be from before it began.
        try await waitUntil("the copy is made", within: 60) {
            try Files.readText(log).contains("reinitialize: done")
        }
        try await cluster.healthy(within: 60)
        let wrong = cluster.configurationFile(replica)
        let text = try Files.readText(wrong)
        try Files.replace(
            wrong, with: text.replacing("\"\(secrets[0])\"", with: "[\"\(secrets[0])\"]").utf8, mode: 0o644)
        try cluster.daemon(replica).signal(SIGHUP)
        try await waitUntil("the reload is refused", within: 15) {
            try Files.readText(log).contains("the configuration was not read again")
        }
        let moved = try await send("POST", leader, "/switchover", #"{"leader": "\#(cluster.name(leader))"}"#)
        #expect(moved.hasSuffix(" 200"), "\(moved)")
        try await waitUntil("the other one leads", within: 30) { await cluster.leader() == replica }
        try await cluster.healthy(within: 60)
    }

    private static func expectNone(of secrets: [String], in file: String) throws {
        let text = try Files.readText(file)
        for line in text.split(separator: "\n") where secrets.contains(where: { line.contains($0) }) {
            // PostgreSQL tells its own parameters, and writes where the daemon does.
            if line.contains(" LOG:  parameter \"app.dsn\" changed to ") { continue }
            Issue.record("\(file): \(line)")
        }
    }
}

/// Looks at the command lines of this host's processes, again and again, for texts that must not be there.
private final class CommandLineWatch: Sendable {
    private struct State {
        var findings: Set<String> = []
        var looks = 0
        var isOver = false
    }

    private let state = Mutex(State())

    var findings: [String] { state.withLock { $0.findings.sorted() } }
    var looks: Int { state.withLock { $0.looks } }
    func end() { state.withLock { $0.isOver = true } }

    init(for texts: [String]) throws {
        try NamedThread.start("watch") { [weak self] in
            while let self, !self.state.withLock({ $0.isOver }) {
                self.look(texts)
                poll(nil, 0, 10)
            }
        }
    }

    private func look(_ texts: [String]) {
        let pids = ((try? Files.list("/proc")) ?? []).compactMap { pid_t($0) }
        var found: Set<String> = []
        for pid in pids {
            guard let bytes = try? Files.read("/proc/\(pid)/cmdline") else { continue }
            let line = String(decoding: bytes.map { $0 == 0 ? 0x20 : $0 }, as: UTF8.self)
            if texts.contains(where: { line.contains($0) }) { found.insert(line) }
        }
        state.withLock { state in
            state.findings.formUnion(found)
            state.looks += 1
        }
    }
}
