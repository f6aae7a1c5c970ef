import ClusterModel
import Glibc
import Testing

extension ClusterIntegrationTests {
    @Test("Switchover and failover on request; refusals with Patroni's codes and texts", .timeLimit(.minutes(5)))
    func switchover() async throws {
        try await TestCluster.with { cluster in
            try await cluster.startHAProxy()
            let first = try await cluster.bootstrap()
            let replicas = cluster.nodes.filter { $0 != first }
            let second = try #require(replicas.first), third = try #require(replicas.last)
            try await cluster.sql(first, RowWriter.table)
            try await refusals(cluster, leader: first, replica: second)
            #expect(await cluster.leader() == first)

            let writer = try RowWriter(cluster.conninfo(port: cluster.writesPort))
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            try await move(
                cluster, "/switchover", from: first, to: second, asking: first, "Successfully switched over to")
            let moved = bootSeconds()
            try await waitUntil("writes resume", within: 30) { writer.rows.contains { $0.seconds > moved } }
            for port in [cluster.writesPort, cluster.sendsPort] { try await cluster.leads(port, to: second) }
            try await writer.stop()
            // Nothing that was acknowledged may be lost: the old primary ships all its WAL before the new one leads.
            try await expectRows(writer.rows.map(\.id), in: cluster, on: second)

            // Any node takes the request; here a replica, for a failover to a named candidate.
            try await move(cluster, "/failover", from: second, to: third, asking: first, "Successfully failed over to")
            try await expectHistory(cluster, [second, third])
            try await inPause(cluster, from: third, to: first)
            try await restart(cluster, first)
        }
    }

    /// In pause a switchover goes to the candidate, and the old leader follows it (ha-loop.md §15).
    private func inPause(_ cluster: TestCluster, from: Int, to: Int) async throws {
        #expect(try await cluster.answer("PATCH", from, "/config", body: #"{"pause": true}"#).status == 200)
        try await waitUntil("every node knows of the pause", within: 15) {
            for node in cluster.nodes where await cluster.get(node, "/patroni")?.json["pause"] != true { return false }
            return true
        }
        try await move(cluster, "/switchover", from: from, to: to, asking: from, "Successfully switched over to")
        #expect(try await cluster.answer("PATCH", to, "/config", body: #"{"pause": null}"#).status == 200)
    }

    /// Who is told of a restart finds it done (rest-api.md §13).
    private func restart(_ cluster: TestCluster, _ node: Int) async throws {
        let answer = try await cluster.answer("POST", node, "/restart", body: "{}", seconds: 60)
        #expect(answer.status == 200 && answer.body == "restarted successfully")
        let status = try await cluster.answer("GET", node, "/patroni")
        #expect(status.status == 200 && status.json["state"] == "running")
    }

    /// Asks for a change of leader and waits until the cluster is whole under the candidate.
    private func move(
        _ cluster: TestCluster, _ path: String, from: Int, to: Int, asking: Int, _ text: String
    ) async throws {
        let leader = path == "/switchover" ? #""leader": "\#(cluster.name(from))", "# : ""
        let answer = try await cluster.answer(
            "POST", asking, path, body: #"{\#(leader)"candidate": "\#(cluster.name(to))"}"#, seconds: 60)
        #expect(answer.status == 200)
        #expect(answer.body == #"\#(text) "\#(cluster.name(to))""#)
        try await cluster.writable(port: cluster.postgresqlPort(to), within: 20)
        #expect(try await cluster.healthy(within: 60) == to)
    }

    /// rest-api.md §12.1 to §12.3.
    private func refusals(_ cluster: TestCluster, leader: Int, replica: Int) async throws {
        let name = cluster.name(leader), other = cluster.name(replica)
        let cases: [(path: String, body: String, status: Int, text: String?)] = [
            ("/switchover", "{", 400, nil), ("/switchover", "[1]", 400, nil), ("/switchover", "{}", 400, nil),
            (
                "/switchover", #"{"candidate": "\#(other)"}"#, 400,
                "Switchover could be performed only from a specific leader"
            ),
            ("/switchover", #"{"leader": "\#(other)"}"#, 412, "leader name does not match"),
            ("/switchover", #"{"leader": "\#(name)", "candidate": "nobody"}"#, 412, "candidate does not exists"),
            (
                "/switchover", #"{"leader": "\#(name)", "candidate": "\#(name)"}"#, 400,
                "Switchover target and source are the same"
            ),
            (
                "/failover", #"{"leader": "\#(name)"}"#, 400,
                "Failover could be performed only to a specific candidate"
            ),
            ("/failover", #"{"candidate": "nobody"}"#, 412, "candidate does not exists"),
        ]
        for (path, body, status, text) in cases {
            let answer = try await cluster.answer("POST", replica, path, body: body, seconds: 15)
            #expect(answer.status == status, "POST \(path) \(body)")
            if let text { #expect(answer.body == text, "POST \(path) \(body)") }
        }
    }

    /// `/history` tells, on every node, on which timeline each of `leaders` began.
    private func expectHistory(_ cluster: TestCluster, _ leaders: [Int]) async throws {
        for node in cluster.nodes {
            try await waitUntil("\(cluster.name(node)) tells the history", within: 20) {
                let lines = await cluster.get(node, "/history")?.json.array ?? []
                return lines.compactMap { $0.array?.first?.int } == Array(1...Int64(leaders.count))
                    && lines.compactMap { $0.array?.last?.string } == leaders.map(cluster.name)
            }
        }
    }

    @Test("SIGTERM hands the leadership over at once; a restarted replica comes back", .timeLimit(.minutes(4)))
    func gracefulStop() async throws {
        try await TestCluster.with { cluster in
            let old = try await cluster.bootstrap()
            try await cluster.sql(old, RowWriter.table)
            try await cluster.sql(old, "INSERT INTO written VALUES (1)")
            let stopped = bootSeconds()
            let daemon = try cluster.daemon(old)
            daemon.signal(SIGTERM)
            // A lease that is not released was renewed at most loop_wait before, and ends no sooner than this.
            let end = Self.ttl - Self.loopWait
            let new = try await cluster.newLeader(after: old, within: end)
            let took = bootSeconds() - stopped
            #expect(took < end, "another leads after \(took) s: the lease was not released")
            try await waitUntil("the daemon has ended", within: 20) { !daemon.isAlive }
            #expect(cluster.postmaster(old) == nil)
            try await cluster.writable(port: cluster.postgresqlPort(new), within: 20)
            try await expectRows([1], in: cluster, on: new)
            try await cluster.start(old)
            #expect(try await cluster.healthy(within: 60) == new)

            let replica = old
            try cluster.daemon(replica).signal(SIGTERM)
            try await waitUntil("the replica has ended", within: 20) { cluster.postmaster(replica) == nil }
            #expect(await cluster.leader() == new)
            try await cluster.start(replica)
            #expect(try await cluster.healthy(within: 60) == new)
            #expect(await cluster.timeline(new) == 2)
        }
    }

    @Test("A daemon that was killed finds its PostgreSQL running and does not restart it", .timeLimit(.minutes(4)))
    func daemonRestart() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            let replica = try #require(cluster.nodes.first { $0 != leader })
            for node in [replica, leader] {
                let postmaster = try #require(cluster.postmaster(node))
                let daemon = try cluster.daemon(node)
                daemon.signal(SIGKILL)
                try await waitUntil("the daemon has ended", within: 20) { !daemon.isAlive }
                try await cluster.start(node)
                #expect(try await cluster.healthy(within: Self.ttl - Self.loopWait) == leader)
                #expect(cluster.postmaster(node) == postmaster)
            }
            #expect(await cluster.timeline(leader) == 1)
        }
    }
}
