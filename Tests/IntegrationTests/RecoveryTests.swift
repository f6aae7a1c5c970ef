import ClusterModel
import Glibc
import Posix
import Testing

/// Point-in-time recovery into a new scope, and clusters that were there before (docs/bootstrap.md).
extension ClusterIntegrationTests {
    static var recoverable: JSONObject {
        var dynamic = NodeConfiguration.quickest
        var postgresql = dynamic["postgresql"]?.object ?? [:]
        var parameters = postgresql["parameters"]?.object ?? [:]
        parameters["archive_mode"] = "on"
        parameters["archive_command"] = "mkdir -p ../archive && cp %p ../archive/%f"
        postgresql["parameters"] = .object(parameters)
        dynamic["postgresql"] = .object(postgresql)
        return dynamic
    }

    /// Rows 1 to 3, a backup after the first and a restore point after the second; where backup and archive are.
    func makeHistory(_ cluster: TestCluster) async throws -> String {
        let place = "\(cluster.directory)/n1"
        try await cluster.sql(1, "CREATE TABLE history AS SELECT 1 AS row")
        let tool = "\(try Programs.postgresqlDirectory())/pg_basebackup"
        let command =
            "PGPASSWORD=\(NodeConfiguration.password) \(tool) -D \(place)/backup -X none -c fast -h 127.0.0.1 "
            + "-p \(cluster.postgresqlPort(1)) -U replicator"
        try await cluster.sql(1, "COPY (SELECT 1) TO PROGRAM '\(command)'")
        try await cluster.sql(1, "INSERT INTO history VALUES (2)")
        try await cluster.sql(1, "SELECT pg_create_restore_point('here')")
        try await cluster.sql(1, "INSERT INTO history VALUES (3)")
        let wal = try #require(await cluster.value(1, "SELECT pg_walfile_name(pg_switch_wal())"))
        try await waitUntil("\(wal) is archived", within: 30) { Files.exists("\(place)/archive/\(wal)") }
        return place
    }

    /// `bootstrap` of a cluster that is recovered from `place` to the restore point.
    func recovery(of place: String) throws -> JSONValue {
        let script = """
            set -e
            for word in "$@"; do case $word in --datadir=*) data=${word#--datadir=} ;; esac; done
            cp -a \(place)/backup/. $data
            """
        try Files.replace("\(place)/restore.sh", with: script.utf8, mode: 0o644)
        return [
            "method": "pitr",
            "pitr": [
                "command": .string("/bin/sh \(place)/restore.sh"),
                "recovery_conf": [
                    "restore_command": .string("cp \(place)/archive/%f %p"), "recovery_target_name": "here",
                    "recovery_target_action": "promote",
                ],
            ],
            "post_init": .string("/bin/sh -c 'echo \"$0\" >> \(place)/post'"),
        ]
    }

    @Test(
        "A backup is recovered to a point in time into a new scope: it leads, another node joins it, the source goes on",
        .timeLimit(.minutes(5)))
    func pointInTimeRecovery() async throws {
        try await TestCluster.with([.subject], dynamic: Self.recoverable) { source in
            try await source.bootstrap()
            let place = try await makeHistory(source)
            let bootstrap = try recovery(of: place)
            let restoring: @Sendable (Int, String) -> JSONObject = { _, _ in
                ["scope": "restored", "bootstrap": bootstrap]
            }
            try await TestCluster.with(
                [.subject, .subject], dynamic: NodeConfiguration.quickest, local: restoring
            ) { restored in
                let leader = try await restored.bootstrap()
                for node in restored.nodes {
                    #expect(await restored.value(node, "SELECT string_agg(row::text, ',') FROM history") == "1,2")
                }
                #expect(await restored.timeline(leader) == 2)
                #expect(try Files.readText("\(place)/post").split(separator: "\n").count == 1)
                try await restored.sql(leader, "INSERT INTO history VALUES (4)")
                let status = try await restored.answer("GET", leader, "/patroni").json
                #expect(status["patroni"]?["scope"] == "restored")
            }
            #expect(await source.value(1, "SELECT string_agg(row::text, ',') FROM history") == "1,2,3")
            #expect(await source.timeline(1) == 1)
        }
    }

    private static let failures: [(JSONObject, String)] = [
        (["method": "no", "no": ["command": "/bin/sh -c 'exit 7'"]], "ended with status 7"),
        (["post_init": "/bin/sh -c 'exit 8'"], "status 8"),
    ]

    @Test(
        "A bootstrap that fails is cleaned up: the store forgets it, its directory goes aside",
        .timeLimit(.minutes(3)), arguments: [0, 1])
    func bootstrapFails(_ number: Int) async throws {
        let (bootstrap, said) = Self.failures[number]
        let failing: @Sendable (Int, String) -> JSONObject = { node, _ in
            node == 1 ? ["bootstrap": .object(bootstrap)] : [:]
        }
        try await TestCluster.with(
            [.subject, .subject], dynamic: NodeConfiguration.quickest, local: failing
        ) { cluster in
            try await cluster.start(1)
            let daemon = try cluster.daemon(1)
            try await waitUntil("the daemon has ended", within: 60) { !daemon.isAlive }
            let log = try Files.readText("\(cluster.directory)/n1.log")
            #expect(log.utf8.firstRange(of: said.utf8) != nil)
            #expect(log.utf8.firstRange(of: "Failed to bootstrap cluster".utf8) != nil)
            #expect(cluster.postmaster(1) == nil)
            // Another node makes the cluster as if nothing had been.
            try await cluster.start(2)
            try await waitUntil("the second leads", within: 60) { await cluster.leader() == 2 }
        }
    }

    @Test("A cluster that was there before is taken over, with its identifier and its rows", .timeLimit(.minutes(3)))
    func takenOver() async throws {
        try await TestCluster.with([.subject], dynamic: NodeConfiguration.quickest) { before in
            try await before.bootstrap()
            try await before.sql(1, "CREATE TABLE kept AS SELECT 1 AS row")
            let identifier = await before.value(1, "SELECT system_identifier FROM pg_control_system()")
            let daemon = try before.daemon(1)
            daemon.signal(SIGTERM)
            try await waitUntil("the daemon has ended", within: 40) { !daemon.isAlive }
            let data = before.dataDirectory(1)
            let there: @Sendable (Int, String) -> JSONObject = { node, _ in
                node == 1 ? ["postgresql": ["data_dir": .string(data)]] : [:]
            }
            try await TestCluster.with(
                [.subject, .subject], dynamic: NodeConfiguration.quickest, local: there
            ) { after in
                try await after.start(1)
                try await waitUntil("it leads", within: 60) { await after.leader() == 1 }
                try await after.start(2)
                try await after.healthy(within: 60)
                #expect(await after.value(2, "SELECT system_identifier FROM pg_control_system()") == identifier)
                #expect(await after.value(2, "SELECT row FROM kept") == "1")
            }
        }
    }
}
