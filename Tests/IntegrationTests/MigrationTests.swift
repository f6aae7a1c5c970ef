import ClusterModel
import Glibc
import Testing

/// A running cluster moves from Patroni to us and back, node by node as docs/migration.md has it, while a client
/// writes.
extension WaitingIntegrationTests {
    @Test(
        "Three nodes of Patroni become ours and Patroni's again: no row is lost, and writes pause for two switchovers",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(10)))
    func migration() async throws {
        try await TestCluster.with([.peer, .peer, .peer]) { cluster in
            var leader = try await cluster.bootstrap()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }

            var switched: [ClosedRange<Double>] = []
            for daemon in [Programs.Daemon.subject, .peer] {
                let former = leader
                for node in cluster.nodes where node != former {
                    try await move(cluster, node, to: daemon, stopsServer: true)
                    #expect(try await cluster.healthy(within: 60) == former)
                }
                let began = bootSeconds()
                leader = try await switchOver(cluster, from: former)
                let resumed = bootSeconds()
                try await waitUntil("writes resume", within: 30) { writer.rows.contains { $0.seconds > resumed } }
                switched.append(began...bootSeconds())
                #expect(try await cluster.healthy(within: 60) == leader)
                try await move(cluster, former, to: daemon, stopsServer: true)
                #expect(try await cluster.healthy(within: 60) == leader)
            }
            try await writer.stop()
            try await expectRows(writer.rows.map(\.id), in: cluster, on: leader)
            try await expectSameRows(cluster, leader: leader)

            let gaps = writer.gaps(longerThan: 0.25)
            let lengths = gaps.map { $0.upperBound - $0.lowerBound }
            print("migration: \(writer.rows.count) rows, without writes for \(lengths) s")
            for gap in gaps where gap.upperBound - gap.lowerBound > 1 {
                #expect(switched.contains { $0.overlaps(gap) }, "writes paused outside of the switchovers")
            }
            for node in cluster.nodes { #expect(try await cluster.guardian(node) == nil, "nothing of ours is left") }
        }
    }

    @Test(
        "In pause a cluster moves to us and back without a restart of PostgreSQL, whoever is its parent",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(10)))
    func migrationInPause() async throws {
        try await TestCluster.with([.peer, .peer, .peer]) { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }

            let before = cluster.nodes.map { cluster.postmaster($0) }
            try await moveAllInPause(cluster, leader, to: .subject)
            #expect(cluster.nodes.map { cluster.postmaster($0) } == before, "PostgreSQL was not restarted")
            let failures = writer.failures
            #expect(failures == 0 && writer.gaps(longerThan: 1).isEmpty)

            // From here on PostgreSQL is a child of the guardian, who must let go of it.
            for node in cluster.nodes {
                let answer = try await cluster.answer("POST", node, "/restart", body: "{}", seconds: 60)
                #expect(answer.status == 200, "\(answer.body)")
                #expect(try await cluster.healthy(within: 60) == leader)
            }
            let ours = cluster.nodes.map { cluster.postmaster($0) }
            let left = bootSeconds()
            try await waitUntil("writes resume", within: 30) { writer.rows.contains { $0.seconds > left } }
            let restarted = writer.failures
            try await moveAllInPause(cluster, leader, to: .peer)
            // For longer than any lease of ours has lasted.
            let moved = bootSeconds()
            try await waitUntil("a lease ends", within: 60) { bootSeconds() > moved + Self.ttl + 5 }
            #expect(try await cluster.healthy(within: 30) == leader)
            #expect(cluster.nodes.map { cluster.postmaster($0) } == ours, "nobody has ended PostgreSQL")
            #expect(writer.failures == restarted && writer.gaps(longerThan: 1).allSatisfy { $0.upperBound < left })

            // Patroni stops and starts what runs below our guardian, which waits for a daemon for ten seconds and ends.
            for node in cluster.nodes {
                let answer = try await cluster.answer("POST", node, "/restart", body: "{}", seconds: 60)
                #expect(answer.status == 200, "\(answer.body)")
                #expect(try await cluster.healthy(within: 60) == leader)
            }
            let theirs = cluster.nodes.map { cluster.postmaster($0) }
            for node in cluster.nodes {
                try await waitUntil("nothing of ours is left", within: 20) { try await cluster.guardian(node) == nil }
            }
            #expect(cluster.nodes.map { cluster.postmaster($0) } == theirs, "the guardian ends alone")
            try await writer.stop()
            try await expectRows(writer.rows.map(\.id), in: cluster, on: leader)
        }
    }

    /// The daemon of `node` ends in order, and another one goes on.
    private func move(
        _ cluster: TestCluster, _ node: Int, to daemon: Programs.Daemon, stopsServer: Bool
    ) async throws {
        let old = try cluster.daemon(node)
        old.signal(SIGTERM)
        try await waitUntil("the daemon of \(cluster.name(node)) has ended", within: 60) { !old.isAlive }
        #expect((cluster.postmaster(node) == nil) == stopsServer)
        try await cluster.start(node, as: daemon)
    }

    /// By the tool that both have: to the first other node.
    private func switchOver(_ cluster: TestCluster, from old: Int) async throws -> Int {
        let new = try #require(cluster.nodes.first { $0 != old })
        _ = try await Tool.run(
            [
                try Programs.peer("patronictl"), "-c", cluster.configurationFile(old), "switchover", "demo", "--leader",
                cluster.name(old), "--candidate", cluster.name(new), "--force",
            ])
        try await waitUntil("\(cluster.name(new)) leads", within: 60) { await cluster.leader() == new }
        return new
    }

    private func moveAllInPause(_ cluster: TestCluster, _ leader: Int, to daemon: Programs.Daemon) async throws {
        try await cluster.setPause("true", by: leader, within: 30)
        for node in cluster.nodes.sorted(by: { ($0 == leader ? 1 : 0, $0) < ($1 == leader ? 1 : 0, $1) }) {
            try await move(cluster, node, to: daemon, stopsServer: false)
            #expect(try await cluster.healthy(within: 60) == leader)
        }
        try await cluster.setPause("null", by: leader, within: 30)
        #expect(try await cluster.healthy(within: 60) == leader)
    }
}
