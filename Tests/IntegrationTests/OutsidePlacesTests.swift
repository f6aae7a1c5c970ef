import ClusterModel
import Glibc
import Posix
import Testing

/// A primary that parts and comes back, with a tablespace and its WAL outside of its data directory, and without a way
/// to be rewound.
extension ClusterIntegrationTests {
    @Sendable private static func outside(_ node: Int, _ directory: String) -> JSONObject {
        let other = "\(directory.dropLast())\(3 - node)"
        let wal: JSONValue = ["waldir": .string("\(directory)/wal")]
        return [
            "bootstrap": ["initdb": [["encoding": "UTF8"], "data-checksums", wal]],
            "postgresql": ["basebackup": [wal, ["tablespace-mapping": .string("\(other)/space=\(directory)/space")]]],
        ]
    }

    /// Everything is where the node's configuration has it.
    private func checkPlaces(_ cluster: TestCluster, _ when: String) throws {
        for node in cluster.nodes {
            let place = "\(cluster.directory)/\(cluster.name(node))"
            #expect(linkTarget("\(place)/data/pg_wal") == "\(place)/wal", "\(cluster.name(node)) \(when)")
            let links = try Files.list("\(place)/data/pg_tblspc").map { linkTarget("\(place)/data/pg_tblspc/\($0)") }
            #expect(links == ["\(place)/space"], "\(cluster.name(node)) \(when)")
            #expect(try Files.list("\(place)/space").count == 1, "\(cluster.name(node)) \(when)")
        }
    }

    private func hasTheRowAlone(_ cluster: TestCluster) async throws {
        try await waitUntil("the new leader's row alone is there", within: 30) {
            await cluster.value(1, "SELECT string_agg(id::text, ',') FROM written") == "1"
        }
    }

    private static var losingMuch: JSONObject {
        var dynamic = NodeConfiguration.quickest
        dynamic["maximum_lag_on_failover"] = 1_073_741_824
        return dynamic
    }

    private func makeAnew(_ cluster: TestCluster, _ node: Int) async throws {
        let before = cluster.postmaster(node)
        let answer = try await cluster.answer("POST", node, "/reinitialize", body: #"{"force": true}"#, seconds: 30)
        #expect(answer.status == 200, "\(answer.body)")
        try await waitUntil("it was made anew", within: 90) {
            guard let now = cluster.postmaster(node), now != before else { return false }
            return await cluster.streams(node)
        }
    }

    @Test(
        "A tablespace and a WAL directory elsewhere survive pg_rewind and a new copy, and stay where they are",
        .timeLimit(.minutes(5)))
    func placesOutside() async throws {
        try await TestCluster.with([.subject, .subject], dynamic: Self.losingMuch, local: Self.outside) { cluster in
            for node in cluster.nodes {
                let space = "\(cluster.directory)/\(cluster.name(node))/space"
                try Files.makeDirectory(space)
                if let user = User.unprivileged { chown(space, user.uid, user.gid) }
            }
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            // Replayed, its creation would name the leader's own place: so before the other one is copied.
            try await cluster.sql(1, "CREATE TABLESPACE outside LOCATION '\(cluster.directory)/n1/space'")
            try await cluster.sql(1, "CREATE TABLE written(id bigint) TABLESPACE outside")
            try await cluster.start(2)
            #expect(try await cluster.healthy(within: 60) == 1)
            try checkPlaces(cluster, "at first")

            try await part(cluster, 1)
            try await cluster.sql(2, "INSERT INTO written VALUES (1)")
            try await cluster.start(1)
            #expect(try await cluster.healthy(within: 90) == 2)
            #expect(try Files.readText("\(cluster.directory)/n1.log").contains("pg_rewind: Done!"))
            try await hasTheRowAlone(cluster)
            try checkPlaces(cluster, "after pg_rewind")

            try await makeAnew(cluster, 1)
            try await hasTheRowAlone(cluster)
            try checkPlaces(cluster, "after a copy")
        }
    }

    @Test(
        "An old primary that pg_rewind cannot mend is copied anew where that is allowed, else kept until it is asked for",
        .timeLimit(.minutes(4)), arguments: [true, false])
    func withoutRewind(isRemoved: Bool) async throws {
        let local: @Sendable (Int, String) -> JSONObject = { _, directory in
            // Names are below `bin_dir`.
            let rewind = String(repeating: "../", count: 12) + "\(directory)/rewind".dropFirst()
            return [
                "postgresql": [
                    "bin_name": ["pg_rewind": .string(rewind)],
                    "remove_data_directory_on_rewind_failure": .bool(isRemoved),
                    "remove_data_directory_on_diverged_timelines": .bool(isRemoved),
                ]
            ]
        }
        try await TestCluster.with([.subject, .subject], dynamic: Self.losingMuch, local: local) { cluster in
            let says = "echo 'pg_rewind: fatal: could not find common ancestor of the timelines'"
            let program = "\(cluster.directory)/n1/rewind"
            try Files.replace(program, with: "#!/bin/sh\n\(says)\nexit 1\n".utf8, mode: 0o755)
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            #expect(try await cluster.healthy(within: 60) == 1)
            try await cluster.sql(1, RowWriter.table)
            try await part(cluster, 1)
            try await cluster.sql(2, "INSERT INTO written VALUES (1)")
            // A copy has no such file.
            let mark = "\(cluster.dataDirectory(1))/of_before"
            try Files.replace(mark, with: "".utf8, mode: 0o644)
            try await cluster.start(1)
            if !isRemoved {
                try await waitUntil("an operator is asked", within: 60) {
                    let said = await cluster.get(1, "/patroni")?.json["needs_operator"]?.string
                    return said?.contains("remove_data_directory_on_") == true
                }
                #expect(Files.exists(mark))
                #expect(await cluster.leader() == 2)
                try await makeAnew(cluster, 1)
            }
            #expect(try await cluster.healthy(within: 90) == 2)
            #expect(!Files.exists(mark))
            try await hasTheRowAlone(cluster)
        }
    }
}
