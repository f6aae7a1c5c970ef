import ClusterModel
import Glibc
import Testing

/// Failsafe mode (docs/failsafe.md): who leads goes on without the store while all others let it.
extension WaitingIntegrationTests {
    private static func failsafe(ttl: Int64 = 10) -> JSONObject {
        var dynamic = NodeConfiguration.quick
        dynamic["ttl"] = .int(ttl)
        dynamic["failsafe_mode"] = true
        return dynamic
    }

    @Test(
        "In failsafe mode the store may be away for longer than a lease: no write fails, nobody is restarted",
        .timeLimit(.minutes(5)))
    func failsafe() async throws {
        try await TestCluster.with(dynamic: Self.failsafe(ttl: 8)) { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.failsafeNamesAll()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(leader)))
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let postmaster = try #require(cluster.postmaster(leader)).pid

            // For less than a lease, and for as long as that seven end.
            try await outage(cluster, leader, lasts: 5) { _ in }
            try await outage(cluster, leader, lasts: 60) { since in
                guard bootSeconds() > since + 10 else { return }
                for node in cluster.nodes {
                    let status = await cluster.get(node, "/patroni")?.json
                    #expect(status?["failsafe_mode_is_active"] == true, "\(cluster.name(node))")
                }
            }
            try await waitUntil("writes go on with the store", within: 15) {
                let last = writer.lastAcknowledged ?? 0
                return bootSeconds() - last < 1
            }
            #expect(try await cluster.healthy(within: 30) == leader)
            try await writer.stop()
            #expect(writer.failures == 0)
            #expect(cluster.postmaster(leader)?.pid == postmaster)
            #expect(await cluster.timeline(leader) == 1)
            let times = writer.rows.map(\.seconds)
            let gap = zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? 0
            #expect(gap < 4, "no row for \(gap) s")
        }
    }

    @Test("In failsafe mode the primary stops in time where one member does not answer", .timeLimit(.minutes(4)))
    func failsafeWithoutOne() async throws {
        try await TestCluster.with(dynamic: Self.failsafe()) { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.failsafeNamesAll()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let gone = try #require(cluster.nodes.first { $0 != leader })
            // Its key is there still, and so is its name in /failsafe.
            try await cluster.loseHost(gone)
            let etcd = try cluster.process("etcd")
            let lost = bootSeconds()
            etcd.signal(SIGSTOP)
            try await waitUntil("nobody takes writes or says so", within: 20) {
                for node in cluster.nodes where node != gone {
                    if await cluster.get(node, "/primary")?.status == 200 { return false }
                    if await cluster.value(node, "SELECT pg_is_in_recovery()") == "f" { return false }
                }
                return true
            }
            let last = try #require(writer.lastAcknowledged)
            #expect(last < lost + 10, "a row was acknowledged \(last - lost) s after the loss of the store")
            etcd.signal(SIGCONT)
            try await cluster.start(gone)
            let back = bootSeconds()
            try await cluster.healthy(within: 90)
            try await waitUntil("writes go on", within: 15) { writer.rows.contains { $0.seconds > back } }
            try await writer.stop()
        }
    }

    @Test(
        "Patroni's nodes and ours let each other lead without the store",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(6)))
    func failsafeWithPeer() async throws {
        try await TestCluster.with([.subject, .subject, .peer], dynamic: Self.failsafe(ttl: 20)) {
            cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            for node in [2, 3] { try await cluster.start(node) }
            #expect(try await cluster.healthy(within: 60) == 1)
            try await withoutStore(cluster, leader: 1)
            // Until the promises have ended nobody could take over.
            let body = #"{"leader": "n1", "candidate": "n3"}"#
            _ = try await cluster.answer("POST", 1, "/switchover", body: body, seconds: 90)
            try await waitUntil("Patroni's node leads", within: 60) { await cluster.leader() == 3 }
            #expect(try await cluster.healthy(within: 60) == 3)
            try await withoutStore(cluster, leader: 3)
        }
    }

    @Test(
        "In failsafe mode whatever answers in etcd's place is no store: nobody steps down, no write fails",
        .timeLimit(.minutes(5)))
    func failsafeBesideImpostors() async throws {
        try await TestCluster.with(dynamic: Self.failsafe(ttl: 8)) { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.failsafeNamesAll()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(leader)))
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let postmaster = try #require(cluster.postmaster(leader)).pid
            for impostor in Impostor.allCases {
                let since = bootSeconds()
                let (program, _) = try await impostor.replaceEtcd(of: cluster)
                defer { program.signal(SIGKILL) }
                // The lease that the store has granted has ended by then.
                try await waitUntil("a lease has passed", within: 60) {
                    #expect(await cluster.get(leader, "/primary")?.status == 200, "\(impostor)")
                    return bootSeconds() > since + 9
                }
                program.signal(SIGKILL)
                try await waitUntil("the impostor has gone", within: 10) { !program.isAlive }
                try await cluster.startEtcd()
                #expect(try await cluster.healthy(within: 60) == leader, "\(impostor)")
            }
            try await writer.stop()
            #expect(writer.failures == 0)
            #expect(cluster.postmaster(leader)?.pid == postmaster)
        }
    }

    private func withoutStore(_ cluster: TestCluster, leader: Int) async throws {
        try await cluster.failsafeNamesAll()
        try await cluster.sql(leader, RowWriter.table)
        let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(leader)))
        try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
        let postmaster = try #require(cluster.postmaster(leader)).pid
        // Patroni knows no lease of less than 20 s, and steps down a retry_timeout after the store went;
        // ours steps down in 14.7 s.
        try await outage(cluster, leader, lasts: 30) { _ in }
        #expect(try await cluster.healthy(within: 60) == leader)
        try await writer.stop()
        #expect(writer.failures == 0)
        #expect(cluster.postmaster(leader)?.pid == postmaster)
    }

    /// etcd hangs for so many seconds; meanwhile `leader` says that it leads.
    private func outage(
        _ cluster: TestCluster, _ leader: Int, lasts seconds: Double, _ look: (Double) async -> Void
    ) async throws {
        let etcd = try cluster.process("etcd")
        let since = bootSeconds()
        etcd.signal(SIGSTOP)
        defer { etcd.signal(SIGCONT) }
        try await waitUntil("\(seconds) s without the store", within: seconds + 30) {
            #expect(await cluster.get(leader, "/primary")?.status == 200, "\(bootSeconds() - since) s")
            await look(since)
            return bootSeconds() > since + seconds
        }
    }
}

extension TestCluster {
    /// Waits until `/failsafe` names all members, as every node tells it.
    func failsafeNamesAll() async throws {
        let all = Set(nodes.map(name))
        try await waitUntil("/failsafe names all members", within: 30) {
            for node in nodes {
                let found = await get(node, "/failsafe")?.json.object?.members.map(\.key) ?? []
                if Set(found) != all { return false }
            }
            return true
        }
    }
}
