import ClusterModel
import Glibc
import Testing

extension WaitingIntegrationTests {
    @Test(
        "The primary's machine is lost: another leads when its lease has ended, HAProxy follows, the old one rejoins",
        .timeLimit(.minutes(5)))
    func hostLoss() async throws {
        try await TestCluster.with { cluster in
            try await cluster.startHAProxy()
            let old = try await cluster.bootstrap()
            try await cluster.sql(old, RowWriter.table)
            let writer = try RowWriter(cluster.conninfo(port: cluster.writesPort))
            try await waitUntil("the writer has rows that a replica confirmed", within: 20) {
                writer.confirmedByReplica.count > 50
            }

            let confirmed = writer.confirmedByReplica
            try await cluster.loseHost(old)
            let lost = bootSeconds()
            let new = try await cluster.newLeader(after: old, within: Self.takeover)
            let took = bootSeconds() - lost
            #expect(took <= Self.takeover, "another leads after \(took) s")
            try await waitUntil("the writer goes on through HAProxy", within: 30) {
                writer.rows.contains { $0.seconds > lost + took }
            }

            try await cluster.start(old)
            #expect(try await cluster.healthy(within: 60) == new)
            try await writer.stop()
            #expect(await cluster.timeline(new) == 2)
            try await expectRows(confirmed, in: cluster, on: new)
            try await expectSameRows(cluster, leader: new)
        }
    }

    @Test("PostgreSQL alone is killed: the same node is primary again on the same timeline", .timeLimit(.minutes(3)))
    func crashOfPostgreSQL() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 50 }

            let postmaster = try #require(cluster.postmaster(leader))
            let killed = bootSeconds()
            postmaster.signal(SIGKILL)
            try await waitUntil("writes go on", within: 30) { writer.rows.contains { $0.seconds > killed + 0.5 } }
            try await writer.stop()

            #expect(await cluster.leader() == leader)
            #expect(await cluster.timeline(leader) == 1)
            #expect(cluster.postmaster(leader) != postmaster)
            try await expectRows(writer.rows.map(\.id), in: cluster, on: leader)
            #expect(try await cluster.healthy(within: 30) == leader)
        }
    }

    @Test(
        "The daemon of the primary is killed; what its PostgreSQL wrote alone is rewound away", .timeLimit(.minutes(5)))
    func divergence() async throws {
        try await TestCluster.with { cluster in
            let old = try await cluster.bootstrap()
            try await cluster.sql(old, RowWriter.table)
            let daemon = try cluster.daemon(old)
            for process in daemon.daemonTree { process.signal(SIGKILL) }
            let new = try await cluster.newLeader(after: old, within: Self.takeover)
            try await cluster.writable(port: cluster.postgresqlPort(new), within: 30)

            // Whether the old PostgreSQL still takes a row depends on the guardian; nobody may keep it.
            _ = try? await cluster.sql(old, "INSERT INTO written VALUES (-1)", within: 5)
            try await cluster.sql(new, "INSERT INTO written VALUES (1)")

            try await cluster.start(old)
            #expect(try await cluster.healthy(within: 90) == new)
            for node in cluster.nodes {
                try await waitUntil("\(cluster.name(node)) has the new leader's rows alone", within: 30) {
                    await cluster.value(node, "SELECT string_agg(id::text, ',') FROM written") == "1"
                }
            }
        }
    }

    @Test("A member with the tag nofailover is passed over", .timeLimit(.minutes(4)))
    func nofailover() async throws {
        try await TestCluster.with(tags: [2: ["nofailover": true]]) { cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            for node in [2, 3] { try await cluster.start(node) }
            #expect(try await cluster.healthy(within: 60) == 1)

            let refused = try await cluster.answer(
                "POST", 1, "/switchover", body: #"{"leader": "n1", "candidate": "n2"}"#, seconds: 30)
            #expect(refused.status == 412)
            #expect(refused.body == "switchover is not possible: no good candidates have been found")

            try await cluster.loseHost(1)
            #expect(try await cluster.newLeader(after: 1, within: Self.takeover) == 3)
        }
    }
}
