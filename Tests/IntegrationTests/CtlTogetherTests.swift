import ClusterModel
import Testing

/// Our tool and Patroni's on one cluster that runs: what one does the other sees, and both show it alike.
extension AroundIntegrationTests {
    @Test(
        "Both tools work on one cluster that runs, in turn",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(10)))
    func toolsWorkTogether() async throws {
        try await TestCluster.with { cluster in
            let first = try await cluster.bootstrap()
            let second = try #require(cluster.nodes.first { $0 != first })
            let both = BothTools(cluster)
            try await showAlike(both)
            try await changeInTurn(both, cluster)
            try await scheduleInTurn(both, cluster.name(second))

            let (old, new) = (cluster.name(first), cluster.name(second))
            try await both.alike("switchover", "--leader", new, "--force")
            try await both.done(\.ours, "switchover", "--candidate", new, "--force", says: "Successfully switched over")
            #expect(try await cluster.healthy(within: 60) == second)
            try await both.done(\.peer, "failover", "--candidate", old, "--force", says: "Successfully failed over")
            #expect(try await cluster.healthy(within: 60) == first)
            try await both.done(
                \.peer, "reinit", "demo", new, "--force", says: "Success: reinitialize for member \(new)")
            #expect(try await cluster.healthy(within: 60) == first)
            try await both.alike("history", "-f", "json")
            try await both.alike("list", "-f", "json")
        }
    }

    private func showAlike(_ both: BothTools) async throws {
        for format in ["pretty", "tsv", "json", "yaml"] {
            try await both.alike("list", "-e", "-f", format)
            try await both.alike("query", "-c", "SELECT 1 AS n, 'é' AS text", "--format", format)
        }
        try await both.alike("topology")
        try await both.alike("history", "-f", "yaml")
        try await both.alike("show-config")
        try await both.alike("dsn")
        try await both.alike("dsn", "-r", "replica")
        try await both.alike("query", "-r", "replica", "-c", "SELECT pg_is_in_recovery()")
    }

    private func changeInTurn(_ both: BothTools, _ cluster: TestCluster) async throws {
        try await both.done(\.peer, "pause", "--wait", says: "Success: cluster management is paused")
        try await both.alike("pause")
        try await both.alike("list")
        try await both.done(\.ours, "resume", "--wait", says: "Success: cluster management is resumed")
        try await both.alike("resume")

        try await both.done(\.peer, "edit-config", "-p", "work_mem=7MB", "--force", says: "Configuration changed")
        try await both.alike("show-config")
        try await both.alike("edit-config", "-p", "work_mem=7MB", "--force")
        try await both.alike("edit-config", "-s", "loop_wait=3", "-p", "work_mem=null", input: "n\n")
        try await both.done(
            \.ours, "edit-config", "-p", "max_files_per_process=1100", "--force", says: "Configuration changed")
        try await waitUntil("all wait for a restart", within: 30) {
            await cluster.members(1).allSatisfy { $0["pending_restart"] == true }
        }
        for format in ["pretty", "tsv", "json"] { try await both.alike("list", "-f", format) }
        let name = cluster.name(2)
        try await both.done(
            \.peer, "restart", "demo", name, "--pending", "--force", says: "Success: restart on member \(name)")
        try await cluster.healthy(within: 60)
        try await both.done(\.ours, "restart", "demo", "--pending", "--force", says: "Success: restart on member ")
        try await cluster.healthy(within: 60)
        try await waitUntil("nobody waits", within: 30) {
            await cluster.members(1).allSatisfy { $0["pending_restart"] == nil }
        }
        try await both.alike("restart", "demo", "--pending", "--force")
        try await both.alike("reload", "demo", name, "--force")
    }

    private func scheduleInTurn(_ both: BothTools, _ name: String) async throws {
        try await both.done(
            \.peer, "restart", "demo", name, "--scheduled", "2050-01-01T10:00Z", "--force",
            says: "Success: restart scheduled on member \(name)")
        try await waitUntil("the schedule is listed", within: 20) {
            try await both.ours.run("list").output.contains("2050-01-01T10:00:00+00:00")
        }
        try await both.alike("list")
        try await both.done(
            \.ours, "flush", "demo", name, "restart", "--force",
            says: "Success: flush scheduled restart for member \(name)")
        try await both.done(
            \.ours, "switchover", "--candidate", name, "--scheduled", "2050-01-01T10:00Z", "--force",
            says: "Switchover scheduled")
        try await both.alike("list")
        try await both.done(\.peer, "flush", "demo", "switchover", says: "Success: scheduled switchover deleted")
        try await both.alike("flush", "demo", "switchover")
    }

    /// Our tool on a cluster of Patroni alone; StandbyClusterTests has both tools on clusters with Matriarch.
    @Test(
        "A cluster of Patroni is demoted and promoted",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(5)))
    func ctlDemotesPeers() async throws {
        try await TestCluster.with([.peer]) { cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            let both = BothTools(cluster)
            try await both.alike("promote-cluster")
            let demoted = try await both.ours.run("demote-cluster", "--host", "127.0.0.1", "--port", "1", "--force")
            #expect(demoted.code == 0 && demoted.output.contains(" cluster is successfully demoted\n"), "\(demoted)")
            try await both.alike("list")
            try await both.alike("demote-cluster", "--host", "127.0.0.1")
            let promoted = try await both.ours.run(["promote-cluster"], input: "y\n")
            #expect(
                promoted.code == 0 && promoted.output.contains(" cluster is successfully promoted\n"), "\(promoted)")
            try await both.alike("list")
        }
    }
}
