import ClusterModel
import Glibc
import JSON
import Posix
import Synchronization
import Testing

/// A cluster of real parts for one test: etcd, N nodes, HAProxy where asked for, on ports and in a directory of its
/// own.
final class TestCluster: Sendable {
    let nodes: ClosedRange<Int>
    let directory: String
    /// Where the REST APIs speak HTTPS and ask everybody for a certificate.
    let certificates: Certificates?
    private let ports: PortBlock
    private let daemons: [Programs.Daemon]
    private let running = Mutex<[String: OwnedProcess]>([:])

    private static let count = Mutex(0)

    /// Runs `body` with a new cluster of which nothing runs yet but etcd; ends all of it afterwards, whatever happened.
    ///
    /// - Parameters:
    ///   - daemons: who leads each node, n1 first.
    ///   - dynamic: `bootstrap.dcs`.
    ///   - tags: the tags of nodes by number.
    ///   - tls: the REST APIs speak HTTPS.
    ///   - local: what a node's own configuration has beside that, by its number and its directory.
    static func with(
        _ daemons: [Programs.Daemon] = [.subject, .subject, .subject], dynamic: JSONObject = NodeConfiguration.quick,
        tags: [Int: JSONObject] = [:], tls: Bool = false,
        local: @escaping @Sendable (Int, String) -> JSONObject = { _, _ in [:] },
        _ body: (TestCluster) async throws -> Void
    ) async throws {
        let cluster = try await Blocking.run("prepare") {
            Leftovers.sweep()
            return try TestCluster(daemons, dynamic: dynamic, tags: tags, tls: tls, local: local)
        }
        do {
            try await cluster.certificates?.make(for: cluster.nodes.map(cluster.name))
            try await cluster.startEtcd()
            try await body(cluster)
        } catch {
            Issue.record("\(error)\n\(await cluster.report())")
            try? await Blocking.run("end") { cluster.end(failed: true) }
            return
        }
        try await Blocking.run("end") { cluster.end(failed: false) }
    }

    private init(
        _ daemons: [Programs.Daemon], dynamic: JSONObject, tags: [Int: JSONObject], tls: Bool,
        local: (Int, String) -> JSONObject
    ) throws {
        nodes = 1...daemons.count
        self.daemons = daemons
        ports = try PortBlock.take()
        let number = TestCluster.count.withLock { count in
            count += 1
            return count
        }
        directory = Leftovers.directory(for: "\(number)")
        certificates = tls ? Certificates(directory: "\(directory)/tls") : nil
        try Files.makeDirectory(directory, mode: 0o755)
        for part in nodes.map(name) + ["etcd"] { try Files.makeDirectory("\(directory)/\(part)") }
        for node in nodes {
            let configuration = NodeConfiguration(
                name: name(node), directory: "\(directory)/\(name(node))", restPort: restPort(node),
                postgresqlPort: postgresqlPort(node), etcdPort: etcdPort,
                binDirectory: try Programs.postgresqlDirectory(), dynamic: dynamic, tags: tags[node] ?? [:],
                restAPI: certificates?.restAPI(of: name(node)) ?? [:], ctl: certificates?.ctl ?? [:],
                local: local(node, "\(directory)/\(name(node))"))
            try Files.replace(configurationFile(node), with: configuration.text.utf8, mode: 0o600)
        }
        try Files.replace("\(directory)/haproxy.cfg", with: haproxyConfiguration.utf8, mode: 0o600)
        if let user = User.unprivileged {
            for path in [directory] + (try Files.list(directory)).map({ "\(directory)/\($0)" }) {
                chown(path, user.uid, user.gid)
            }
        }
    }

    // MARK: Names and addresses

    func name(_ node: Int) -> String { "n\(node)" }
    func number(_ name: String) -> Int? { nodes.first { self.name($0) == name } }
    func restPort(_ node: Int) -> Int { ports.first + 10 + node }
    func postgresqlPort(_ node: Int) -> Int { ports.first + 20 + node }
    func dataDirectory(_ node: Int) -> String { "\(directory)/\(name(node))/data" }
    func configurationFile(_ node: Int) -> String { "\(directory)/\(name(node)).yml" }
    var etcdPort: Int { ports.first }
    var writesPort: Int { ports.first + 2 }
    var readsPort: Int { ports.first + 3 }
    /// Leads to the primary as `writesPort` does, found by `http-check send`.
    var sendsPort: Int { ports.first + 4 }

    /// Nobody listens there.
    var freePort: Int { ports.first + 30 }

    func conninfo(port: Int) -> String {
        "host=127.0.0.1 port=\(port) user=postgres dbname=postgres password=\(NodeConfiguration.password)"
    }

    /// A connection string for whichever node takes writes.
    var writableConninfo: String {
        let hosts = nodes.map { _ in "127.0.0.1" }.joined(separator: ",")
        let ports = nodes.map { "\(postgresqlPort($0))" }.joined(separator: ",")
        return "host=\(hosts) port=\(ports) user=postgres dbname=postgres target_session_attrs=read-write "
            + "password=\(NodeConfiguration.password)"
    }

    private var haproxyConfiguration: String {
        let ssl = certificates.map { " check-ssl verify none crt \($0.identity.file)" } ?? ""
        func listen(_ name: String, port: Int, check: String) -> String {
            let servers = nodes.map {
                "    server \(self.name($0)) 127.0.0.1:\(postgresqlPort($0)) check port \(restPort($0))\(ssl)"
            }
            return """
                listen \(name)
                    bind 127.0.0.1:\(port)
                    balance roundrobin
                    \(check)
                    http-check expect status 200
                    default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions
                \(servers.joined(separator: "\n"))

                """
        }
        return """
            defaults
                mode tcp
                timeout connect 2s
                timeout check 2s
                timeout client 10m
                timeout server 10m

            """ + listen("writes", port: writesPort, check: "option httpchk OPTIONS /primary")
                + listen("reads", port: readsPort, check: "option httpchk OPTIONS /replica")
                + listen(
                    "sends", port: sendsPort,
                    check: """
                        option httpchk
                            http-check send meth GET uri /primary ver HTTP/1.1 hdr Host check
                        """)
    }

    /// Changes the configuration file of `node`, and tells nobody.
    func edit(_ node: Int, _ old: String, _ new: String) throws {
        let file = configurationFile(node)
        let before = try Files.readText(file)
        let text = before.replacing(old, with: new)
        #expect(text != before, "nothing to edit")
        try Files.replace(file, with: text.utf8, mode: 0o600)
        if let user = User.unprivileged { chown(file, user.uid, user.gid) }
    }

    // MARK: Start and end

    func start(_ part: String, _ words: [String]) async throws {
        let process = try await Blocking.run("start") { [directory] in
            var environment = ["PATH": Programs.systemPlaces.joined(separator: ":"), "LANG": "C.UTF-8"]
            environment["HOME"] = User.unprivileged?.home ?? Programs.variable("HOME")
            environment[Leftovers.mark] = directory
            // etcd 3.4 starts on 64-bit ARM only when told so.
            environment["ETCD_UNSUPPORTED_ARCH"] = "arm64"
            let log = "\(directory)/\(part).log"
            return try OwnedProcess.start(
                try User.unprivileged?.prefixed(words) ?? words, log: log, directory: directory,
                environment: environment)
        }
        running.withLock { $0[part] = process }
    }

    func startEtcd() async throws {
        let client = "http://127.0.0.1:\(etcdPort)"
        let peer = "http://127.0.0.1:\(etcdPort + 1)"
        // One that was killed is a zombie before the last of its threads has closed what it listened at.
        try await waitUntil("the ports of etcd are free", within: 30) {
            PortBlock.isFree(etcdPort) && PortBlock.isFree(etcdPort + 1)
        }
        try await start(
            "etcd",
            [
                try Programs.system("etcd"), "--name", "e1", "--data-dir", "\(directory)/etcd/data",
                "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer, "--initial-cluster", "e1=\(peer)",
            ])
        try await waitUntil("etcd is healthy", within: 30) {
            await call("GET", port: etcdPort, "/health")?.status == 200
        }
    }

    func startHAProxy() async throws {
        try await start("haproxy", [try Programs.system("haproxy"), "-db", "-f", "\(directory)/haproxy.cfg"])
    }

    /// Starts the daemon of `node`; another one than it began with where that is said.
    func start(_ node: Int, as daemon: Programs.Daemon? = nil) async throws {
        try await start(name(node), try Programs.command(daemon ?? daemons[node - 1]) + [configurationFile(node)])
    }

    /// Starts the daemon of `node` with words of its own, without HOME and with these variables.
    func start(_ node: Int, variables: [String: String], configuration: String?) async throws {
        let assignments = variables.map { "\($0.key)=\($0.value)" }.sorted()
        let command = try Programs.command(daemons[node - 1]) + [configuration].compactMap { $0 }
        try await start(name(node), [try Programs.system("env"), "-u", "HOME"] + assignments + command)
    }

    /// Starts all daemons and waits for a leader with all others streaming; the leader's number.
    @discardableResult
    func bootstrap(at line: SourceLocation = #_sourceLocation) async throws -> Int {
        for node in nodes { try await start(node) }
        return try await healthy(within: 120, at: line)
    }

    /// The process of etcd, HAProxy or a daemon.
    func process(_ part: String) throws -> OwnedProcess {
        guard let process = running.withLock({ $0[part] }) else { throw Unmet(description: "\(part) was not started") }
        return process
    }

    func daemon(_ node: Int) throws -> OwnedProcess { try process(name(node)) }

    func postmaster(_ node: Int) -> OwnedProcess? { Leftovers.postmaster(data: dataDirectory(node)) }

    /// What a lost machine is like: the daemon, its helpers and PostgreSQL are gone at once, nothing is cleaned up.
    func loseHost(_ node: Int) async throws {
        let daemon = try daemon(node)
        try await Blocking.run("kill") { [self] in
            let postmaster = postmaster(node)
            let victims = daemon.daemonTree + [postmaster].compactMap { $0 } + (postmaster?.children ?? [])
            for victim in victims { victim.signal(SIGKILL) }
            guard Blocking.wait(upTo: 10, until: { !victims.contains { $0.isAlive } }) else {
                throw Unmet(description: "\(name(node)) survives SIGKILL")
            }
        }
    }

    private func end(failed: Bool) {
        if failed, let place = Programs.variable("MATRIARCH_LOGS") { keepLogs(in: place) }
        for process in running.withLock({ Array($0.values) }).flatMap(\.daemonTree) { process.signal(SIGKILL) }
        if Programs.variable("MATRIARCH_KEEP") == nil { Leftovers.end(directory: directory) }
    }

    private func keepLogs(in place: String) {
        guard let slash = directory.lastIndex(of: "/") else { return }
        let target = place + directory[slash...]
        try? Files.makeDirectory(target, mode: 0o755)
        for file in (try? Files.list(directory)) ?? [] where file.hasSuffix(".log") || file.hasSuffix(".yml") {
            guard let content = try? Files.read("\(directory)/\(file)") else { continue }
            try? Files.replace("\(target)/\(file)", with: content, mode: 0o644)
        }
    }

    /// How things stand: what each node says, and the ends of the logs.
    private func report() async -> String {
        var lines: [String] = []
        for node in nodes {
            lines.append("\(name(node)): \(await get(node, "/patroni")?.body ?? "no answer")")
        }
        for part in nodes.map(name) + ["etcd", "haproxy"] {
            guard let text = try? Files.readText("\(directory)/\(part).log") else { continue }
            lines.append("--- \(part).log")
            lines += text.split(separator: "\n").suffix(part == "etcd" ? 5 : 60).map(String.init)
        }
        return lines.joined(separator: "\n")
    }
}
