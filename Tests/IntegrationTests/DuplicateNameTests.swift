import ClusterModel
import Glibc
import Posix
import Testing

/// Two daemons of one name, a directory of another cluster's, and another directory for a daemon.
extension WaitingIntegrationTests {
    private func told(_ cluster: TestCluster, _ node: Int) -> String {
        (try? Files.readText("\(cluster.directory)/\(cluster.name(node)).log")) ?? ""
    }

    @Test(
        "A second daemon of the leader's name is refused, or waits where the first did not answer: the first leads on",
        .timeLimit(.minutes(4)))
    func duplicateNames() async throws {
        try await TestCluster.with { cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            try await waitUntil("n2 streams", within: 60) { await cluster.streams(2) }
            let postmaster = try #require(cluster.postmaster(1))
            try cluster.edit(3, #""name": "n3""#, #""name": "n1""#)

            try await cluster.start(3)
            let refused = try cluster.daemon(3)
            try await waitUntil("the second one has ended", within: 30) { !refused.isAlive }
            #expect(told(cluster, 3).contains("there is already a node named 'n1' running"))

            // The first does not answer when the second begins.
            let first = try cluster.daemon(1)
            first.signal(SIGSTOP)
            defer { first.signal(SIGCONT) }
            try await cluster.start(3)
            try await waitUntil("the second one's API answers", within: 30) {
                await cluster.get(3, "/liveness") != nil
            }
            first.signal(SIGCONT)
            let since = bootSeconds()
            try await waitUntil("a lease has passed", within: 60) {
                #expect(await cluster.get(3, "/primary")?.status != 200)
                return bootSeconds() > since + Self.ttl + 2
            }
            #expect(await cluster.get(1, "/primary")?.status == 200)
            #expect(cluster.postmaster(1) == postmaster)
            #expect(await cluster.value(1, "SELECT pg_is_in_recovery()") == "f")
            #expect(await cluster.timeline(1) == 1)
            #expect(await cluster.streams(2))
        }
    }

    @Test("A node with another cluster's data leaves the cluster alone, and its data", .timeLimit(.minutes(4)))
    func foreignDirectory() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            try await waitUntil("n2 streams", within: 60) { await cluster.streams(2) }
            let data = cluster.dataDirectory(3)
            let words = ["\(try Programs.postgresqlDirectory())/initdb", "-D", data, "--no-sync", "-U", "postgres"]
            _ = try await Tool.run(try User.unprivileged?.prefixed(words) ?? words)
            let before = try Files.read("\(data)/global/pg_control")

            try await cluster.start(3)
            let daemon = try cluster.daemon(3)
            try await waitUntil("it has ended", within: 60) { !daemon.isAlive }
            #expect(told(cluster, 3).contains("system ID mismatch"))
            #expect(try Files.read("\(data)/global/pg_control") == before)
            #expect(cluster.postmaster(3) == nil)
            #expect(await cluster.leader() == 1)
            #expect(await cluster.streams(2))
        }
    }

    /// Its server runs on in the first one, until the guardian ends it with the lease.
    @Test(
        "A daemon that is killed and started with another data directory leaves the key to end: no second primary",
        .timeLimit(.minutes(4)))
    func anotherDirectory() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            let server = try #require(cluster.postmaster(leader))
            let data = cluster.dataDirectory(leader)
            let daemon = try cluster.daemon(leader)
            let tree = daemon.daemonTree.filter { !$0.name.hasPrefix("matriarch-g") }
            for process in tree { process.signal(SIGKILL) }
            try await waitUntil("the daemon has ended", within: 20) { !daemon.isAlive }
            try cluster.edit(leader, "\"\(data)\"", "\"\(data).other\"")
            try await cluster.start(leader)
            try await waitUntil("another leads", within: 60) {
                guard let other = await cluster.leader(), other != leader else { return false }
                #expect(!server.isAlive)
                return true
            }
            try await waitUntil("it has a copy, and streams", within: 90) { await cluster.streams(leader) }
        }
    }
}
