import ClusterModel
import Glibc
import Posix
import TestSupport
import Testing

/// Long work of `matriarchctl` that is left in the middle, and what it shows of two clusters at once.
extension AroundIntegrationTests {
    /// Node 3 is another cluster.
    private static let far: @Sendable (Int, String) -> JSONObject = { node, _ in node > 2 ? ["scope": "far"] : [:] }

    @Test(
        "Ctrl-C in the middle of long work says what goes on, and it does; watch shows two clusters",
        .timeLimit(.minutes(6)))
    func ctlIsInterruptedMidway() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest, local: Self.far) { cluster in
            for node in cluster.nodes { try await cluster.start(node) }
            let tool = cluster.tool()
            try await rests(cluster, tool)
            try await watched(cluster, tool)
            try await rolled(cluster, tool)
            try await copied(cluster, tool)
            try await demoted(cluster, tool)
        }
    }

    /// Waits until one of both leads the first cluster and the other one streams from it; their names.
    @discardableResult
    private func rests(
        _ cluster: TestCluster, _ tool: OperatorTool, as role: String = "Leader",
        at line: SourceLocation = #_sourceLocation
    ) async throws -> (leader: String, replica: String) {
        var names = ("", "")
        try await waitUntil("the cluster is at rest", within: 90, at: line) {
            let rows = try await tool.run("list", "-f", "json").json.array ?? []
            func name(_ role: String, _ state: String) -> String? {
                rows.first { $0["Role"]?.string == role && $0["State"]?.string == state }?["Member"]?.string
            }
            guard let leader = name(role, "running"), let replica = name("Replica", "streaming"),
                Set(rows.map { $0["TL"] }).count == 1
            else { return false }
            names = (leader, replica)
            return await cluster.get(3, "/primary")?.status == 200
        }
        return names
    }

    private func watched(_ cluster: TestCluster, _ tool: OperatorTool) async throws {
        let (leader, replica) = try await rests(cluster, tool)
        try await tool.typed("watch", "demo", "far", "--interval", "0.5") { typed in
            for text in [
                "Cluster: demo (", " \(leader): guardian armed, lease ", "Cluster: far (",
                " n3: guardian armed, lease ",
            ] {
                try await typed.expect(text)
            }
            let done = try await tool.run("switchover", "--candidate", replica, "--force")
            #expect(done.output.contains("Successfully switched over to \"\(replica)\""), "\(done)")
            try await typed.expect(" demo \(replica) role: primary, the leader is \(replica)")
            try await typed.expect(" \(replica): guardian armed, lease ")
            try await typed.expect(" far n3 ")
            // The replica catches up before the eyes of who watches.
            try await typed.expect("| streaming |  2 |")
            #expect(typed.output.contains(#/\| Replica +\| streaming \| +2 \| +0/[0-9A-F]+ \| +0 \|/#))
            try typed.type("q")
            #expect(try await typed.end() == 0)
        }
    }

    private func rolled(_ cluster: TestCluster, _ tool: OperatorTool) async throws {
        let (_, replica) = try await rests(cluster, tool)
        let before = [cluster.postmaster(1), cluster.postmaster(2)]
        // Whose turn it is does not come to it at once.
        let daemon = try cluster.daemon(try #require(cluster.number(replica)))
        daemon.signal(SIGSTOP)
        defer { daemon.signal(SIGCONT) }
        try await tool.typed("rolling-restart", "--force") { typed in
            try await typed.expect("[0/2] \(replica): restarts\r\n")
            try typed.type("\u{3}")
            daemon.signal(SIGCONT)
            try await typed.expect("The rolling restart goes on in the cluster: ")
            try await typed.expect("rolling-restart --show shows it, --call-off ends it.\r\nAborted!")
            #expect(try await typed.end() == 1)
        }
        let shown = try await tool.run("rolling-restart", "--show")
        #expect(shown.code == 0 && shown.output.hasSuffix("Success: every member was restarted\n"), "\(shown)")
        try await rests(cluster, tool)
        for (node, old) in zip([1, 2], before) { #expect(cluster.postmaster(node) != old) }

        // The next one is left as well, and called off.
        let begun = try await tool.run("rolling-restart", "--force", "--detach")
        #expect(begun.code == 0, "\(begun)")
        let called = try await tool.run("rolling-restart", "--call-off")
        #expect(called.code == 0 && called.output == "Success: rolling restart called off\n", "\(called)")
        let left = try await tool.run("rolling-restart", "--show")
        #expect(left.code == 1, "\(left)")
        #expect(left.errors.contains("Error: the rolling restart was called off; not restarted: "), "\(left)")
    }

    private func copied(_ cluster: TestCluster, _ tool: OperatorTool) async throws {
        let (_, replica) = try await rests(cluster, tool)
        // The new copy has no such file.
        let mark = "\(cluster.directory)/\(replica)/data/mark"
        try Files.replace(mark, with: "".utf8, mode: 0o644)
        try await tool.typed("reinit", "demo", replica, "--wait") { typed in
            try await typed.expect("Are you sure you want to reinitialize members \(replica)? [y/N]: ")
            try typed.type("y\n")
            try await typed.expect("Waiting for reinitialize to complete on: \(replica)\r\n")
            try typed.type("\u{3}")
            try await typed.expect("The members go on copying; patronictl list shows them.\r\nAborted!")
            #expect(try await typed.end() == 1)
        }
        try await waitUntil("it is copied anew", within: 60) { !Files.exists(mark) }
        try await rests(cluster, tool)
    }

    private func demoted(_ cluster: TestCluster, _ tool: OperatorTool) async throws {
        // The archive takes its time to say that it has nothing, so that there is something to be waited for.
        let words = ["demote-cluster", "--host", "127.0.0.1", "--port", "1", "--restore-command", "sleep 1; false"]
        try await tool.typed(words) { typed in
            try await typed.expect("Are you sure you want to demote demo cluster? [y/N]: ")
            try typed.type("y\n")
            try await typed.expect(" cluster is unlocked: ")
            try typed.type("\u{3}")
            try await typed.expect("The demotion was accepted and goes on in the cluster; patronictl list shows it.")
            #expect(try await typed.end() == 1)
        }
        try await waitUntil("it is a standby cluster", within: 60) {
            let rows = try await tool.run("list", "-f", "json").json.array ?? []
            return rows.contains { $0["Role"] == "Standby Leader" && $0["State"] == "in archive recovery" }
        }
        let promoted = try await tool.run("promote-cluster", "--force")
        #expect(promoted.code == 0 && promoted.output.contains(" cluster is successfully promoted\n"), "\(promoted)")
        try await rests(cluster, tool)
    }
}
