import ClusterModel
import Glibc
import Posix
import Testing

extension ClusterIntegrationTests {
    @Test(
        "The daemon alone ends by SIGUSR1; the guardian starts one that died, and it gives way to one started by hand",
        .timeLimit(.minutes(4)))
    func daemonOfTheGuardian() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            let postmaster = try #require(cluster.postmaster(leader))
            let file = cluster.configurationFile(leader)
            // The file is one JSON object.
            let text = #"{"guardian": {"restart_daemon": true}, "# + (try Files.readText(file)).dropFirst()
            try Files.replace(file, with: Array(text.utf8), mode: 0o644)

            try cluster.daemon(leader).signal(SIGUSR1)
            try await end(of: cluster.daemon(leader))
            try await cluster.start(leader)
            #expect(try await cluster.healthy(within: Self.ttl - Self.loopWait) == leader)

            let number = try #require(await cluster.get(leader, "/patroni")?.json["guardian"]?["pid"]?.int)
            let guardian = try #require(OwnedProcess(pid: pid_t(number)))
            try cluster.daemon(leader).signal(SIGKILL)
            try await waitUntil("the guardian has started a daemon", within: 15) {
                guardian.children.contains { $0.name == "matriarch" }
            }
            let again = try #require(guardian.children.first { $0.name == "matriarch" })
            try await waitUntil("it leads", within: Self.ttl) { await cluster.leader() == leader }

            try await cluster.start(leader)
            try await end(of: again)
            #expect(try await cluster.healthy(within: Self.ttl - Self.loopWait) == leader)
            #expect(try cluster.daemon(leader).isAlive)
            #expect(cluster.postmaster(leader) == postmaster)
            #expect(await cluster.timeline(leader) == 1)

            try cluster.daemon(leader).signal(SIGTERM)
            try await end(of: cluster.daemon(leader))
            try await end(of: guardian)
            #expect(cluster.postmaster(leader) == nil)
        }
    }

    private func end(of process: OwnedProcess) async throws {
        try await waitUntil("\(process.name) has ended", within: 20) { !process.isAlive }
    }
}
