import ClusterModel
import Glibc
import JSON
import Posix
import Testing

/// Who streams from whom, and who does not stream at all.
extension ClusterIntegrationTests {
    private static let archiving: JSONObject = {
        var dynamic = NodeConfiguration.quickest
        var postgreSQL = dynamic["postgresql"]?.object ?? JSONObject()
        var parameters = postgreSQL["parameters"]?.object ?? JSONObject()
        parameters["archive_mode"] = "on"
        // From the data directory to one beside those of the nodes.
        parameters["archive_command"] =
            "mkdir -p ../../archive && cp %p ../../archive/%f.new && mv ../../archive/%f.new ../../archive/%f"
        postgreSQL["parameters"] = .object(parameters)
        postgreSQL["recovery_conf"] = ["restore_command": "cp ../../archive/%f %p"]
        dynamic["postgresql"] = .object(postgreSQL)
        return dynamic
    }()

    /// The members that stream from `node`, as its server has it.
    private func receivers(_ cluster: TestCluster, of node: Int) async -> [Int] {
        let names = await cluster.value(
            node, "SELECT string_agg(application_name, ',') FROM pg_stat_replication WHERE state = 'streaming'")
        return (names ?? "").split(separator: ",").compactMap { cluster.number(String($0)) }.sorted()
    }

    private func wait(
        _ cluster: TestCluster, _ receivers: [Int: [Int]], within seconds: Double = 60,
        at line: SourceLocation = #_sourceLocation
    ) async throws {
        for (node, wanted) in receivers.sorted(by: { $0.key < $1.key }) {
            try await waitUntil("\(wanted) stream from \(node)", within: seconds, at: line) {
                await self.receivers(cluster, of: node) == wanted
            }
        }
    }

    private func slots(_ cluster: TestCluster, _ node: Int) async -> String? {
        await cluster.value(node, "SELECT string_agg(slot_name, ',' ORDER BY slot_name) FROM pg_replication_slots")
    }

    private func tags(_ cluster: TestCluster, _ asked: Int, of node: Int) async -> JSONValue? {
        await cluster.members(asked).first { $0["name"]?.string == cluster.name(node) }?["tags"]
    }

    @Test(
        "A cascade of three and a node that has the archive alone live through a failover of the root",
        .timeLimit(.minutes(6)))
    func cascade() async throws {
        let tags: [Int: JSONObject] = [3: ["replicatefrom": "n2"], 4: ["nostream": true]]
        let nodes = [Programs.Daemon](repeating: .subject, count: 4)
        try await TestCluster.with(nodes, dynamic: Self.archiving, tags: tags) { cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            for node in 2...4 { try await cluster.start(node) }
            try await wait(cluster, [1: [2], 2: [3]])
            try await waitUntil("n4 replays the archive", within: 30) {
                await cluster.get(4, "/patroni")?.json["replication_state"] == "in archive recovery"
            }
            // Who does not stream has no slot, and slots for all who do.
            for (node, wanted) in [1: "n2,n3", 2: "n1,n3", 3: "n1,n2", 4: "n1,n2,n3"] {
                try await waitUntil("the slots of n\(node)", within: 20) { await slots(cluster, node) == wanted }
            }

            try await cluster.sql(1, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 50 }
            try await cluster.sql(1, "SELECT pg_switch_wal()")
            for node in 2...4 {
                try await waitUntil("n\(node) has rows", within: 30) {
                    await cluster.value(node, "SELECT count(*) > 20 FROM written") == "t"
                }
            }
            #expect(await receivers(cluster, of: 1) == [2])

            let confirmed = writer.confirmedByReplica
            try await cluster.loseHost(1)
            let lost = bootSeconds()
            let leader = try await cluster.newLeader(after: 1, within: 60)
            // The archive ends before what was streamed.
            try #require([2, 3].contains(leader))
            let other = 5 - leader
            try await wait(cluster, [leader: [other]])
            try await waitUntil("writes resume", within: 30) { writer.rows.contains { $0.seconds > lost } }
            try await cluster.start(1)
            try await wait(cluster, [leader: [1, other]])
            try await writer.stop()
            try await expectRows(confirmed, in: cluster, on: leader)
            try await cluster.sql(leader, "SELECT pg_switch_wal()")
            try await expectSameRows(cluster, leader: leader)
            #expect(await cluster.get(4, "/patroni")?.json["replication_state"] == "in archive recovery")
            try await changeTags(cluster, leader: leader, other: other)
        }
    }

    /// A cascade, a circle and streaming instead of the archive, each by a reload.
    private func changeTags(_ cluster: TestCluster, leader: Int, other: Int) async throws {
        let old = other == 3 ? #""tags": {"replicatefrom": "n2"}"# : #""tags": {}"#
        try cluster.edit(4, #""tags": {"nostream": true}"#, #""tags": {"zone": "b", "rack": 12}"#)
        try cluster.daemon(4).signal(SIGHUP)
        try await wait(cluster, [leader: [1, 4, other].sorted()])
        #expect(await slots(cluster, leader)?.contains("n4") == true)

        try cluster.edit(1, #""tags": {}"#, #""tags": {"replicatefrom": "n\#(other)"}"#)
        #expect(try await cluster.answer("POST", 1, "/reload").status == 202)
        try await wait(cluster, [leader: [4, other].sorted(), other: [1]])

        try cluster.edit(other, old, #""tags": {"replicatefrom": "n1"}"#)
        try cluster.daemon(other).signal(SIGHUP)
        // Whoever is in the circle streams from the leader.
        try await wait(cluster, [leader: [1, 4, other].sorted(), other: []])
        for node in [1, other] {
            try await waitUntil("n\(node) says why", within: 10) {
                try Files.readText("\(cluster.directory)/n\(node).log").contains("replicatefrom leads back to me")
            }
        }
        let wanted: [Int: JSONValue] = [
            1: ["replicatefrom": .string("n\(other)")], other: ["replicatefrom": "n1"], 4: ["zone": "b", "rack": 12],
        ]
        for (node, wanted) in wanted {
            try await waitUntil("/cluster shows the tags of n\(node)", within: 10) {
                await self.tags(cluster, leader, of: node) == wanted
            }
        }
    }
}
