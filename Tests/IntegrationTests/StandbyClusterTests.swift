import ClusterModel
import JSON
import Posix
import Testing

/// Two sites: one follows the other, takes over, and is followed in its turn (docs/standby-cluster.md).
extension ClusterIntegrationTests {
    /// Nodes 1 and 2 are one cluster; 3 and 4 another one, which follows node 1.
    private static let dynamic: JSONObject = {
        var dynamic = NodeConfiguration.quickest
        dynamic["slots"] = ["far": ["type": "physical"]]
        return dynamic
    }()

    @Test(
        "A standby cluster is made, switches and fails over, is promoted, and the other site follows it",
        .timeLimit(.minutes(6)))
    func twoSites() async throws {
        try await TestCluster.with([.subject, .subject, .subject, .subject], dynamic: Self.dynamic) { cluster in
            try await startFirstSite(cluster)
            try await cluster.sql(1, RowWriter.table)
            try await cluster.sql(1, "INSERT INTO written VALUES (1)")
            try await startSecondSite(cluster)
            try await isStandbySite(cluster, leader: 3, replica: 4)

            let switched = try await cluster.answer(
                "POST", 3, "/switchover", body: #"{"leader": "n3", "candidate": "n4"}"#, seconds: 60)
            #expect(switched.status == 200 && switched.body == "Successfully switched over to \"n4\"", "\(switched)")
            try await cluster.sql(1, "INSERT INTO written VALUES (2)")
            try await isStandbySite(cluster, leader: 4, replica: 3)

            try await cluster.loseHost(4)
            try await waitUntil("the other one leads the standby cluster", within: 20) {
                await cluster.get(3, "/standby-leader")?.status == 200
            }
            try await cluster.start(4)
            try await cluster.sql(1, "INSERT INTO written VALUES (3)")
            try await isStandbySite(cluster, leader: 3, replica: 4)
            try await has(cluster, [3, 4], rows: "1,2,3")

            try await promoteSecondSite(cluster)
            try await demoteFirstSite(cluster)
        }
    }

    private func startFirstSite(_ cluster: TestCluster) async throws {
        try await cluster.start(1)
        try await waitUntil("n1 leads", within: 60) { await cluster.get(1, "/primary")?.status == 200 }
        try await cluster.start(2)
        try await waitUntil("n2 streams", within: 60) { await cluster.streams(2) }
    }

    private func startSecondSite(_ cluster: TestCluster) async throws {
        let port = cluster.postgresqlPort(1)
        let section = #""standby_cluster":{"host":"127.0.0.1","port":\#(port),"primary_slot_name":"far"}"#
        for node in [3, 4] {
            let text = try Files.readText(cluster.configurationFile(node))
            let key = try #require(["\"loop_wait\":", "\"loop_wait\" :"].first { text.contains($0) })
            try cluster.edit(node, key, "\(section),\(key)")
            try cluster.edit(node, "\"demo\"", "\"far\"")
        }
        try await cluster.start(3)
        try await waitUntil("n3 leads the standby cluster", within: 60) {
            await cluster.get(3, "/standby-leader")?.status == 200
        }
        try await cluster.start(4)
    }

    /// Nobody of the site accepts writes; one leads, and the other one streams from it.
    private func isStandbySite(_ cluster: TestCluster, leader: Int, replica: Int) async throws {
        try await waitUntil("\(cluster.name(replica)) streams from \(cluster.name(leader))", within: 60) {
            let sender = "SELECT count(*) FROM pg_stat_replication WHERE application_name = '\(cluster.name(replica))'"
            guard await cluster.get(leader, "/standby_leader")?.status == 200, await cluster.streams(replica),
                await cluster.value(leader, sender) == "1"
            else { return false }
            let roles = await cluster.members(replica).map { $0["role"]?.string ?? "" }
            return Set(roles) == ["standby_leader", "replica"]
        }
        try await waitUntil("the primary elsewhere sends by its slot", within: 30) {
            let slot = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'far' AND active"
            let sender = "SELECT pid FROM pg_stat_replication WHERE application_name = '\(cluster.name(leader))'"
            let (by, of) = (await cluster.value(1, slot), await cluster.value(1, sender))
            return by != nil && by == of
        }
        for (path, expected) in [("/leader", (200, 503)), ("/primary", (503, 503)), ("/replica", (503, 200))] {
            #expect(await cluster.get(leader, path)?.status == expected.0, "\(path) of the leader")
            #expect(await cluster.get(replica, path)?.status == expected.1, "\(path) of the replica")
        }
        #expect(await cluster.get(leader, "/patroni")?.json["role"]?.string == "standby_leader")
        for node in [leader, replica] {
            #expect(await cluster.value(node, "SELECT pg_is_in_recovery()") == "t")
            #expect(await cluster.timeline(node) == 1)
        }
    }

    private func has(_ cluster: TestCluster, _ nodes: [Int], rows: String) async throws {
        let statement = "SELECT string_agg(id::text, ',' ORDER BY id) FROM written"
        for node in nodes {
            try await waitUntil("\(cluster.name(node)) has \(rows)", within: 90) {
                await cluster.value(node, statement) == rows
            }
        }
    }

    private func promoteSecondSite(_ cluster: TestCluster) async throws {
        let tool = OperatorTool(program: .ours, options: ["-c", cluster.configurationFile(3)])
        let promoted = try await tool.run("promote-cluster", "--force")
        #expect(promoted.code == 0 && promoted.output.contains(" cluster is successfully promoted\n"), "\(promoted)")
        try await cluster.sql(3, "INSERT INTO written VALUES (4)")
        try await waitUntil("n4 streams from the new primary", within: 60) {
            guard await cluster.streams(4) else { return false }
            return await cluster.timeline(4) == 2
        }
        // What the first site writes from here on is nobody else's.
        try await cluster.sql(1, "INSERT INTO written VALUES (100)")
        try await has(cluster, [2], rows: "1,2,3,100")
    }

    private func demoteFirstSite(_ cluster: TestCluster) async throws {
        let tool = OperatorTool(program: .ours, options: ["-c", cluster.configurationFile(1)])
        let demoted = try await tool.run(
            "demote-cluster", "--host", "127.0.0.1", "--port", "\(cluster.postgresqlPort(3))", "--force")
        #expect(demoted.code == 0 && demoted.output.contains(" cluster is successfully demoted\n"), "\(demoted)")
        try await has(cluster, [1, 2], rows: "1,2,3,4")
        try await cluster.sql(3, "INSERT INTO written VALUES (5)")
        try await has(cluster, [1, 2, 4], rows: "1,2,3,4,5")
        let listing = try await tool.run("list", "-f", "json").json.array ?? []
        #expect(Set(listing.map { $0["Role"]?.string ?? "" }) == ["Standby Leader", "Replica"], "\(listing)")
        for node in [1, 2] { #expect(await cluster.timeline(node) == 2, "nobody was promoted there") }
    }
}
