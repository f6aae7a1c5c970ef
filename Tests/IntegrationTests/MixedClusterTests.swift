import ClusterModel
import JSON
import Testing

/// One node of three runs Patroni: whoever leads, each goes on with what the other has left.
extension ClusterIntegrationTests {
    private static func mixed(_ mode: String) -> JSONObject {
        var dynamic = NodeConfiguration.quick
        dynamic["synchronous_mode"] = mode == "quorum" ? "quorum" : true
        dynamic["slots"] = [
            "logical": ["type": "logical", "database": "postgres", "plugin": "pgoutput"],
            "physical": ["type": "physical"],
        ]
        var postgreSQL = dynamic["postgresql"]?.object ?? JSONObject()
        var parameters = postgreSQL["parameters"]?.object ?? JSONObject()
        parameters["wal_level"] = "logical"
        postgreSQL["parameters"] = .object(parameters)
        dynamic["postgresql"] = .object(postgreSQL)
        return dynamic
    }

    /// The document below `/service/demo/`; nil where there is none.
    private func stored(_ cluster: TestCluster, _ leaf: String) async -> JSONValue? {
        let key = Base64.encode("/service/demo/\(leaf)")
        let answer = await cluster.call("POST", port: cluster.etcdPort, "/v3/kv/range", body: #"{"key": "\#(key)"}"#)
        guard let value = answer?.json["kvs"]?.array?.first?["value"]?.string, let bytes = Base64.decode(value) else {
            return nil
        }
        return try? JSON.parse(String(decoding: bytes, as: UTF8.self))
    }

    /// `/sync`, the names and the roles are those of the leader and its standbys, and agree.
    private func isInStep(_ cluster: TestCluster, _ leader: Int, isQuorum: Bool) async -> Bool {
        guard let sync = await stored(cluster, "sync"), sync["leader"]?.string == cluster.name(leader),
            let text = await cluster.value(leader, "SHOW synchronous_standby_names"),
            let names = SynchronousNames(text), let listed = sync["sync_standby"]?.string
        else { return false }
        let voters = listed.split(separator: ",").map { String($0) }
        let others = cluster.nodes.filter { $0 != leader }.map { cluster.name($0) }
        let isWhole = isQuorum ? voters == others : voters.count == 1 && others.contains(voters[0])
        return isWhole && Set(voters) == names.names && names.number == 1
            && sync["quorum"]?.int == (isQuorum ? 1 : 0) && (names.method == .quorum) == isQuorum
    }

    /// Every node has the other members' slots and the permanent ones, and `/status` tells of them all.
    private func hasSlots(_ cluster: TestCluster, _ leader: Int) async -> Bool {
        for node in cluster.nodes {
            let wanted = (cluster.nodes.filter { $0 != node }.map { cluster.name($0) } + ["logical", "physical"])
                .sorted()
            let found = await cluster.value(
                node, "SELECT string_agg(slot_name, ',' ORDER BY slot_name) FROM pg_replication_slots")
            if found != wanted.joined(separator: ",") { return false }
        }
        guard let status = await stored(cluster, "status"), let slots = status["slots"]?.object else { return false }
        let retained = status["retain_slots"]?.array?.compactMap(\.string) ?? []
        return Set(cluster.nodes.map { cluster.name($0) } + ["logical", "physical"]) == Set(slots.keys)
            && Set(retained) == Set(cluster.nodes.map { cluster.name($0) }) && (status["optime"]?.int ?? 0) > 0
    }

    @Test(
        "A cluster with a Patroni node keeps /sync, slots and /status, whoever leads",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(10)),
        arguments: ["on", "quorum"])
    func mixedCluster(_ mode: String) async throws {
        let isQuorum = mode == "quorum"
        // While one of ours leads Patroni's node is the synchronous one, so that each can follow the other.
        let tags: [Int: JSONObject] = [2: ["sync_priority": 2]]
        try await TestCluster.with([.subject, .peer, .subject], dynamic: Self.mixed(mode), tags: tags) { cluster in
            var leader = try await cluster.bootstrap()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo, isSynchronous: true)
            var led: [Int] = []
            for round in 1...5 {
                led.append(leader)
                try await waitUntil("/sync and the names agree, round \(round)", within: 60) {
                    await isInStep(cluster, leader, isQuorum: isQuorum)
                }
                try await waitUntil("all slots are there, round \(round)", within: 90) {
                    await hasSlots(cluster, leader)
                }
                if round == 5 { break }
                var heirs: [Int] = leader == 2 ? [1, 3] : [2]
                if !isQuorum {
                    try await waitUntil("one of \(heirs) is synchronous", within: 60) {
                        let sync = await stored(cluster, "sync")?["sync_standby"]?.string
                        guard let heir = heirs.first(where: { cluster.name($0) == sync }) else { return false }
                        heirs = [heir]
                        return true
                    }
                }
                let answer = try await cluster.answer(
                    "POST", leader, "/switchover",
                    body: #"{"leader": "\#(cluster.name(leader))", "candidate": "\#(cluster.name(heirs[0]))"}"#,
                    seconds: 60)
                #expect(answer.status == 200, "\(answer.body)")
                leader = try await cluster.healthy(within: 90)
                #expect(leader == heirs[0])
            }
            #expect(led.contains(2) && led.contains { $0 != 2 })
            try await writer.stop()
            #expect(writer.rows.count > 20)
            try await expectRows(writer.rows.map(\.id), in: cluster, on: leader)
        }
    }
}
