import ClusterModel
import JSON
import Testing

/// Two sites: one follows the other, takes over, and is followed in its turn (docs/standby-cluster.md).
extension ClusterIntegrationTests {
    @Test(
        "A standby cluster is made, switches and fails over, is promoted, and the other site follows it",
        .timeLimit(.minutes(6)))
    func twoSites() async throws {
        try await TestCluster.with(
            [.subject, .subject, .subject, .subject], dynamic: Site.dynamic(NodeConfiguration.quickest), local: Self.far
        ) { cluster in
            let (near, far) = (Site(cluster, "demo", 1, 2), Site(cluster, "far", 3, 4))
            try await near.start()
            #expect(try await near.leads(on: 1) == 1)
            try await cluster.sql(1, RowWriter.table)
            try await cluster.sql(1, "INSERT INTO written VALUES (1)")
            try far.configure(following: 1)
            try await far.start()
            #expect(try await far.follows(1, on: 1) == 3)

            try await far.switchOver(to: 4)
            try await cluster.sql(1, "INSERT INTO written VALUES (2)")
            #expect(try await far.follows(1, on: 1) == 4)

            try await cluster.loseHost(4)
            try await waitUntil("the other one leads the standby cluster", within: 20) {
                await cluster.get(3, "/standby-leader")?.status == 200
            }
            try await cluster.start(4)
            try await cluster.sql(1, "INSERT INTO written VALUES (3)")
            #expect(try await far.follows(1, on: 1) == 3)
            try await far.has("1,2,3")

            try await far.promote()
            let primary = try await far.leads(on: 2)
            try await cluster.sql(primary, "INSERT INTO written VALUES (4)")
            // What the first site writes from here on is nobody else's.
            try await cluster.sql(1, "INSERT INTO written VALUES (100)")
            try await near.has("1,2,3,100")

            try await near.demote(following: primary)
            try await near.follows(primary, on: 2)
            try await cluster.sql(primary, "INSERT INTO written VALUES (5)")
            for site in [near, far] { try await site.has("1,2,3,4,5") }
            let listing = try await cluster.tool().run("list", "-f", "json").json.array ?? []
            #expect(Set(listing.map { $0["Role"]?.string ?? "" }) == ["Standby Leader", "Replica"], "\(listing)")
        }
    }

    /// Nodes 3 and 4 are another cluster.
    private static let far: @Sendable (Int, String) -> JSONObject = { node, _ in node > 2 ? ["scope": "far"] : [:] }

    @Test(
        "A recovered backup gets a second site, which takes over and is followed by the first; then they change back",
        .timeLimit(.minutes(8)))
    func recoveredSites() async throws {
        try await TestCluster.with([.subject], dynamic: Self.recoverable) { source in
            try await source.bootstrap()
            let bootstrap = try recovery(of: try await makeHistory(source))
            let local: @Sendable (Int, String) -> JSONObject = { node, _ in
                node > 2 ? ["scope": "far"] : ["scope": "near", "bootstrap": bootstrap]
            }
            try await TestCluster.with(
                [.subject, .subject, .subject, .subject], dynamic: Site.dynamic(NodeConfiguration.quickest),
                local: local
            ) { cluster in
                try await changeSites(Site(cluster, "near", 1, 2), Site(cluster, "far", 3, 4))
            }
            #expect(await source.value(1, "SELECT string_agg(row::text, ',') FROM history") == "1,2,3")
            #expect(await source.timeline(1) == 1)
        }
    }

    private func changeSites(_ near: Site, _ far: Site) async throws {
        let cluster = near.cluster
        func insert(_ row: Int, on node: Int) async throws {
            try await cluster.sql(node, "INSERT INTO history VALUES (\(row))")
        }
        func expect(_ rows: String, in sites: Site...) async throws {
            for site in sites { try await site.has(rows, of: "history", "row") }
        }
        try await near.start()
        let first = try await near.leads(on: 2)
        try far.configure(following: first)
        try await far.start()
        try await far.follows(first, on: 2)
        try await insert(4, on: first)
        try await expect("1,2,4", in: near, far)

        // The first site is given up as it stands, and mended later.
        try await far.promote()
        let second = try await far.leads(on: 3)
        try await insert(5, on: second)
        try await insert(100, on: first)
        try await expect("1,2,4,100", in: near)
        try await near.demote(following: second)
        let standby = try await near.follows(second, on: 3)
        try await expect("1,2,4,5", in: near, far)

        // Back without loss: nobody takes writes until the first has everything.
        try await insert(6, on: second)
        try await far.demote(following: standby)
        try await far.follows(standby, on: 3)
        try await expect("1,2,4,5,6", in: near, far)
        try await near.promote()
        let third = try await near.leads(on: 4)
        #expect(third == standby, "who led the standby cluster leads on")
        try await insert(7, on: third)
        try await far.follows(third, on: 4)
        try await expect("1,2,4,5,6,7", in: near, far)
        let expected: [(Site, [Int64])] = [(near, [1, 2, 3]), (far, [1, 2])]
        for (site, timelines) in expected {
            let answer = try await cluster.answer("GET", site.nodes[0], "/history")
            #expect(answer.json.array?.compactMap { $0.array?.first?.int } == timelines, "\(answer)")
        }
    }

    @Test(
        "Patroni and Matriarch in both of two sites: either leads, either tool promotes and demotes",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(10)))
    func mixedSites() async throws {
        try await TestCluster.with(
            [.subject, .peer, .subject, .peer], dynamic: Site.dynamic(NodeConfiguration.quick), local: Self.far
        ) { cluster in
            let (near, far) = (Site(cluster, "demo", 1, 2), Site(cluster, "far", 3, 4))
            try await near.start()
            #expect(try await near.leads(on: 1) == 1)
            try await cluster.sql(1, RowWriter.table)
            try far.configure(following: 1)
            try await far.start()
            #expect(try await far.follows(1, on: 1) == 3)
            try await far.switchOver(to: 4)
            #expect(try await far.follows(1, on: 1) == 4)
            try await cluster.sql(1, "INSERT INTO written VALUES (1)")
            for site in [near, far] { try await site.has("1") }

            // Patroni leads there and is promoted by our tool; here Matriarch leads and is demoted by theirs.
            try await far.promote()
            let second = try await far.leads(on: 2)
            #expect(second == 4)
            try await cluster.sql(second, "INSERT INTO written VALUES (2)")
            try await cluster.sql(1, "INSERT INTO written VALUES (100)")
            try await near.demote(following: second, by: .peer)
            var standby = try await near.follows(second, on: 2)
            for site in [near, far] { try await site.has("1,2") }

            // The other way round: Patroni is demoted by our tool, Matriarch promoted by theirs.
            if standby != 1 {
                try await near.switchOver(to: 1)
                standby = try await near.follows(second, on: 2)
            }
            #expect(standby == 1)
            try await far.demote(following: standby)
            try await far.follows(standby, on: 2)
            try await near.promote(by: .peer)
            #expect(try await near.leads(on: 3) == 1)
            try await cluster.sql(1, "INSERT INTO written VALUES (3)")
            try await far.follows(1, on: 3)
            for site in [near, far] { try await site.has("1,2,3") }
        }
    }
}
