import ClusterModel
import Glibc
import Posix
import Testing

extension WaitingIntegrationTests {
    /// Without a guardian a daemon that is killed leaves its primary running; Patroni's rule is made for that.
    @Test(
        "With primary_race_backoff nobody is promoted while WAL comes from a primary whose key has gone",
        .timeLimit(.minutes(3)))
    func raceBackoff() async throws {
        var dynamic = NodeConfiguration.quickest
        dynamic["primary_race_backoff"] = 60
        let (ttl, loopWait) = (5.0, 1.0)
        let unguarded: @Sendable (Int, String) -> JSONObject = { _, _ in ["guardian": ["mode": "off"]] }
        try await TestCluster.with([.subject, .subject], dynamic: dynamic, local: unguarded) { cluster in
            let leader = try await cluster.bootstrap()
            let standby = try #require(cluster.nodes.first { $0 != leader })
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(leader)))
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let postmaster = try #require(cluster.postmaster(leader))

            try cluster.daemon(leader).signal(SIGKILL)
            try await waitUntil("the key has gone and the standby waits", within: ttl + 15) {
                let log = try Files.readText("\(cluster.directory)/\(cluster.name(standby)).log")
                return log.utf8.firstRange(of: "wal position moved since last heart beat loop".utf8) != nil
            }
            // Without the rule the standby had led by now.
            let waiting = bootSeconds()
            try await waitUntil("several turns of the loop", within: 10) { bootSeconds() > waiting + 4 * loopWait }
            #expect(await cluster.value(standby, "SELECT pg_is_in_recovery()") == "t")

            try await cluster.start(leader)
            #expect(try await cluster.healthy(within: 30) == leader)
            #expect(cluster.postmaster(leader) == postmaster)
            #expect(await cluster.timeline(leader) == 1)
            try await writer.stop()
            #expect(writer.failures == 0)
        }
    }
}
