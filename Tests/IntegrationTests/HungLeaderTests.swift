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

            // docs/hung.md: ended after 2/3 ttl at the latest, so that the next one leads within ttl + loop_wait and
            // its promotion (L1), for which a busy machine of tests has 10 s.
            let new = try await cluster.newLeader(after: old, within: 5 + 1 + 10)
            try await waitUntil("the old server has ended", within: 30) { !postmaster.isAlive }
            let since = bootSeconds()
            try await waitUntil("writes go on", within: 30) { writer.rows.contains { $0.seconds > since } }
            #expect(try await cluster.healthy(within: 90) == new)
            try await writer.stop()
            try await expectRows(confirmed, in: cluster, on: new)
            try await expectSameRows(cluster, leader: new)
        }
    }

    @Test(
        "All of max_connections taken is no hang: nobody restarts anything, nobody else leads", .timeLimit(.minutes(3)),
        arguments: [true, false])
    func connectionsTaken(keepsOwn: Bool) async throws {
        let (ttl, loopWait) = (5.0, 1.0)
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let leader = try await cluster.bootstrap()
            _ = try await cluster.healthy(within: 60)
            let postmaster = try #require(cluster.postmaster(leader))
            let crowd = Crowd(cluster.conninfo(port: cluster.postgresqlPort(leader)))
            try await Blocking.run("crowd") { crowd.fill() }
            #expect(crowd.count > 20)
            // The daemon's own session has to come back, and finds no place.
            if !keepsOwn { try await Blocking.run("crowd") { crowd.endDaemonsSessions() } }
            let until = bootSeconds() + max(2 * loopWait, ttl + loopWait)
            while bootSeconds() < until {
                try await Blocking.run("crowd") { crowd.fill() }
                // Also where it lets nobody in, the daemon neither: whom it has let in it serves.
                #expect(await cluster.get(leader, "/primary")?.status == 200)
                try await Task.sleep(for: .milliseconds(200))
            }
            crowd.leave()
            #expect(try await cluster.healthy(within: 60) == leader)
            #expect(await cluster.timeline(leader) == 1)
            #expect(cluster.postmaster(leader)?.pid == postmaster.pid)
        }
    }
}

/// Sessions of the superuser, as many as the server takes.
private final class Crowd: @unchecked Sendable {
    // Sendable by hand: the test uses it from one thread at a time.
    private let conninfo: String
    private var sessions: [SQLSession] = []

    init(_ conninfo: String) { self.conninfo = conninfo }

    var count: Int { sessions.count }

    func fill() {
        while sessions.count < 1000, let session = try? SQLSession(conninfo) { sessions.append(session) }
    }

    func endDaemonsSessions() {
        _ = try? sessions.first?.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'Matriarch%'")
    }

    func leave() { sessions = [] }
}
