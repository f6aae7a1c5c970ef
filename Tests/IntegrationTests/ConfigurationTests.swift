import ClusterModel
import JSON
import Testing

extension ClusterIntegrationTests {
    @Test(
        "PATCH /config reaches every PostgreSQL: by a reload, or as a restart that is pending", .timeLimit(.minutes(4)))
    func dynamicConfiguration() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            let replica = try #require(cluster.nodes.first { $0 != leader })

            let reload = try await cluster.answer(
                "PATCH", replica, "/config", body: #"{"postgresql": {"parameters": {"work_mem": "9MB"}}}"#)
            #expect(reload.status == 200)
            #expect(reload.json["postgresql"]?["parameters"]?["work_mem"] == "9MB")
            #expect(reload.json["postgresql"]?["parameters"]?["max_connections"] == 60, "a patch merges")
            for node in cluster.nodes {
                try await waitUntil("work_mem of \(cluster.name(node))", within: 15) {
                    await cluster.value(node, "SHOW work_mem") == "9MB"
                }
                #expect(await cluster.get(node, "/patroni")?.json["pending_restart"] == nil)
            }

            try await pendingRestart(cluster, leader: leader)
            try await removal(cluster, leader: leader)
            try await refusedPatches(cluster, leader: leader)
        }
    }

    private func pendingRestart(_ cluster: TestCluster, leader: Int) async throws {
        let answer = try await cluster.answer(
            "PATCH", leader, "/config", body: #"{"postgresql": {"parameters": {"max_connections": 77}}}"#)
        #expect(answer.status == 200)
        for node in cluster.nodes {
            try await waitUntil("pending_restart of \(cluster.name(node))", within: 15) {
                await cluster.get(node, "/patroni")?.json["pending_restart"] == true
            }
            let reason = await cluster.get(node, "/patroni")?.json["pending_restart_reason"]?["max_connections"]
            #expect(reason == ["old_value": "60", "new_value": "77"])
            #expect(await cluster.value(node, "SHOW max_connections") == "60")
        }
        try await waitUntil("the members' keys tell it", within: 15) {
            await cluster.members(leader).allSatisfy { $0["pending_restart"] == true }
        }
    }

    private func removal(_ cluster: TestCluster, leader: Int) async throws {
        let answer = try await cluster.answer(
            "PATCH", leader, "/config", body: #"{"postgresql": {"parameters": {"work_mem": null}}}"#)
        #expect(answer.status == 200)
        #expect(answer.json["postgresql"]?["parameters"]?["work_mem"] == nil)
        for node in cluster.nodes {
            try await waitUntil("work_mem of \(cluster.name(node)) is the default again", within: 15) {
                await cluster.value(node, "SHOW work_mem") == "4MB"
            }
        }
    }

    private func refusedPatches(_ cluster: TestCluster, leader: Int) async throws {
        let before = try await cluster.answer("GET", leader, "/config").json
        for body in ["{", "{}", "[]", "\"text\""] {
            for method in ["PATCH", "PUT"] {
                #expect(
                    try await cluster.answer(method, leader, "/config", body: body).status == 400, "\(method) \(body)")
            }
        }
        #expect(try await cluster.answer("GET", leader, "/config").json == before)
        let same = try await cluster.answer("PUT", leader, "/config", body: JSON.text(before))
        #expect(same.status == 200)
        #expect(same.json == before)
    }
}
