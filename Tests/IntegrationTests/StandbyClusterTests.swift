import ClusterModel
import JSON
import Posix
import Testing

/// Two sites: one follows the other, takes over, and is followed in its turn (docs/standby-cluster.md).
extension ClusterIntegrationTests {
    @Test(
        "A standby cluster is made, switches and fails over, is promoted, and the other site follows it",
        .timeLimit(.minutes(6)))
    func twoSites() async throws {
        try await TestCluster.with(
            [.subject, .subject, .subject, .subject], dynamic: Self.slotsOfEachKind, local: Self.far
        ) { cluster in
            let (near, far) = (Site(cluster, "demo", 1, 2), Site(cluster, "far", 3, 4))
            try await near.start()
            #expect(try await near.leads(on: 1) == 1)
            try await cluster.sql(1, RowWriter.table)
            try await cluster.sql(1, "INSERT INTO written VALUES (1)")
            try far.configure(following: 1)
            try await far.start()
            #expect(try await far.follows(1, on: 1) == 3)
            // A slot of one kind of cluster is not made in the other.
            try await waitUntil("its leader has the slots of standby clusters", within: 30) {
                let question = "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots"
                return await cluster.value(3, question) == "far n4 of_standbys"
            }

            try await far.switchOver(to: 4)
            try await cluster.sql(1, "INSERT INTO written VALUES (2)")
            #expect(try await far.follows(1, on: 1) == 4)
            let leader = try await restartedOneByOne(far, beside: near)
            let other = try #require(far.nodes.first { $0 != leader })

            try await cluster.loseHost(leader)
            try await waitUntil("the other one leads the standby cluster", within: 20) {
                await cluster.get(other, "/standby-leader")?.status == 200
            }
            try await cluster.start(leader)
            try await cluster.sql(1, "INSERT INTO written VALUES (3)")
            #expect(try await far.follows(1, on: 1) == other)
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

    /// A rolling restart of the one site concerns nobody of the other; who leads then.
    private func restartedOneByOne(_ far: Site, beside near: Site) async throws -> Int {
        let cluster = far.cluster
        let before = (near.nodes + far.nodes).map { cluster.postmaster($0)?.pid }
        let done = try await cluster.tool(node: far.nodes[0]).run("rolling-restart", "--force", seconds: 150)
        #expect(done.code == 0 && done.output.hasSuffix("Success: every member was restarted\n"), "\(done)")
        let leader = try await far.follows(1, on: 1)
        let after = (near.nodes + far.nodes).map { cluster.postmaster($0)?.pid }
        let isNew = zip(before, after).map { $0 != $1 }
        #expect(isNew == near.nodes.map { _ in false } + far.nodes.map { _ in true }, "\(before), \(after)")
        #expect(after.allSatisfy { $0 != nil })
        return leader
    }

    private static var slotsOfEachKind: JSONObject {
        var dynamic = NodeConfiguration.quickest
        dynamic["slots"] = [
            Site.slot: ["type": "physical"], "of_primaries": ["type": "physical", "cluster_type": "primary"],
            "of_standbys": ["type": "physical", "cluster_type": "standby"],
        ]
        return dynamic
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

    @Test(
        "A site follows one that follows: three in a ring take no writes, and one of them that is promoted feeds all",
        .timeLimit(.minutes(5)))
    func cascadingSites() async throws {
        let scopes: @Sendable (Int, String) -> JSONObject = { node, _ in
            [[:], ["scope": "far"], ["scope": "farther"]][node - 1]
        }
        try await TestCluster.with(
            [.subject, .subject, .subject], dynamic: Site.dynamic(NodeConfiguration.quickest), local: scopes
        ) { cluster in
            let (near, far, farther) = (Site(cluster, "demo", 1), Site(cluster, "far", 2), Site(cluster, "farther", 3))
            try await near.start()
            try await cluster.sql(1, RowWriter.table)
            try far.configure(following: 1)
            try await far.start()
            try await far.follows(1, on: 1)
            try farther.configure(following: 2)
            try await farther.start()
            try await farther.follows(2, on: 1)
            try await cluster.sql(1, "INSERT INTO written VALUES (1)")
            try await farther.has("1")

            try await near.demote(following: 3)
            try await near.follows(3, on: 1)
            try await far.promote()
            #expect(try await far.leads(on: 2) == 2)
            try await cluster.sql(2, "INSERT INTO written VALUES (2)")
            try await farther.follows(2, on: 2)
            try await near.follows(3, on: 2)
            for site in [near, farther] { try await site.has("1,2") }
        }
    }

    @Test(
        "A site that has nothing but the archive of the other loses nothing when they change places",
        .timeLimit(.minutes(5)))
    func archivedSites() async throws {
        try await TestCluster.with(
            [.subject, .subject, .subject], dynamic: Self.archivingAside, local: Self.restoring
        ) { cluster in
            let (near, far) = (Site(cluster, "demo", 1), Site(cluster, "far", 2, 3))
            let restore = "cp \(cluster.directory)/n1/archive/%f %p"
            try await near.start()
            try await cluster.sql(1, RowWriter.table)
            let tool = "\(try Programs.postgresqlDirectory())/pg_basebackup"
            let command =
                "PGPASSWORD=\(NodeConfiguration.password) \(tool) -D ../backup -X fetch -c fast -h 127.0.0.1 "
                + "-p \(cluster.postgresqlPort(1)) -U replicator"
            try await cluster.sql(1, "COPY (SELECT 1) TO PROGRAM '\(command)'")
            try far.configure(
                following: ["restore_command": .string(restore), "create_replica_methods": ["backup", "basebackup"]])
            try await far.start()
            try await waitUntil("n3 streams from n2", within: 60) { await cluster.streams(3) }

            // In a segment that is not full.
            try await cluster.sql(1, "INSERT INTO written VALUES (1)")
            let demoted = try await cluster.tool(node: 1).run("demote-cluster", "--restore-command", restore, "--force")
            #expect(demoted.code == 0, "\(demoted)")
            let end = try #require(await cluster.value(1, "SELECT pg_last_wal_replay_lsn()"))
            try await waitUntil("the other site has everything", within: 60) {
                await cluster.value(2, "SELECT pg_last_wal_replay_lsn() >= '\(end)'") == "t"
            }
            try await far.has("1")
            try await far.promote()
            #expect(try await far.leads(on: 2) == 2)
            try await cluster.sql(2, "INSERT INTO written VALUES (2)")
            try await cluster.sql(2, "SELECT pg_switch_wal()")
            for site in [near, far] { try await site.has("1,2") }
            #expect(await cluster.get(1, "/standby-leader")?.status == 200)
        }
    }

    /// Both sites have the archive that is beside the first node's data directory.
    private static let archivingAside: JSONObject = {
        var dynamic = NodeConfiguration.quickest
        var postgresql = dynamic["postgresql"]?.object ?? [:]
        var parameters = postgresql["parameters"]?.object ?? [:]
        parameters["archive_mode"] = "on"
        parameters["archive_command"] = "mkdir -p ../../n1/archive && cp %p ../../n1/archive/%f"
        postgresql["parameters"] = .object(parameters)
        dynamic["postgresql"] = .object(postgresql)
        return dynamic
    }()

    /// Nodes 2 and 3 are another cluster, and have a method that needs nobody who leads.
    private static let restoring: @Sendable (Int, String) -> JSONObject = { node, directory in
        if node == 1 { return [:] }
        let script =
            "for word in \"$@\"; do case $word in --datadir=*) data=${word#--datadir=} ;; esac; done; "
            + "cp -a \(directory)/../n1/backup/. $data"
        let file = "\(directory)/copy.sh"
        try? Files.replace(file, with: script.utf8, mode: 0o644)
        return [
            "scope": "far",
            "postgresql": ["backup": ["command": .string("/bin/sh \(file)"), "no_leader": true]],
        ]
    }
}
