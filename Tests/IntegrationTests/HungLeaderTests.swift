import ClusterModel
import Glibc
import Posix
import Testing

/// What of a leader's PostgreSQL does nothing any more.
enum HungPart: CaseIterable, Sendable {
    case everything, postmaster, checkpointer

    fileprivate func processes(of postmaster: OwnedProcess) -> [OwnedProcess] {
        switch self {
        case .everything: [postmaster] + postmaster.children
        case .postmaster: [postmaster]
        case .checkpointer: postmaster.children.filter { $0.isPostgreSQL("checkpointer") }
        }
    }
}

extension OwnedProcess {
    /// Whether it is that auxiliary process, by its title.
    fileprivate func isPostgreSQL(_ title: String) -> Bool {
        ((try? Files.readText("/proc/\(pid)/cmdline")) ?? "").contains(title)
    }
}

/// A PostgreSQL that hangs (docs/hung.md) on whole clusters.
extension WaitingIntegrationTests {
    @Test(
        "A leader whose PostgreSQL hangs in whole or in part is ended, another leads with all that it has received",
        .timeLimit(.minutes(4)), arguments: HungPart.allCases)
    func hungLeader(_ part: HungPart) async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let old = try await cluster.bootstrap()
            try await cluster.sql(old, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer has rows that a replica confirmed", within: 20) {
                writer.confirmedByReplica.count > 50
            }
            let confirmed = writer.confirmedByReplica
            let postmaster = try #require(cluster.postmaster(old))
            let hung = part.processes(of: postmaster)
            try #require(!hung.isEmpty)
            for process in hung { process.signal(SIGSTOP) }
            // A test that ends early leaves nobody stopped.
            defer { for process in hung { process.signal(SIGCONT) } }

            let new = try await cluster.newLeader(after: old, within: 60)
            try await waitUntil("the old server has ended", within: 30) { !postmaster.isAlive }
            let since = bootSeconds()
            try await waitUntil("writes go on", within: 30) { writer.rows.contains { $0.seconds > since } }
            #expect(try await cluster.healthy(within: 90) == new)
            try await writer.stop()
            try await expectRows(confirmed, in: cluster, on: new)
            try await expectSameRows(cluster, leader: new)
        }
    }
}
