import ClusterModel
import JSON
import Testing

/// What `matriarchctl` tells beyond the peer's tool, on a cluster that runs.
extension ClusterIntegrationTests {
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
