import ClusterModel
import Glibc
import Testing

/// What is asked for now and done at its time (rest-api.md §5, §6).
extension ClusterIntegrationTests {
    @Test("A scheduled restart and a switchover happen at their time, not before", .timeLimit(.minutes(4)))
    func schedules() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let leader = try await cluster.bootstrap()
            let replica = try #require(cluster.nodes.first { $0 != leader })
            let before = try #require(cluster.postmaster(replica))

            let restart = try await cluster.instant(in: 4)
            let body = #"{"schedule": "\#(restart.text)"}"#
            #expect(try await cluster.answer("POST", replica, "/restart", body: body).status == 202)
            try await waitUntil("the restart is told of", within: 3) {
                await cluster.get(replica, "/patroni")?.json["scheduled_restart"]?.object != nil
            }
            try await waitUntil("the replica was restarted", within: 30) {
                let now = cluster.postmaster(replica)
                // The text has whole seconds.
                if bootSeconds() < restart.at - 1 { #expect(now == before) }
                return now.map { $0 != before } ?? false
            }
            #expect(bootSeconds() > restart.at - 1)
            #expect(try await cluster.healthy(within: 60) == leader)
            #expect(await cluster.get(replica, "/patroni")?.json["scheduled_restart"] == nil)

            let switchover = try await cluster.instant(in: 4)
            let request = """
                {"leader": "\(cluster.name(leader))", "candidate": "\(cluster.name(replica))", \
                "scheduled_at": "\(switchover.text)"}
                """
            #expect(try await cluster.answer("POST", leader, "/switchover", body: request).status == 202)
            try await waitUntil("the candidate leads", within: 30) {
                let now = await cluster.leader()
                if bootSeconds() < switchover.at - 1 { #expect(now == leader) }
                return now == replica
            }
            #expect(bootSeconds() > switchover.at - 1)
            #expect(try await cluster.healthy(within: 60) == replica)
        }
    }

    @Test("A primary that cannot start makes way for another member, and follows when it can", .timeLimit(.minutes(4)))
    func primaryThatCannotStart() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let old = try await cluster.bootstrap()
            try await cluster.sql(old, RowWriter.table)
            try await cluster.sql(old, "INSERT INTO written VALUES (1)")
            try await cluster.sql(old, "ALTER SYSTEM SET shared_preload_libraries = 'there_is_none_of_this_name'")
            try #require(cluster.postmaster(old)).signal(SIGKILL)
            let new = try await cluster.newLeader(after: old, within: 60)
            try await cluster.writable(port: cluster.postgresqlPort(new), within: 30)
            #expect(await cluster.value(new, "SELECT string_agg(id::text, ',') FROM written") == "1")
            unlink(cluster.dataDirectory(old) + "/postgresql.auto.conf")
            #expect(try await cluster.healthy(within: 90) == new)
        }
    }
}
