import ClusterModel
import Testing

/// `matriarchctl` at a terminal: what is asked, what is typed, and a screen that keeps up.
extension AroundIntegrationTests {
    @Test("Questions are answered at a terminal, and a password is not shown", .timeLimit(.minutes(4)))
    func ctlIsTypedTo() async throws {
        try await TestCluster.with([.subject, .subject]) { cluster in
            let first = try await cluster.bootstrap()
            let second = try #require(cluster.nodes.first { $0 != first })
            let (leader, candidate) = (cluster.name(first), cluster.name(second))
            let tool = cluster.tool()
            try await tool.typed("switchover", "demo") { typed in
                try await typed.expect("Primary [\(leader)]: ")
                try typed.type("\n")
                try await typed.expect("Candidate ['\(candidate)'] []: ")
                try typed.type("\(candidate)\n")
                try await typed.expect("When should the switchover take place")
                try await typed.expect("[now]: ")
                try typed.type("\n")
                try await typed.expect("demoting current leader \(leader)? [y/N]: ")
                try typed.type("perhaps\n")
                try await typed.expect("Error: invalid input")
                try typed.type("y\n")
                try await typed.expect("Successfully switched over to \"\(candidate)\"", within: 60)
                #expect(try await typed.end() == 0)
            }
            #expect(try await cluster.healthy(within: 60) == second)

            try await tool.typed("query", "-U", "postgres", "--password", "-c", "SELECT 6 * 7 AS n") { typed in
                try await typed.expect("Password: ")
                try await waitUntil("nothing is shown", within: 10) { !typed.echoes }
                try typed.type("\(NodeConfiguration.password)\n")
                try await typed.expect("n\r\n42\r\n")
                #expect(try await typed.end() == 0)
                #expect(!typed.output.contains(NodeConfiguration.password))
                #expect(typed.echoes, "the terminal is as it was")
            }
            try await leaving(tool, cluster, leader: second)
        }
    }

    /// Ctrl-C while a statement runs, at a question, and at a password.
    private func leaving(_ tool: OperatorTool, _ cluster: TestCluster, leader: Int) async throws {
        // Ctrl-C ends what runs on the server as well.
        let sleepers =
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        try await tool.typed("query", "-c", "SELECT pg_sleep(600)") { typed in
            try await waitUntil("the statement runs", within: 20) { await cluster.value(leader, sleepers) == "1" }
            try typed.type("\u{3}")
            try await typed.expect("The server was asked to cancel the statement.\r\nAborted!")
            #expect(try await typed.end() == 1)
            try await waitUntil("it has ended", within: 10) { await cluster.value(leader, sleepers) == "0" }
        }
        // Ctrl-C at a question, and at a password: nothing was done, and the terminal is as it was.
        try await tool.typed("rolling-restart", "demo") { typed in
            try await typed.expect("one after another? [y/N]: ")
            try typed.type("\u{3}")
            try await typed.expect("Aborted!")
            #expect(try await typed.end() == 1)
        }
        try await tool.typed("query", "--password", "-c", "SELECT 1") { typed in
            try await waitUntil("nothing is shown", within: 10) { !typed.echoes }
            try typed.type("\u{3}")
            #expect(try await typed.end() == 1)
            #expect(typed.echoes, "the terminal is as it was")
        }
    }

    @Test("watch keeps up with its terminal, moves, and gives it back", .timeLimit(.minutes(2)))
    func watchIsTypedTo() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let tool = OperatorTool(program: .ours, options: ["-d", "etcd3://127.0.0.1:\(cluster.etcdPort)"])
            let forty = try #require(StoredCluster.all.first { $0.name == "forty" })
            for (leaf, value) in forty.keys { try await cluster.put(forty.name, leaf, value) }
            try await tool.typed("watch", "forty") { typed in
                try await typed.expect("\u{1B}[?1049h")
                typed.resize(columns: 120, lines: 60)
                try await typed.expect("| n9 ")
                try await typed.expect("\u{1B}[J")
                typed.resize(columns: 80, lines: 12)
                try await typed.expect("... lines 1 to 10 of 44: j, k, space and b move")
                try typed.type("j")
                try await typed.expect("... lines 2 to 11 of 44")
                try typed.type(" ")
                try await typed.expect("... lines 12 to 21 of 44")
                // The arrows.
                try typed.type("\u{1B}[A")
                try await typed.expect("... lines 11 to 20 of 44")
                try typed.type("   ")
                try await typed.expect("... lines 35 to 44 of 44")
                typed.resize(columns: 120, lines: 60)
                try await typed.expect("| n1 ")
                try typed.type("q")
                try await typed.expect("\u{1B}[?1049l")
                #expect(try await typed.end() == 0)
                #expect(typed.echoes)
            }
            // Neither stops it on a screen of its own nor leaves the terminal as it had it: Ctrl-Z, Ctrl-\.
            try await tool.typed("watch", "forty") { typed in
                try await typed.expect("| n1 ")
                try typed.type("\u{1A}")
                typed.resize(columns: 90, lines: 12)
                try await typed.expect("... lines 1 to 10 of 44")
                try typed.type("\u{1C}")
                try await typed.expect("\u{1B}[?1049l")
                try await typed.expect("Aborted!")
                #expect(try await typed.end() == 1)
                #expect(typed.echoes)
            }
        }
    }
}
