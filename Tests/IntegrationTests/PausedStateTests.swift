import ClusterModel
import Glibc
import Posix
import Testing

/// Pause where the node is not as usual (ha-loop.md §15): what an operator does is left as it is, and what he asks for
/// is done.
extension WaitingIntegrationTests {
    @Test(
        "In pause who was stopped by hand gives the key up, who was promoted has it, and an empty node waits",
        .timeLimit(.minutes(5)))
    func pausedStates() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let first = try await cluster.bootstrap()
            let others = cluster.nodes.filter { $0 != first }
            let (second, third) = (others[0], others[1])
            try await cluster.sql(first, "CREATE TABLE kept AS SELECT 1 AS row")
            try await cluster.setPause("true", by: first)
            try await madeAnew(cluster, third)
            try await emptied(cluster, third)

            let postmaster = try #require(cluster.postmaster(first))
            postmaster.signal(SIGINT)
            try await waitUntil("PostgreSQL has ended", within: 20) { !postmaster.isAlive }
            try await waitUntil("nobody has the key", within: 15) {
                let members = await cluster.members(second)
                return !members.isEmpty && !members.contains { $0["role"] == "leader" }
            }
            let stopped = bootSeconds()
            try await waitUntil("a lease has passed", within: 20) {
                #expect(await cluster.leader() == nil)
                return bootSeconds() > stopped + 6
            }
            #expect(cluster.postmaster(first) == nil)
            #expect(await cluster.value(second, "SELECT pg_is_in_recovery()") == "t")

            try await cluster.sql(second, "SELECT pg_promote(false)")
            try await waitUntil("it has the key", within: 30) {
                await cluster.get(second, "/primary")?.status == 200
            }
            #expect(cluster.postmaster(first) == nil && cluster.postmaster(third) == nil)

            try await cluster.setPause("null", by: second)
            #expect(try await cluster.healthy(within: 90) == second)
            #expect(await cluster.timeline(second) == 2)
            for node in cluster.nodes {
                #expect(await cluster.value(node, "SELECT row FROM kept") == "1", "\(cluster.name(node))")
            }
        }
    }

    /// It is what an operator asks for, so it is done in pause, too.
    private func madeAnew(_ cluster: TestCluster, _ node: Int) async throws {
        let before = try #require(cluster.postmaster(node)).pid
        let answer = try await cluster.answer("POST", node, "/reinitialize", body: #"{"force": true}"#, seconds: 30)
        #expect(answer.status == 200, "\(answer.body)")
        try await waitUntil("it is a replica again", within: 90) {
            guard let now = cluster.postmaster(node)?.pid, now != before else { return false }
            return await cluster.streams(node)
        }
    }

    /// Nobody has asked for a copy of it.
    private func emptied(_ cluster: TestCluster, _ node: Int) async throws {
        try await cluster.loseHost(node)
        try Files.removeTree(cluster.dataDirectory(node))
        try await cluster.start(node)
        let since = bootSeconds()
        try await waitUntil("three cycles have passed", within: 30) {
            guard await cluster.get(node, "/patroni") != nil else { return false }
            return bootSeconds() > since + 4
        }
        #expect(!Files.exists(cluster.dataDirectory(node) + "/PG_VERSION"))
        #expect(cluster.postmaster(node) == nil)
    }
}
