import ClusterModel
import Testing

extension ClusterIntegrationTests {
    @Test(
        "All nodes start at once: one initialises, the others stream from it, HAProxy finds both kinds",
        .timeLimit(.minutes(4)))
    func bootstrap() async throws {
        try await TestCluster.with { cluster in
            try await cluster.startHAProxy()
            let leader = try await cluster.bootstrap()

            var identifiers: Set<String?> = []
            for node in cluster.nodes {
                identifiers.insert(await cluster.value(node, "SELECT system_identifier FROM pg_control_system()"))
                #expect(await cluster.value(node, "SELECT pg_is_in_recovery()") == (node == leader ? "f" : "t"))
            }
            #expect(identifiers.count == 1)

            try await cluster.writable(port: cluster.writesPort, within: 20)
            try await cluster.sql(port: cluster.writesPort, "CREATE TABLE greeting AS SELECT 'hello'::text AS word")
            try await waitUntil("the row is read through HAProxy", within: 20) {
                let rows = try? await cluster.sql(
                    port: cluster.readsPort, "SELECT word, pg_is_in_recovery() FROM greeting")
                return rows == [["hello", "t"]]
            }
            try await slotsOfReplicas(cluster, leader: leader)
            try await health(cluster, leader: leader)
            try await documents(cluster, leader: leader)
        }
    }

    private func slotsOfReplicas(_ cluster: TestCluster, leader: Int) async throws {
        let rows = try await cluster.sql(
            leader, "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' AND active ORDER BY 1")
        #expect(rows.map { $0.first ?? nil } == cluster.nodes.filter { $0 != leader }.map(cluster.name))
    }

    /// rest-api.md §6, §7: the codes by which load balancers and orchestrators choose.
    private func health(_ cluster: TestCluster, leader: Int) async throws {
        for node in cluster.nodes {
            let leads = node == leader
            let expected: [(String, Int)] = [
                ("/", leads ? 200 : 503), ("/primary", leads ? 200 : 503), ("/leader", leads ? 200 : 503),
                ("/read-write", leads ? 200 : 503), ("/replica", leads ? 503 : 200), ("/read-only", 200),
                ("/replica?lag=10MB", leads ? 503 : 200), ("/health", 200), ("/async", leads ? 503 : 200),
                ("/sync", 503), ("/standby-leader", 503), ("/no-such-path", 503),
            ]
            for (path, status) in expected {
                for method in ["GET", "HEAD", "OPTIONS"] {
                    let answer = try await cluster.answer(method, node, path)
                    #expect(answer.status == status, "\(method) \(path) on \(cluster.name(node))")
                    if method != "GET" { #expect(answer.body.isEmpty) }
                }
            }
            #expect(try await cluster.answer("GET", node, "/liveness").status == 200)
            #expect(try await cluster.answer("GET", node, "/readiness").status == 200)
        }
    }

    /// rest-api.md §8 to §11.
    private func documents(_ cluster: TestCluster, leader: Int) async throws {
        for node in cluster.nodes {
            let status = try await cluster.answer("GET", node, "/patroni").json
            #expect(status["state"] == "running")
            #expect(status["role"]?.string == (node == leader ? "primary" : "replica"))
            #expect(status["timeline"] == 1)
            #expect(status["patroni"]?["scope"] == "demo")
            #expect(status["patroni"]?["name"]?.string == cluster.name(node))
            #expect(status["database_system_identifier"]?.string != nil)

            let view = try await cluster.answer("GET", node, "/cluster").json
            #expect(view["scope"] == "demo")
            #expect(view["members"]?.array?.compactMap { $0["name"]?.string } == cluster.nodes.map(cluster.name))
            #expect(view["members"]?.array?.first { $0["role"] == "leader" }?["name"]?.string == cluster.name(leader))

            #expect(try await cluster.answer("GET", node, "/history").json == [])
            let configuration = try await cluster.answer("GET", node, "/config").json
            #expect(configuration["ttl"] == 20)
            #expect(configuration["postgresql"]?["parameters"]?["max_connections"] == 60)
        }
    }
}
