import ClusterModel
import Glibc
import Posix
import Testing

/// Promotions that do not come to their end (reasons `promotion-failed` and `promotion-retried`).
extension ClusterIntegrationTests {
    /// `recovery_end_command` reads what to do from a file; PostgreSQL runs it after the new timeline has begun.
    @Sendable private static func endOfRecovery(_ node: Int, _ directory: String) -> JSONObject {
        let file = "\(directory)/end"
        let command = "echo end >> \(directory)/ended; if [ -e \(file) ]; then exec /bin/sh \(file); fi"
        return [
            "postgresql": [
                "recovery_conf": ["recovery_end_command": .string(command)], "pg_ctl_timeout": 4,
                // pg_rewind gives up where the old timeline ends within a record, as it may when a host is lost.
                "remove_data_directory_on_rewind_failure": true,
            ]
        ]
    }

    private func set(_ script: String, of node: Int, _ cluster: TestCluster) throws {
        try Files.replace(
            "\(cluster.directory)/\(cluster.name(node))/end", with: script.utf8, mode: 0o644)
    }

    /// PostgreSQL takes an exit beyond 128 for a signal, and ends.
    private static let crashes = "exit 130"

    @Test(
        "A promotion that ends the server, or hangs, makes way for another member; alone it is tried until it succeeds",
        .timeLimit(.minutes(5)))
    func promotionsThatFail() async throws {
        // Of equals the second is asked first.
        try await TestCluster.with(
            dynamic: NodeConfiguration.quickest, tags: [2: ["failover_priority": 5]], local: Self.endOfRecovery
        ) { cluster in
            try await cluster.start(1)
            try await waitUntil("the first leads", within: 60) { await cluster.leader() == 1 }
            for node in [2, 3] { try await cluster.start(node) }
            try await cluster.healthy(within: 60)

            try set(Self.crashes, of: 2, cluster)
            try await cluster.loseHost(1)
            #expect(try await cluster.newLeader(after: 1, within: 60) == 3)
            try await waitUntil("what the second wrote by itself is gone", within: 60) {
                await cluster.streams(2)
            }
            try await cluster.start(1)
            #expect(try await cluster.healthy(within: 60) == 3)

            try set("exec sleep 1000", of: 2, cluster)
            try await cluster.loseHost(3)
            #expect(try await cluster.newLeader(after: 3, within: 60) == 1)
            try await waitUntil("the second follows", within: 60) { await cluster.streams(2) }

            // Nobody else is there.
            try set(Self.crashes, of: 2, cluster)
            try await cluster.loseHost(1)
            try await waitUntil("an operator is asked for", within: 60) {
                guard let said = await cluster.get(2, "/patroni")?.json["needs_operator"]?.string else { return false }
                return said.utf8.firstRange(of: "PostgreSQL is not promoted".utf8) != nil
            }
            try set("exit 0", of: 2, cluster)
            try await waitUntil("it leads", within: 60) { await cluster.leader() == 2 }
            try await cluster.writable(port: cluster.postgresqlPort(2), within: 30)
        }
    }
}
