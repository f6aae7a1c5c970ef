import ClusterModel
import Glibc
import JSON
import Posix
import Testing

/// Why operators restart all members: new packages, and settings that wait for it.
extension ClusterIntegrationTests {
    @Sendable private static func ownPrograms(_ node: Int, _ directory: String) -> JSONObject {
        ["postgresql": ["bin_dir": .string("\(directory)/bin")]]
    }

    /// A directory of programs of its own for `node`, so that its packages can be "replaced".
    private func makePrograms(_ cluster: TestCluster, _ node: Int) throws {
        let real = try Programs.postgresqlDirectory()
        let own = "\(cluster.directory)/\(cluster.name(node))/bin"
        try Files.makeDirectory(own, mode: 0o755)
        for program in try Files.list(real) where program != "postgres" {
            guard symlink("\(real)/\(program)", "\(own)/\(program)") == 0 else { throw SystemError(call: "symlink") }
        }
        try replacePackage(cluster, node, says: nil)
    }

    /// From now on the installed server says that it is `version`; the one that runs stays what it is.
    private func replacePackage(_ cluster: TestCluster, _ node: Int, says version: String?) throws {
        let real = "\(try Programs.postgresqlDirectory())/postgres"
        let line = version.map { #"[ "$1" = --version ] && { echo "postgres (PostgreSQL) \#($0)"; exit; }"# } ?? ":"
        let script = "#!/bin/sh\n\(line)\nexec \(real) \"$@\"\n"
        let path = "\(cluster.directory)/\(cluster.name(node))/bin/postgres"
        try Files.replace(path, with: script.utf8, mode: 0o755)
    }

    private func start(_ cluster: TestCluster, _ node: Int) async throws -> String {
        try #require(await cluster.value(node, "SELECT pg_postmaster_start_time()"))
    }

    private func installed(_ cluster: TestCluster, _ node: Int) async -> Int? {
        await cluster.get(node, "/patroni")?.json["installed_server_version"]?.int.map { Int($0) }
    }

    @Test("upgrade minor restarts those whose packages are newer, and no others", .timeLimit(.minutes(5)))
    func upgradeMinor() async throws {
        try await TestCluster.with(
            dynamic: NodeConfiguration.quickest, local: Self.ownPrograms
        ) { cluster in
            for node in cluster.nodes { try makePrograms(cluster, node) }
            let first = try await cluster.bootstrap()
            let tool = cluster.tool()
            let outdated = try #require(cluster.nodes.first { $0 != first })
            let current = try #require(cluster.nodes.last { $0 != first })
            let running = try #require(await cluster.value(first, "SHOW server_version_num").flatMap(Int.init))
            let major = running / 10_000
            let before = (try await start(cluster, first), try await start(cluster, current))

            // Another major version is no minor upgrade.
            try replacePackage(cluster, outdated, says: "\(major + 1).0")
            try await waitUntil("the new package is seen", within: 30) {
                await installed(cluster, outdated) == (major + 1) * 10_000
            }
            let refused = try await tool.run("upgrade", "minor", "--force")
            #expect(refused.code == 1 && refused.errors.contains("another major version does not start"), "\(refused)")

            for node in [outdated, first] {
                try replacePackage(cluster, node, says: "\(major).99")
                try await waitUntil("the new package is seen", within: 30) {
                    await installed(cluster, node) == major * 10_000 + 99
                }
            }
            let aborted = try await tool.run(["upgrade", "minor"], input: "n\n")
            #expect(aborted.code == 1 && aborted.errors == "Error: Aborted upgrade\n", "\(aborted)")
            let done = try await tool.run("upgrade", "minor", "--force", seconds: 200)
            #expect(done.code == 0 && done.output.hasSuffix("Success: every member was restarted\n"), "\(done)")
            #expect(done.output.contains(", installed is \(major).99\n"), "\(done)")
            #expect(try await cluster.healthy(within: 60) != first)
            #expect(try await start(cluster, first) != before.0)
            #expect(try await start(cluster, current) == before.1, "its packages are what it runs")
        }
    }

    @Test("Settings that wait for a restart are planned, and come with one", .timeLimit(.minutes(5)))
    func pendingSettings() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let first = try await cluster.bootstrap()
            let tool = cluster.tool()
            let change = ["-s", "maximum_lag_on_failover=2000000", "-p", "max_connections=70"]
            let plan = try await tool.run(["plan", "edit-config"] + change)
            #expect(plan.code == 0, "\(plan)")
            #expect(plan.output.contains("max_connections: 60 becomes 70"), "\(plan)")
            #expect(plan.output.contains("max_connections would wait for a restart of PostgreSQL"), "\(plan)")
            #expect(try await tool.run("plan", "edit-config", "-s", "ttl=5").code == 1, "nothing would change")
            #expect(try await tool.run("plan", "demote-cluster").code == 1, "nobody is named who would be followed")
            #expect(await cluster.value(first, "SHOW max_connections") == "60", "a plan changes nothing")

            #expect(try await tool.run(["edit-config", "--force"] + change).code == 0)
            try await waitUntil("all wait for a restart", within: 30) {
                await cluster.members(first).allSatisfy { $0["pending_restart"] == true }
            }
            #expect(try await tool.run("plan", "rolling-restart", "--pending").code == 0)
            let done = try await tool.run("rolling-restart", "--pending", "--force", seconds: 200)
            #expect(done.code == 0, "\(done)")
            try await cluster.healthy(within: 60)
            for node in cluster.nodes { #expect(await cluster.value(node, "SHOW max_connections") == "70") }
            try await waitUntil("nobody waits", within: 30) {
                await cluster.members(first).allSatisfy { $0["pending_restart"] == nil }
            }
        }
    }

    @Test("watch shows many members and groups of Citus", .timeLimit(.minutes(2)))
    func watchShowsMany() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let tool = OperatorTool(program: .ours, options: ["-d", "etcd3://127.0.0.1:\(cluster.etcdPort)"])
            let forty = try #require(StoredCluster.all.first { $0.name == "forty" })
            for (leaf, value) in forty.keys { try await cluster.put(forty.name, leaf, value) }
            for (leaf, value) in StoredCluster.citus { try await cluster.put("citus", leaf, value) }
            let many = try await tool.interrupted(after: 3, "watch", "forty", onTerminal: true)
            #expect(many.output.contains("Cluster: forty"), "\(many)")
            #expect(many.output.hasPrefix("\u{1B}[?1049h") && many.output.contains("\u{1B}[?1049l"))
            let tree = try await tool.run("topology", "forty")
            #expect(tree.output.split(separator: "\n").count > 40, "\(tree)")
            var groups = tool
            groups.environment = ["PATRONI_CITUS_GROUP": "0", "PATRONI_CITUS_DATABASE": "db"]
            let citus = try await groups.interrupted(after: 3, "watch", "citus", onTerminal: true)
            #expect(citus.output.contains("Citus cluster: citus"), "\(citus)")
        }
    }
}
