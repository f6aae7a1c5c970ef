import ClusterModel
import Glibc
import Posix
import Testing

/// Pause (ha-loop.md §15) on real servers.
extension ClusterIntegrationTests {
    @Test("In pause nobody starts, stops or replaces PostgreSQL, and afterwards all is whole", .timeLimit(.minutes(5)))
    func pause() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let leader = try await cluster.bootstrap()
            let replica = try #require(cluster.nodes.first { $0 != leader })
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(leader)))
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let postmaster = try #require(cluster.postmaster(leader)).pid
            try await cluster.setPause("true", by: leader)

            try await storeAway(cluster, leader)
            try await replicaKilled(cluster, replica)
            try await daemonStopped(cluster, leader, replica)

            try await cluster.setPause("null", by: leader)
            #expect(try await cluster.healthy(within: 60) == leader)
            try await writer.stop()
            #expect(writer.failures == 0)
            #expect(cluster.postmaster(leader)?.pid == postmaster)
            #expect(await cluster.timeline(leader) == 1)
        }
    }

    @Test("A pause that overtakes a switchover to anybody leaves the leader where it is", .timeLimit(.minutes(3)))
    func pauseOvertakesAHandOver() async throws {
        let slow: @Sendable (Int, String) -> JSONObject = { _, directory in
            ["postgresql": ["before_stop": .string("/bin/sh -c 'touch \(directory)/stopping; sleep 3' x")]]
        }
        try await TestCluster.with([.subject, .subject], dynamic: NodeConfiguration.quickest, local: slow) { cluster in
            let leader = try await cluster.bootstrap()
            let name = cluster.name(leader)
            let postmaster = try #require(cluster.postmaster(leader)).pid
            async let asked = cluster.answer(
                "POST", leader, "/switchover", body: #"{"leader": "\#(name)"}"#, seconds: 60)
            try await waitUntil("PostgreSQL is about to be stopped", within: 20) {
                Files.exists("\(cluster.directory)/\(name)/stopping")
            }
            try await cluster.setPause("true", by: leader)
            let answer = try await asked
            #expect(answer.status == 503, "\(answer)")
            try await waitUntil("it leads again, in the pause", within: 20) {
                guard let now = cluster.postmaster(leader)?.pid, now != postmaster else { return false }
                return await cluster.get(leader, "/primary")?.status == 200
            }
            try await cluster.sql(leader, "CREATE TABLE kept AS SELECT 1 AS row")
            #expect(await cluster.get(leader, "/patroni")?.json["pause"] == true)
            #expect(await cluster.timeline(leader) == 1)

            try await cluster.setPause("null", by: leader)
            #expect(try await cluster.healthy(within: 60) == leader)
        }
    }

    /// For longer than a lease; the key is taken again when the store is back.
    private func storeAway(_ cluster: TestCluster, _ leader: Int) async throws {
        let etcd = try cluster.process("etcd")
        let lost = bootSeconds()
        etcd.signal(SIGSTOP)
        try await waitUntil("two leases without the store", within: 30) { bootSeconds() > lost + 12 }
        etcd.signal(SIGCONT)
        try await waitUntil("the primary has its key again", within: 30) {
            await cluster.get(leader, "/primary")?.status == 200
        }
    }

    /// It stays down until somebody asks for it.
    private func replicaKilled(_ cluster: TestCluster, _ replica: Int) async throws {
        try #require(cluster.postmaster(replica)).signal(SIGKILL)
        let killed = bootSeconds()
        try await waitUntil("three cycles without it", within: 30) {
            guard await cluster.get(replica, "/patroni")?.json["state"] == "stopped" else { return false }
            return bootSeconds() > killed + 4
        }
        #expect(cluster.postmaster(replica) == nil)
        #expect(await cluster.get(replica, "/replica")?.status == 503)
        let answer = try await cluster.answer("POST", replica, "/restart", body: "{}", seconds: 60)
        #expect(answer.status == 200, "\(answer.body)")
        try await waitUntil("it is a replica again", within: 30) {
            await cluster.get(replica, "/replica")?.status == 200
        }
    }

    /// The daemon goes, PostgreSQL stays, and nobody is promoted beside it, whoever asks; another daemon goes on.
    private func daemonStopped(_ cluster: TestCluster, _ leader: Int, _ replica: Int) async throws {
        let daemon = try cluster.daemon(leader)
        daemon.signal(SIGTERM)
        try await waitUntil("the daemon has ended", within: 20) { !daemon.isAlive }
        let ended = bootSeconds()
        try await waitUntil("a lease ends", within: 30) { bootSeconds() > ended + 7 }
        #expect(await cluster.value(leader, "SELECT pg_is_in_recovery()") == "f")
        try await waitUntil("the replica knows that the primary serves on", within: 30) {
            let told = await cluster.get(replica, "/patroni")?.json["needs_operator"]?.string
            return told?.contains("resume") == true
        }
        let body = #"{"candidate": "\#(cluster.name(replica))"}"#
        let answer = try await cluster.answer("POST", replica, "/failover", body: body, seconds: 60)
        #expect(answer.status == 412 && answer.body.contains("serves on"), "\(answer)")
        #expect(await cluster.value(replica, "SELECT pg_is_in_recovery()") == "t")
        try await cluster.start(leader)
        try await waitUntil("the primary has its key again", within: 40) {
            await cluster.get(leader, "/primary")?.status == 200
        }
    }
}
