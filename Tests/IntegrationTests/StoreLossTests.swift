import ClusterModel
import Glibc
import Testing

/// How the store goes away.
enum StoreLoss: CaseIterable, Sendable {
    /// It hangs: connections stay open, nobody answers.
    case frozen
    /// It is gone: connections are refused.
    case killed
}

extension WaitingIntegrationTests {
    @Test(
        "Without the store the primary stops before its lease can be taken, and the cluster heals",
        .timeLimit(.minutes(4)), arguments: StoreLoss.allCases)
    func storeLoss(_ loss: StoreLoss) async throws {
        let (ttl, loopWait) = (10.0, 2.0)
        var dynamic = NodeConfiguration.quick
        dynamic["ttl"] = .int(Int64(ttl))
        dynamic["loop_wait"] = .int(Int64(loopWait))
        try await TestCluster.with(dynamic: dynamic) { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer has rows that a replica confirmed", within: 20) {
                writer.confirmedByReplica.count > 50
            }

            let confirmed = writer.confirmedByReplica
            let etcd = try cluster.process("etcd")
            let lost = bootSeconds()
            etcd.signal(loss == .frozen ? SIGSTOP : SIGKILL)

            // The last renewal was at most loop_wait before the loss, so the lease may end that much before lost + ttl.
            let end = lost + ttl - loopWait
            try await waitUntil("no node takes writes or says it does", within: end - lost) {
                for node in cluster.nodes {
                    if await cluster.get(node, "/primary")?.status == 200 { return false }
                    if await cluster.value(node, "SELECT pg_is_in_recovery()") == "f" { return false }
                }
                return true
            }
            let absence = loss == .frozen ? 60 : ttl + 3
            try await waitUntil("the lease has run out", within: absence + 10) { bootSeconds() > lost + absence }
            let last = try #require(writer.lastAcknowledged)
            #expect(last < end, "a row was acknowledged \(last - lost) s after the loss of the store")
            #expect(await cluster.leader() == nil)

            if loss == .frozen { etcd.signal(SIGCONT) } else { try await cluster.startEtcd() }
            let back = bootSeconds()
            let new = try await cluster.healthy(within: 60)
            try await waitUntil("writes go on", within: 15) { writer.rows.contains { $0.seconds > back } }
            try await writer.stop()
            try await expectRows(confirmed, in: cluster, on: new)
            try await expectSameRows(cluster, leader: new)
        }
    }

    @Test("A pause of the store that is shorter than retry_timeout stops nobody", .timeLimit(.minutes(3)))
    func storeBlip() async throws {
        let loopWait = 2.0
        var dynamic = NodeConfiguration.quick
        dynamic["loop_wait"] = .int(Int64(loopWait))
        dynamic["retry_timeout"] = 8
        try await TestCluster.with(dynamic: dynamic) { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let etcd = try cluster.process("etcd")
            let lost = bootSeconds()
            etcd.signal(SIGSTOP)
            try await waitUntil("five seconds without the store", within: 10) { bootSeconds() > lost + 5 }
            etcd.signal(SIGCONT)
            let back = bootSeconds()
            try await waitUntil("two cycles with it", within: 15) {
                bootSeconds() > back + 2 * loopWait + 1 && writer.rows.contains { $0.seconds > back + 1 }
            }
            try await writer.stop()
            #expect(await cluster.leader() == leader)
            #expect(await cluster.timeline(leader) == 1)
            let times = writer.rows.map(\.seconds)
            let gap = zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? 0
            #expect(gap < 3, "no row for \(gap) s")
        }
    }
}
