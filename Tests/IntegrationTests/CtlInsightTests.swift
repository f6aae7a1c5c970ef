import ClusterModel
import Glibc
import JSON
import Testing

/// What `matriarchctl` tells beyond Patroni's tool, on a cluster that runs.
extension AroundIntegrationTests {
    @Test("doctor, plan, events and watch tell of a cluster what is so", .timeLimit(.minutes(4)))
    func ctlInsights() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            let replica = try #require(cluster.nodes.first { $0 != leader })
            let tool = cluster.tool()
            let names = cluster.nodes.map(cluster.name)

            let healthy = try await tool.run("doctor")
            #expect(healthy.code == 0, "\(healthy)")
            #expect(healthy.output.contains("warning: the store is a single server"))
            #expect(!healthy.output.contains("PROBLEM"))

            let possible = try await tool.run("plan", "switchover", "--candidate", cluster.name(replica))
            #expect(possible.code == 0 && possible.output.contains("\(cluster.name(replica)): could take over now"))
            let refused = try await tool.run("plan", "switchover", "--candidate", cluster.name(leader))
            #expect(refused.code == 1 && refused.output.contains("\(cluster.name(leader)) leads already"))

            try await explanations(tool, leader: cluster.name(leader), replica: cluster.name(replica))
            try await plans(tool, cluster, leader: cluster.name(leader), replica: cluster.name(replica))
            try await lag(tool, cluster, leader: leader, replica: replica)

            let told = try await tool.interrupted(after: 4, "events", "--json")
            #expect(told.code == 1 && told.errors.hasSuffix("Aborted!\n"), "\(told)")
            let events = told.output.split(separator: "\n").compactMap { try? JSON.parse($0) }
            #expect(Set(events.compactMap { $0["member"]?.string }) == Set(names))
            #expect(
                events.contains { $0["event"] == "role" && $0["leader"]?.string == cluster.name(leader) },
                "\(told.output)")

            let screen = try await tool.interrupted(after: 4, "watch", onTerminal: true)
            #expect(screen.output.hasPrefix("\u{1B}[?1049h"), "\(screen)")
            #expect(names.allSatisfy { screen.output.contains("| \($0) ") })
            #expect(screen.output.contains("\u{1B}[?1049l"), "the screen is given back")
            let piped = try await tool.run("watch")
            #expect(piped.code == 1 && piped.errors.hasPrefix("Error: watch needs a terminal"))

            try cluster.daemon(replica).signal(9)
            let sick = try await tool.run("doctor", "--json")
            #expect(sick.code == 1)
            let found = sick.output.split(separator: "\n").compactMap { try? JSON.parse($0) }
            #expect(
                found.contains {
                    $0["severity"] == "problem"
                        && $0["what"]?.string?.hasPrefix("the API of \(cluster.name(replica)) does not answer") == true
                }, "\(sick.output)")
            try await cluster.start(replica)
        }
    }

    /// Each says what would be done, and nothing is.
    private func plans(_ tool: OperatorTool, _ cluster: TestCluster, leader: String, replica: String) async throws {
        let keys = try await cluster.stored("demo")
        let servers = cluster.nodes.map(cluster.postmaster)
        #expect(keys["leader"] == leader && keys["config"] != nil)
        let demotion = ["plan", "demote-cluster", "--host", "192.0.2.1", "--port", "5432"]
        let rows: [(words: [String], code: Int, says: [String])] = [
            (
                ["plan", "restart"], 0,
                [
                    "restart of demo\nMembers:\n", "  \(leader): nothing waits for a restart\n",
                    ". \(leader), which leads and goes on leading: a checkpoint, a fast stop, a start\n",
                    "Clients:\n  sessions on each member end when its turn comes\n", "primary_start_timeout",
                ]
            ),
            (
                ["plan", "restart", "demo", replica], 0,
                ["Steps:\n  1. \(replica): a checkpoint, a fast stop, a start\nClients:\n"]
            ),
            (["plan", "restart", "demo", "nobody"], 1, ["In the way:\n  nobody is no member\n"]),
            (["plan", "restart", "--pending"], 1, ["In the way:\n  no member waits for a restart\n"]),
            (
                demotion, 0,
                [
                    "demotion of the cluster demo\nSteps:\n  1. standby_cluster is written",
                    "  2. \(leader) stops PostgreSQL, and starts again as a standby of the primary elsewhere\n",
                    "  sessions on \(leader) end, and nothing can be written on this cluster until promote-cluster\n",
                ]
            ),
            (["plan", "demote-cluster"], 1, ["In the way:\n  at least --host, --port or --restore-command"]),
            (["plan", "failover", "--candidate", replica], 0, ["are lost, where the leader cannot hand over\n"]),
            (["plan", "rolling-restart", "demo", replica], 0, ["Steps:\n  1. \(replica): "]),
            (["plan", "edit-config", "-sttl=25"], 0, ["  1. ttl: 20 becomes 25\n"]),
            (["plan", "switchover", "demo", replica], 2, []),
        ]
        for row in rows {
            let outcome = try await tool.run(row.words)
            #expect(outcome.code == row.code, "\(row.words): \(outcome)")
            for text in row.says { #expect(outcome.output.contains(text), "\(row.words): \(outcome)") }
        }
        #expect(try await cluster.stored("demo") == keys)
        #expect(cluster.nodes.map(cluster.postmaster) == servers)
    }

    /// Who has not received what was written is not handed over to, until it has.
    private func lag(_ tool: OperatorTool, _ cluster: TestCluster, leader: Int, replica: Int) async throws {
        let name = cluster.name(replica)
        let pid = try #require(await cluster.value(replica, "SELECT pid FROM pg_stat_wal_receiver").flatMap(pid_t.init))
        let receiver = try #require(OwnedProcess(pid: pid))
        receiver.signal(SIGSTOP)
        defer { receiver.signal(SIGCONT) }
        try await cluster.sql(leader, "CREATE TABLE ballast AS SELECT repeat('x', 1000) FROM generate_series(1, 4000)")
        try await waitUntil("it is known to lag", within: 30) {
            let plan = try await tool.run("plan", "switchover", "--candidate", name)
            return plan.code == 1 && plan.output.contains(" bytes behind, ")
        }
        let refused = try await tool.run(["switchover", "--candidate", name], input: "\nnow\ny\n")
        #expect(refused.code == 1 && refused.errors.contains("Error: \(name) cannot take over now: "), "\(refused)")
        #expect(refused.errors.contains(" bytes behind, "), "\(refused)")
        #expect(refused.errors.hasSuffix(" (--force asks all the same)\n"), "\(refused)")
        // Then the leader says no itself.
        let forced = try await tool.run("switchover", "--candidate", name, "--force")
        #expect(forced.code == 0 && forced.output.contains("\nSwitchover failed, details: 503, "), "\(forced)")
        #expect(forced.output.contains(" bytes behind, allowed are 1048576\n"), "\(forced)")
        #expect(await cluster.leader() == leader)
        receiver.signal(SIGCONT)
        try await waitUntil("it has caught up", within: 30) {
            try await tool.run("plan", "switchover", "--candidate", name).code == 0
        }
    }

    private func explanations(_ tool: OperatorTool, leader: String, replica: String) async throws {
        let why = try await tool.run("explain")
        #expect(why.code == 0 && why.output.hasPrefix("demo: \(leader) leads\n"), "\(why)")
        #expect(why.output.contains("  \(leader) leads: I hold the leader lease for "), "\(why.output)")
        #expect(why.output.contains("  \(replica) does not lead: "), "\(why.output)")
        // While WAL is on its way somebody may be ahead for a moment.
        try await waitUntil("the replica could win a race", within: 30) {
            try await tool.run("explain").output.contains("    if \(leader) failed now it could take over\n")
        }
        #expect(why.output.contains("Last decisions of \(replica):\n"))
        #expect(why.output.contains(" [holding-lease remaining_seconds="), "\(why.output)")

        try await waitUntil("it could take over in every way", within: 30) {
            let all = try await tool.run("explain", "failover")
            let line = "  \(replica)  switchover: yes, failover: yes, if \(leader) failed: yes\n"
            return all.code == 0 && all.output.contains(line)
        }
        #expect(try await tool.run("explain", "failover", "demo", "-m", leader).code == 1)
        let wrong = try await tool.run("explain", "-m", "nobody")
        #expect(wrong.code == 1 && wrong.errors == "Error: nobody is not a member of cluster demo\n")
        let lines = try await tool.run("explain", "--json", "--decisions", "1")
        let documents = lines.output.split(separator: "\n").compactMap { try? JSON.parse($0) }
        #expect(documents.count == 3 && documents.allSatisfy { $0["decisions"]?.array?.count == 1 })
    }
}
