import ClusterModel
import Posix
import TestSupport
import Testing

/// `matriarchctl restart` in all its ways, and what it and `switchover` leave to the clock.
extension AroundIntegrationTests {
    @Test("Restarts of one of a role, with a limit, and at a time; a switchover at a time", .timeLimit(.minutes(6)))
    func ctlRestarts() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest, local: Self.slowly) { cluster in
            let leader = try await cluster.bootstrap()
            let replica = try #require(cluster.nodes.first { $0 != leader })
            let tool = cluster.tool()
            try await oneOfARole(tool, cluster, leader: leader)
            try await limited(tool, cluster, replica: replica)
            try await scheduledRestart(tool, cluster, replica: replica)
            try await scheduledSwitchover(tool, cluster, leader: leader, replica: replica)
        }
    }

    /// An archive that has nothing, and takes its time to say so where a file says that: a standby that starts asks it
    /// before it takes connections.
    private static let slowly: @Sendable (Int, String) -> JSONObject = { _, directory in
        let command = "test -e \(directory)/slow && sleep 2; false"
        return ["postgresql": ["recovery_conf": ["restore_command": .string(command)]]]
    }

    /// Whose server is another one than before.
    private func restarted(_ cluster: TestCluster, since before: [OwnedProcess?]) -> [Int] {
        zip(cluster.nodes, before).filter { cluster.postmaster($0) != $1 }.map(\.0)
    }

    private func oneOfARole(_ tool: OperatorTool, _ cluster: TestCluster, leader: Int) async throws {
        let before = cluster.nodes.map(cluster.postmaster)
        let one = try await tool.run("restart", "demo", "-r", "replica", "--any", "--force")
        let lines = one.output.split(separator: "\n").filter { $0.hasPrefix("Success: restart on member ") }
        #expect(one.code == 0 && lines.count == 1, "\(one)")
        let chosen = restarted(cluster, since: before)
        #expect(chosen.count == 1 && !chosen.contains(leader))
        #expect(lines.first?.hasSuffix(" \(chosen.map(cluster.name).joined())") == true)

        let between = cluster.nodes.map(cluster.postmaster)
        let led = try await tool.run(["restart", "demo", "--role", "leader"], input: "now\ny\n\n")
        #expect(led.output.hasSuffix("Success: restart on member \(cluster.name(leader))\n"), "\(led)")
        #expect(restarted(cluster, since: between) == [leader])
        #expect(try await cluster.healthy(within: 60) == leader)
        for (words, reason) in [
            (["-r", "standby-leader"], "demo cluster doesn't have any members"),
            (["-r", "replica", cluster.name(leader)], "No 'replica' among provided members"),
        ] {
            let refused = try await tool.run(["restart", "demo", "--force"] + words)
            #expect(refused.code == 1 && refused.errors.contains("Error: \(reason)"), "\(words): \(refused)")
        }
    }

    /// A start that takes longer is told of, and goes on.
    private func limited(_ tool: OperatorTool, _ cluster: TestCluster, replica: Int) async throws {
        let name = cluster.name(replica)
        for text in ["junk", "0", "-1"] {
            let refused = try await tool.run("restart", "demo", name, "--timeout", text, "--force")
            let line = "Failed: restart for member \(name), status code=400, (Timeout should be a positive number of"
            #expect(refused.code == 0 && refused.output.contains(line), "\(refused)")
        }
        let mark = "\(cluster.directory)/\(name)/slow"
        try Files.replace(mark, with: "".utf8, mode: 0o644)
        let slow = try await tool.run("restart", "demo", name, "--timeout", "1", "--force")
        #expect(
            slow.output.hasSuffix(
                "Failed: restart for member \(name), status code=503, (postgres is still starting)\n"),
            "\(slow)")
        #expect(slow.code == 0)
        try await cluster.healthy(within: 60)
        try Files.removeTree(mark)
        let quick = try await tool.run("restart", "demo", name, "--timeout", "60", "--force")
        #expect(quick.output.hasSuffix("Success: restart on member \(name)\n"), "\(quick)")
        try await cluster.healthy(within: 60)
    }

    private func scheduledRestart(_ tool: OperatorTool, _ cluster: TestCluster, replica: Int) async throws {
        let (name, before) = (cluster.name(replica), cluster.nodes.map(cluster.postmaster))
        let due = try await cluster.instant(in: 6)
        let planned = try await tool.run("restart", "demo", name, "--scheduled", due.text, "--force")
        #expect(planned.output.hasSuffix("Success: restart scheduled on member \(name)\n"), "\(planned)")
        let again = try await tool.run(["restart", "demo", name, "--scheduled", due.text], input: "y\n\n")
        let line = "Failed: another restart is already scheduled on member \(name)\n"
        #expect(again.code == 0 && again.output.hasSuffix(line), "\(again)")
        try await waitUntil("it is restarted", within: 30) {
            let changed = restarted(cluster, since: before)
            // The text has whole seconds.
            if bootSeconds() < due.at - 1 { #expect(changed == []) }
            return changed == [replica]
        }
        #expect(bootSeconds() > due.at - 1)
        try await cluster.healthy(within: 60)
        try await waitUntil("nothing is scheduled any more", within: 15) {
            try await !tool.run("list").output.contains("Scheduled restart")
        }
    }

    /// ctl.md §19.2, no. 8.
    private func scheduledSwitchover(
        _ tool: OperatorTool, _ cluster: TestCluster, leader: Int, replica: Int
    ) async throws {
        let due = try await cluster.instant(in: 5)
        let planned = try await tool.run(
            "switchover", "--candidate", cluster.name(replica), "--scheduled",
            due.text.replacing("T", with: " "), "--force")
        #expect(planned.code == 0 && planned.output.contains(" Switchover scheduled\n"), "\(planned)")
        let listed = try await tool.run("list")
        #expect(listed.output.contains(" Switchover scheduled at: \(due.text)\n"), "\(listed)")
        try await waitUntil("the candidate leads", within: 30) {
            let now = await cluster.leader()
            if bootSeconds() < due.at - 1 { #expect(now == leader) }
            return now == replica
        }
        #expect(bootSeconds() > due.at - 1)
        #expect(try await cluster.healthy(within: 60) == replica)
        #expect(try await !tool.run("list").output.contains("Switchover scheduled"))
    }
}
