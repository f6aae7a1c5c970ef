import ClusterModel
import Testing

/// Both tools over one cluster that runs, brought from one state into the next (ctl.md §19).
extension AroundIntegrationTests {
    @Test(
        "Both tools agree on synchronous clusters, a dead member, and no leader",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(10)))
    func toolsAgreeOnLiveStates() async throws {
        try await TestCluster.with { cluster in
            let first = try await cluster.bootstrap()
            let both = BothTools(cluster)
            let standbys = cluster.nodes.filter { $0 != first }.map(cluster.name)

            try await both.done(\.peer, "edit-config", "-s", "synchronous_mode=true", "--force", says: "+synchronous")
            try await listed(both, ["Replica", "Sync Standby"])
            let sync = try #require(try await member(both, "Sync Standby"))
            let other = try #require(standbys.first { $0 != sync })
            // Ours knows before it asks.
            let refused = try await both.ours.run(["switchover", "--candidate", other], input: "\nnow\ny\n")
            #expect(refused.code == 1 && !refused.output.contains("details"), "\(refused)")
            #expect(refused.errors.contains("Error: \(other) cannot take over now: "), "\(refused)")
            #expect(refused.errors.contains(" is not in /sync: it may lack acknowledged commits"), "\(refused)")
            // The leader refuses whom it did not wait for, and both tell its words.
            try await both.alike("switchover", "--candidate", other, "--force")
            try await both.alike("failover", "--candidate", other, input: "n\n")
            try await both.alike("failover", "--candidate", sync, input: "n\n")
            try await both.alike("switchover", "--candidate", sync, input: "\n\nn\n")

            try await both.done(\.ours, "edit-config", "-s", "synchronous_mode=quorum", "--force", says: "quorum")
            try await listed(both, ["Quorum Standby", "Quorum Standby"])
            try await both.alike("failover", "--candidate", other, input: "n\n")
            try await both.alike("switchover", input: "\n\(other)\n\nn\n")
            try await both.done(\.peer, "switchover", "--candidate", other, "--force", says: "Successfully switched")
            let second = try await cluster.healthy(within: 60)
            #expect(cluster.name(second) == other)
            try await listed(both, ["Quorum Standby", "Quorum Standby"])
            try await both.done(\.ours, "edit-config", "-s", "synchronous_mode=", "--force", says: "Configuration")
            try await listed(both, ["Replica", "Replica"])

            try await losses(both, cluster, leader: second)
        }
    }

    /// Waits until the others have these roles; then both say the same in every form.
    private func listed(
        _ both: BothTools, _ roles: [String], at line: SourceLocation = #_sourceLocation
    ) async throws {
        try await waitUntil("roles \(roles)", within: 30, at: line) {
            let rows = try await both.ours.run("list", "-f", "json").json.array ?? []
            return rows.compactMap { $0["Role"]?.string }.filter { !$0.hasSuffix("Leader") }.sorted() == roles
        }
        for format in ["pretty", "tsv", "json", "yaml"] { try await both.alike("list", "-f", format, at: line) }
        try await both.alike("list", "-e", at: line)
        for command in ["topology", "show-config", "dsn", "history"] { try await both.alike(command, at: line) }
    }

    private func member(_ both: BothTools, _ role: String) async throws -> String? {
        let rows = try await both.ours.run("list", "-f", "json").json.array ?? []
        return rows.first { $0["Role"]?.string == role }?["Member"]?.string
    }

    /// A member dies, and then the leader, while the cluster is paused: nobody takes over.
    private func losses(_ both: BothTools, _ cluster: TestCluster, leader: Int) async throws {
        let dead = try #require(cluster.nodes.first { $0 != leader })
        let left = try #require(cluster.nodes.first { $0 != leader && $0 != dead })
        try await cluster.loseHost(dead)
        // Its key is there as yet, and nobody answers.
        try await both.alike("query", "-m", cluster.name(dead), "-c", "SELECT 1")
        try await both.alike("list")
        try await waitUntil("its key is gone", within: 40) {
            try await both.ours.run("list", "-f", "json").json.array?.count == 2
        }
        try await listed(both, ["Replica"])
        for words in [["dsn", "-m"], ["query", "-c", "SELECT 1", "-m"], ["switchover", "--force", "--candidate"]] {
            try await both.alike(words + [cluster.name(dead)])
        }
        try await both.alike("restart", "demo", cluster.name(dead), "--force")
        try await both.done(\.peer, "pause", "--wait", says: "Success: cluster management is paused")
        try await cluster.loseHost(leader)
        try await waitUntil("nobody leads", within: 40) {
            try await both.ours.run("dsn").code == 1
        }
        try await waitUntil("one member is left", within: 40) {
            try await both.ours.run("list", "-f", "json").json.array?.count == 1
        }
        try await listed(both, ["Replica"])
        for words in [
            ["switchover", "--force"], ["failover", "--force"], ["dsn", "-r", "replica"], ["query", "-c", "SELECT 1"],
            ["reload", "demo", "-r", "leader", "--force"], ["promote-cluster", "--force"],
            ["demote-cluster", "--host", "h", "--force"],
        ] {
            try await both.alike(words)
        }
        let name = cluster.name(left)
        try await both.done(\.peer, "failover", "--candidate", name, "--force", says: "Successfully failed over to")
        try await waitUntil("it leads", within: 30) { await cluster.leader() == left }
        try await both.done(\.ours, "resume", "--wait", says: "Success: cluster management is resumed")
        try await listed(both, [])
    }

    @Test("A switchover that would break logical readers is refused", .timeLimit(.minutes(5)))
    func switchoverMindsLogicalSlots() async throws {
        var dynamic = NodeConfiguration.quick
        dynamic.change("postgresql") { section in
            var postgresql = section?.object ?? [:]
            postgresql.change("parameters") { parameters in
                var values = parameters?.object ?? [:]
                values["wal_level"] = "logical"
                parameters = .object(values)
            }
            section = .object(postgresql)
        }
        dynamic["slots"] = ["l": ["type": "logical", "database": "postgres", "plugin": "pgoutput"]]
        try await TestCluster.with([.subject, .subject], dynamic: dynamic) { cluster in
            let leader = try await cluster.bootstrap()
            let replica = try #require(cluster.nodes.first { $0 != leader })
            let (tool, name) = (cluster.tool(), cluster.name(replica))
            let count = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'l'"
            try await waitUntil("both have the slot", within: 90) {
                guard await cluster.value(replica, count) == "1" else { return false }
                return try await tool.run("plan", "switchover", "--candidate", name).code == 0
            }
            // In pause nothing is copied.
            _ = try await tool.run("pause", "--wait")
            try await cluster.sql(replica, "SELECT pg_drop_replication_slot('l')")
            let why = "its logical slots are not ready (l): their readers would miss changes"
            try await waitUntil("the member says so", within: 20) {
                try await tool.run("plan", "switchover", "--candidate", name).output.contains("\(name): \(why)")
            }
            let refused = try await tool.run(["switchover", "--candidate", name], input: "\nnow\ny\n")
            #expect(refused.code == 1, "\(refused)")
            #expect(refused.errors.contains("\(name) cannot take over now: \(why) (--force asks"), "\(refused)")
            #expect(try await tool.run("explain", "failover").output.contains("      \(why)\n"))
            let costs = try await tool.run("plan", "failover", "--candidate", name)
            #expect(costs.code == 0 && costs.output.contains("  \(name): \(why)\n"), "\(costs)")
            #expect(await cluster.leader() == leader)

            _ = try await tool.run("resume", "--wait")
            try await waitUntil("the slot is copied anew", within: 90) {
                guard await cluster.value(replica, count) == "1" else { return false }
                return try await tool.run("plan", "switchover", "--candidate", name).code == 0
            }
            let done = try await tool.run(["switchover", "--candidate", name], input: "\nnow\ny\n")
            #expect(done.output.contains("Successfully switched over to \"\(name)\""), "\(done)")
        }
    }
}
