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

extension WaitingIntegrationTests {
    @Test(
        "What was scheduled before a pause is kept in it and done at its time after it; what came due in it is not",
        .timeLimit(.minutes(4)))
    func schedulesAndPause() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let leader = try await cluster.bootstrap()
            let others = cluster.nodes.filter { $0 != leader }
            let (candidate, third) = (others[0], others[1])
            let postmasters = cluster.nodes.map { cluster.postmaster($0) }

            let (missed, kept) = (try await cluster.instant(in: 5), try await cluster.instant(in: 40))
            for (node, time) in [(third, missed), (candidate, kept)] {
                let body = #"{"schedule": "\#(time.text)"}"#
                #expect(try await cluster.answer("POST", node, "/restart", body: body).status == 202)
            }
            let later = try await cluster.instant(in: 60)
            let request = """
                {"leader": "\(cluster.name(leader))", "candidate": "\(cluster.name(candidate))", \
                "scheduled_at": "\(later.text)"}
                """
            #expect(try await cluster.answer("POST", leader, "/switchover", body: request).status == 202)
            try await cluster.setPause("true", by: leader)
            try await waitUntil("the first has come due in the pause", within: 30) { bootSeconds() > missed.at + 4 }
            #expect(cluster.nodes.map { cluster.postmaster($0) } == postmasters)
            #expect(await cluster.get(candidate, "/patroni")?.json["scheduled_restart"]?.object != nil)
            #expect(await cluster.get(leader, "/cluster")?.json["scheduled_switchover"]?.object != nil)

            try await cluster.setPause("null", by: leader)
            // Where that took so long nothing is left to be shown.
            guard bootSeconds() < kept.at - 2 else { return }
            try await waitUntil("the restart came at its time", within: 60) {
                let now = cluster.postmaster(candidate)
                if bootSeconds() < kept.at - 1 { #expect(now == postmasters[candidate - 1]) }
                return now.map { $0 != postmasters[candidate - 1] } ?? false
            }
            try await waitUntil("the switchover came at its time", within: 60) {
                let now = await cluster.leader()
                if bootSeconds() < later.at - 1 { #expect(now == leader) }
                return now == candidate
            }
            #expect(try await cluster.healthy(within: 60) == candidate)
            #expect(cluster.postmaster(third) == postmasters[third - 1], "what came due in the pause is not done")
        }
    }
}
