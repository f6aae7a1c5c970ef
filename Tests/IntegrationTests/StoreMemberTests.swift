import ClusterModel
import Glibc
import Testing

/// Parts of the store are away, or the store is for some: nobody steps down for that in failsafe mode.
extension AroundIntegrationTests {
    /// What becomes of a member of the store.
    private enum Away { case killed, frozen }

    @Test(
        "With one of three etcds killed, frozen and back again, each in its turn, no write fails and nobody steps down",
        .timeLimit(.minutes(6)))
    func failsafeStoreMembers() async throws {
        var dynamic = NodeConfiguration.quick
        dynamic["ttl"] = 8
        dynamic["failsafe_mode"] = true
        try await TestCluster.with(dynamic: dynamic) { cluster in
            try await cluster.useThreeStores()
            let leader = try await cluster.bootstrap()
            try await cluster.failsafeNamesAll()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(leader)))
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let postmasters = cluster.nodes.map { cluster.postmaster($0)?.pid }
            for member in TestCluster.storeMembers {
                for away in [Away.killed, .frozen] {
                    let process = try cluster.storeMember(member)
                    let since = bootSeconds()
                    process.signal(away == .killed ? SIGKILL : SIGSTOP)
                    // Whoever was connected to it has lost a lease by then that it could not renew elsewhere.
                    try await waitUntil("a lease has passed", within: 60) {
                        #expect(await cluster.get(leader, "/primary")?.status == 200, "\(member) is \(away)")
                        return bootSeconds() > since + 9
                    }
                    if away == .killed { try await cluster.startStore(member) } else { process.signal(SIGCONT) }
                    #expect(try await cluster.healthy(within: 60) == leader, "\(member) was \(away)")
                }
            }
            try await writer.stop()
            #expect(writer.failures == 0)
            #expect(cluster.nodes.map { cluster.postmaster($0)?.pid } == postmasters)
            #expect(await cluster.timeline(leader) == 1)
        }
    }

    @Test("A member that has gone for good leaves /failsafe, and is not asked any more", .timeLimit(.minutes(4)))
    func failsafeMemberGone() async throws {
        var dynamic = NodeConfiguration.quick
        dynamic["ttl"] = 8
        dynamic["failsafe_mode"] = true
        dynamic["failsafe_timeout"] = 1
        try await TestCluster.with(dynamic: dynamic) { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.failsafeNamesAll()
            let gone = try #require(cluster.nodes.first { $0 != leader })
            let daemon = try cluster.daemon(gone)
            daemon.signal(SIGTERM)
            try await waitUntil("its daemon has ended", within: 40) { !daemon.isAlive }
            try await waitUntil("/failsafe names the others", within: 60) {
                let named = await cluster.get(leader, "/failsafe")?.json.object?.members.map(\.key) ?? []
                return Set(named) == Set(cluster.nodes.filter { $0 != gone }.map(cluster.name))
            }
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(leader)))
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let postmaster = try #require(cluster.postmaster(leader)).pid
            let etcd = try cluster.process("etcd")
            let since = bootSeconds()
            etcd.signal(SIGSTOP)
            defer { etcd.signal(SIGCONT) }
            try await waitUntil("two leases have passed", within: 60) {
                #expect(await cluster.get(leader, "/primary")?.status == 200)
                return bootSeconds() > since + 18
            }
            #expect(await cluster.get(leader, "/patroni")?.json["failsafe_mode_is_active"] == true)
            etcd.signal(SIGCONT)
            try await cluster.start(gone)
            #expect(try await cluster.healthy(within: 60) == leader)
            try await writer.stop()
            #expect(writer.failures == 0)
            #expect(cluster.postmaster(leader)?.pid == postmaster)
        }
    }
}
