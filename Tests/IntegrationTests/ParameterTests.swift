import ClusterModel
import JSON
import Testing

extension ClusterIntegrationTests {
    @Test(
        "Settings of a role follow a switchover; a restart that is pending is told with its reason everywhere",
        .timeLimit(.minutes(4)))
    func parametersByRole() async throws {
        try await TestCluster.with { cluster in
            let first = try await cluster.bootstrap()
            let second = try #require(cluster.nodes.first { $0 != first })
            let body = """
                {"postgresql": {"parameters_primary": {"work_mem": "7MB"}, "parameters_replica": {"work_mem": "5MB"},
                "parameters": {"shared_buffers": "24MB"}}}
                """
            #expect(try await cluster.answer("PATCH", first, "/config", body: body).status == 200)
            try await putWrongValues(cluster, first)
            try await inRoles(cluster, leader: first)
            for node in cluster.nodes {
                try await waitUntil("maintenance_work_mem of \(cluster.name(node)) is the least there is", within: 30) {
                    await cluster.value(node, "SHOW maintenance_work_mem") == "1MB"
                }
                #expect(await cluster.value(node, "SHOW bytea_output") == "hex", "a wrong value is left out")
            }
            try await reasons(cluster, first)

            let request = #"{"leader": "\#(cluster.name(first))", "candidate": "\#(cluster.name(second))"}"#
            #expect(try await cluster.answer("POST", first, "/switchover", body: request, seconds: 60).status == 200)
            try await waitUntil("the other node leads", within: 30) { await cluster.leader() == second }
            try await inRoles(cluster, leader: second)
            let undo = #"{"postgresql": {"parameters_primary": null, "parameters_replica": null}}"#
            #expect(try await cluster.answer("PATCH", second, "/config", body: undo).status == 200)
            for node in cluster.nodes {
                try await waitUntil("nothing is left of the roles on \(cluster.name(node))", within: 20) {
                    await cluster.value(node, "SHOW work_mem") == "4MB"
                }
            }
        }
    }

    /// The API refuses what PostgreSQL would; Patroni, and who writes to the store by hand, put it there all the same.
    private func putWrongValues(_ cluster: TestCluster, _ asked: Int) async throws {
        let wrong: JSONObject = ["maintenance_work_mem": "1kB", "bytea_output": "octal"]
        let patch = JSON.text(["postgresql": ["parameters": .object(wrong)]] as JSONObject)
        #expect(try await cluster.answer("PATCH", asked, "/config", body: patch).status == 400)
        var document = try #require(try await cluster.answer("GET", asked, "/config").json.object)
        var postgresql = try #require(document["postgresql"]?.object)
        var parameters = try #require(postgresql["parameters"]?.object)
        for parameter in wrong.members { parameters[parameter.key] = parameter.value }
        postgresql["parameters"] = .object(parameters)
        document["postgresql"] = .object(postgresql)
        try await cluster.put("demo", "config", JSON.text(document))
    }

    private func inRoles(_ cluster: TestCluster, leader: Int) async throws {
        for node in cluster.nodes {
            let wanted = node == leader ? "7MB" : "5MB"
            try await waitUntil("work_mem of \(cluster.name(node)) is \(wanted)", within: 30) {
                await cluster.value(node, "SHOW work_mem") == wanted
            }
        }
    }

    private func reasons(_ cluster: TestCluster, _ asked: Int) async throws {
        for node in cluster.nodes {
            try await waitUntil("\(cluster.name(node)) tells why", within: 15) {
                let reason = await cluster.get(node, "/patroni")?.json["pending_restart_reason"]?["shared_buffers"]
                return reason?["new_value"] == "24MB" && reason?["old_value"]?.string?.hasSuffix("MB") == true
            }
            let metrics = try await cluster.answer("GET", node, "/metrics").body
            #expect(metrics.contains("patroni_pending_restart{") && metrics.contains("\(cluster.name(node))\"} 1"))
        }
        try await waitUntil("/cluster tells it of every member", within: 15) {
            await cluster.members(asked).allSatisfy { member in
                member["pending_restart_reason"]?["shared_buffers"]?["new_value"] == "24MB"
            }
        }
    }
}
