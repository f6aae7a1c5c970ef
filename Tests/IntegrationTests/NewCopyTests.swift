import ClusterModel
import Glibc
import Posix
import Testing

/// Where copies come from, and where they go.
extension ClusterIntegrationTests {
    @Test("A new node is copied from a member with the tag clonefrom, not from the leader", .timeLimit(.minutes(4)))
    func cloneFrom() async throws {
        let tags: [Int: JSONObject] = [1: ["clonefrom": true], 2: ["clonefrom": true]]
        try await TestCluster.with(dynamic: NodeConfiguration.quickest, tags: tags) { cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            try await waitUntil("n2 streams", within: 60) { await cluster.streams(2) }
            try await cluster.start(3)
            #expect(try await cluster.healthy(within: 60) == 1)
            #expect(try told(cluster, 2).contains("base backup from n1 is complete"))
            #expect(try told(cluster, 3).contains("base backup from n2 is complete"))
            #expect(await cluster.value(1, "SELECT count(*) FROM pg_stat_replication") == "2", "it follows the leader")
        }
    }

    @Test(
        "A data directory that is a mount point is filled, rewound and made anew",
        .enabled(if: geteuid() == 0, "only root may mount"), .timeLimit(.minutes(5)))
    func mountedDirectory() async throws {
        var dynamic = NodeConfiguration.quickest
        dynamic["maximum_lag_on_failover"] = 1_073_741_824
        try await TestCluster.with([.subject, .subject], dynamic: dynamic) { cluster in
            let place = cluster.dataDirectory(1)
            let user = try #require(User.unprivileged)
            try Files.makeDirectory(place)
            let options = "size=1g,mode=0700,uid=\(user.uid),gid=\(user.gid)"
            try #require(mount("tmpfs", place, "tmpfs", 0, options) == 0)
            defer { umount2(place, Int32(MNT_DETACH)) }

            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            #expect(try await cluster.healthy(within: 60) == 1)
            try await cluster.sql(1, RowWriter.table)
            try await part(cluster, 1)
            try await cluster.sql(2, "INSERT INTO written VALUES (1)")
            try await cluster.start(1)
            #expect(try await cluster.healthy(within: 90) == 2)
            #expect(try told(cluster, 1).contains("pg_rewind: Done!"))
            try await hasTheRow(cluster)

            let before = try #require(cluster.postmaster(1)).pid
            let answer = try await cluster.answer("POST", 1, "/reinitialize", body: #"{"force": true}"#, seconds: 30)
            #expect(answer.status == 200, "\(answer.body)")
            try await waitUntil("it was made anew", within: 90) {
                guard let now = cluster.postmaster(1)?.pid, now != before else { return false }
                return await cluster.streams(1)
            }
            try await hasTheRow(cluster)
            #expect(Files.isMountPoint(place))
        }
    }

    private func told(_ cluster: TestCluster, _ node: Int) throws -> String {
        try Files.readText("\(cluster.directory)/\(cluster.name(node)).log")
    }

    private func hasTheRow(_ cluster: TestCluster) async throws {
        try await waitUntil("the new leader's row alone is there", within: 30) {
            await cluster.value(1, "SELECT string_agg(id::text, ',') FROM written") == "1"
        }
    }

    /// `leader` writes what n2 does not receive, and its machine is lost.
    func part(_ cluster: TestCluster, _ leader: Int) async throws {
        let receiver = try #require(
            await cluster.value(2, "SELECT pid FROM pg_stat_wal_receiver").flatMap { Int32($0) })
        kill(receiver, SIGSTOP)
        defer { kill(receiver, SIGCONT) }
        let much = "INSERT INTO written SELECT -1 FROM generate_series(1, 200000)"
        for _ in 0..<3 { try await cluster.sql(leader, much) }
        try await cluster.loseHost(leader)
        kill(receiver, SIGCONT)
        _ = try await cluster.newLeader(after: leader, within: 60)
        try await cluster.writable(port: cluster.postgresqlPort(2), within: 30)
    }
}
