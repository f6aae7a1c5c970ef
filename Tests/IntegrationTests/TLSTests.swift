import ClusterModel
import Glibc
import Posix
import Testing

extension ClusterIntegrationTests {
    @Test(
        """
        HTTPS with client certificates: HAProxy and the peers follow a switchover, a new certificate disturbs nobody, \
        promtool is content
        """, .timeLimit(.minutes(4)))
    func clientCertificates() async throws {
        try await TestCluster.with([.subject, .subject], tls: true) { cluster in
            try await cluster.startHAProxy()
            let first = try await cluster.bootstrap()
            let second = try #require(cluster.nodes.first { $0 != first })
            try await access(cluster, first)
            try await metrics(cluster)
            for port in [cluster.writesPort, cluster.sendsPort] { try await cluster.leads(port, to: first) }

            // The feasibility of a switchover is judged by what the candidate answers to the leader's own certificate.
            let answer = try await cluster.answer(
                "POST", first, "/switchover", body: #"{"leader": "\#(cluster.name(first))"}"#, seconds: 60)
            #expect(answer.status == 200)
            #expect(answer.body == #"Successfully switched over to "\#(cluster.name(second))""#)
            for port in [cluster.writesPort, cluster.sendsPort] { try await cluster.leads(port, to: second) }
            try await cluster.leads(cluster.readsPort, to: first, within: 30)

            try await newCertificate(cluster, first)
        }
    }

    /// Who is let in, and how the answers are signed (rest-api.md §3, §4).
    private func access(_ cluster: TestCluster, _ node: Int) async throws {
        let port = cluster.restPort(node)
        let file = try #require(cluster.certificates?.identity.file)
        func call(_ method: String, _ path: String, _ identity: ClientIdentity?) async throws -> HTTPAnswer? {
            try await Blocking.run("http") { HTTPCall.send(method, port: port, path, identity: identity) }
        }
        #expect(try await call("GET", "/patroni", nil)?.status == 400, "plain HTTP to a TLS port is told so")
        #expect(try await call("GET", "/patroni", ClientIdentity(file: "")) == nil, "no certificate")
        let stranger = ClientIdentity(file: file)
        let status = try #require(try await call("GET", "/patroni", stranger))
        #expect(status.status == 200 && status.header("Server") == "Patroni")
        #expect(status.header("X-Plain") == "both" && status.header("X-Over") == "tls")
        for path in ["/reload", "/mpp", "/citus", "/failsafe", "/restart"] {
            let refused = try #require(try await call("POST", path, stranger))
            #expect(refused.status == 401 && refused.body == "no auth header received", "POST \(path)")
            #expect(refused.header("WWW-Authenticate") == #"Basic realm="Patroni""#)
            #expect(refused.header("X-Over") == "tls")
        }
        let wrong = try #require(
            try await call("POST", "/reload", ClientIdentity(file: file, credentials: "dTpx")))
        #expect(wrong.status == 401 && wrong.body == "not authenticated")
        #expect(try await cluster.answer("POST", node, "/reload").status == 202)
    }

    /// rest-api.md §17, in its order.
    private static let series = [
        "version", "postgres_running", "postmaster_start_time", "primary", "xlog_location", "standby_leader", "replica",
        "sync_standby", "quorum_standby", "xlog_received_location", "xlog_replayed_location", "xlog_replayed_timestamp",
        "xlog_paused", "postgres_streaming", "postgres_in_archive_recovery", "postgres_server_version",
        "cluster_unlocked", "failsafe_mode_is_active", "failsafe_mode_enabled", "failsafe_member", "postgres_timeline",
        "dcs_last_seen", "pending_restart", "is_paused", "postgres_state", "failover_priority",
    ]

    private func metrics(_ cluster: TestCluster) async throws {
        let promtool = try Programs.variable("MATRIARCH_PROMTOOL") ?? Programs.system("promtool")
        for node in cluster.nodes {
            let text = try await cluster.answer("GET", node, "/metrics").body
            let found = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap { line in
                line.split(separator: "{").first.map(String.init)
            }
            // Beside those of the spec there are our own.
            #expect(found.filter { $0.hasPrefix("patroni_") } == Self.series.map { "patroni_\($0)" })
            #expect(found.allSatisfy { $0.hasPrefix("patroni_") || $0.hasPrefix("matriarch_") })
            let file = "\(cluster.directory)/metrics-\(node)"
            try Files.replace(file, with: text.utf8, mode: 0o644)
            // Fails, and the test with it, where there is anything to say.
            let said = try await Tool.run(["/bin/sh", "-c", #""$0" check metrics < "$1""#, promtool, file])
            #expect(said == "")
        }
    }

    /// A certificate that is replaced on disk is served soon (within two seconds, measured apart, on a machine that is
    /// not busy); whoever is connected goes on undisturbed.
    private func newCertificate(_ cluster: TestCluster, _ node: Int) async throws {
        let port = cluster.restPort(node)
        let certificates = try #require(cluster.certificates)
        let identity = certificates.identity
        func connect() async throws -> HTTPConnection? {
            try await Blocking.run("http") { HTTPConnection(port: port, identity: identity) }
        }
        let kept = try #require(try await connect())
        #expect(kept.serverName == cluster.name(node))
        for (name, isSignalled) in [("renewed", false), ("again", true)] {
            try await certificates.replace(cluster.name(node), named: name)
            if isSignalled { try cluster.daemon(node).signal(SIGHUP) }
            try await waitUntil("the certificate \(name) is served", within: 10) {
                let answer = try await Blocking.run("http") { kept.ask("/patroni") }
                #expect(answer?.status == 200, "the open connection was disturbed")
                return try await connect()?.serverName == name
            }
            let answer = try await Blocking.run("http") { kept.ask("/liveness") }
            #expect(answer?.status == 200 && kept.serverName == cluster.name(node))
        }
    }
}
