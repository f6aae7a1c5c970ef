import ClusterModel
import Glibc
import Testing

/// What happens to the daemon of the leader.
enum DaemonFault: CaseIterable, Sendable {
    case killed
    /// It hangs, and goes on when another node leads.
    case frozen
}

/// A guardian stands between a broken daemon and a second primary (architecture.md §4). `scripts/faults` does the same
/// more often and in more ways.
extension ClusterIntegrationTests {
    /// The lease of `NodeConfiguration.quickest`, in seconds.
    private static let shortTTL = 5.0

    @Test(
        "The leader's daemon is broken: no moment has two writable primaries, no confirmed row is lost",
        .timeLimit(.minutes(3)), arguments: DaemonFault.allCases)
    func daemonFault(_ fault: DaemonFault) async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let old = try await cluster.bootstrap()
            try await withWitnesses(cluster, old) { writer in
                let daemon = try cluster.daemon(old)
                daemon.signal(fault == .frozen ? SIGSTOP : SIGKILL)
                let new = try await cluster.newLeader(after: old, within: Self.shortTTL + 10)
                try await expectWrites(writer, "on the new leader", within: 30)

                // As long again: the old leader has every chance to go on with what it was about to do.
                let end = bootSeconds() + Self.shortTTL
                try await waitUntil("the old leader had its chance", within: 2 * Self.shortTTL) { bootSeconds() > end }
                if fault == .frozen { daemon.signal(SIGCONT) } else { try await cluster.start(old) }
                #expect(try await cluster.healthy(within: 60) == new)
                return new
            }
        }
    }

    @Test("The leader's guardian is killed: PostgreSQL ends at once, and writes go on", .timeLimit(.minutes(3)))
    func guardianKilled() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let leader = try await cluster.bootstrap()
            try await withWitnesses(cluster, leader) { writer in
                let postmaster = try #require(cluster.postmaster(leader))
                let guardian = try #require(try await cluster.guardian(leader))
                guardian.signal(SIGKILL)
                try await waitUntil("PostgreSQL has ended", within: 5) { !postmaster.isAlive }
                try await expectWrites(writer, "without the old guardian", within: 30)
                let next = try await cluster.healthy(within: 60)
                #expect(try await cluster.guardian(next) != guardian)
                return next
            }
        }
    }

    /// With ttl 5 the clean stop has 20 s. The standbys have all that was written, and take over at once after that.
    @Test(
        "The leader's daemon is to end, and the shutdown checkpoint hangs: another leads all the same",
        .timeLimit(.minutes(3)))
    func stopThatHangs() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let old = try await cluster.bootstrap()
            try await withWitnesses(cluster, old) { writer in
                let daemon = try cluster.daemon(old)
                let question = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
                let checkpointer = try #require(await cluster.value(old, question).flatMap { Int32($0) })
                kill(checkpointer, SIGSTOP)
                daemon.signal(SIGTERM)
                let new = try await cluster.newLeader(after: old, within: 35)
                try await expectWrites(writer, "on the new leader", within: 30)
                try await waitUntil("the daemon has ended", within: 30) { !daemon.isAlive }
                #expect(kill(checkpointer, 0) != 0)
                try await cluster.start(old)
                #expect(try await cluster.healthy(within: 60) == new)
                return new
            }
        }
    }

    /// Without it the stop would have 20 s.
    @Test("In synchronous mode a stop that hangs has primary_stop_timeout, and no longer", .timeLimit(.minutes(3)))
    func configuredStopTimeout() async throws {
        var dynamic = NodeConfiguration.quickest
        dynamic["synchronous_mode"] = true
        dynamic["primary_stop_timeout"] = 3
        try await TestCluster.with(dynamic: dynamic) { cluster in
            let old = try await cluster.bootstrap()
            let daemon = try cluster.daemon(old)
            let postmaster = try #require(cluster.postmaster(old))
            let question = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
            let checkpointer = try #require(await cluster.value(old, question).flatMap { Int32($0) })
            // Before that nobody else may lead.
            try await waitUntil("a standby is synchronous", within: 30) {
                await cluster.members(old).contains { $0["role"]?.string == "sync_standby" }
            }
            kill(checkpointer, SIGSTOP)
            daemon.signal(SIGTERM)
            try await waitUntil("PostgreSQL has ended", within: 15) { !postmaster.isAlive }
            _ = try await cluster.newLeader(after: old, within: 60)
            try await waitUntil("the daemon has ended", within: 60) { !daemon.isAlive }
            try await cluster.start(old)
            try await cluster.healthy(within: 60)
        }
    }

    @Test("The leader's daemon is killed and started again, often: PostgreSQL does not notice", .timeLimit(.minutes(3)))
    func daemonRestarts() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let leader = try await cluster.bootstrap()
            let postmaster = try #require(cluster.postmaster(leader))
            try await withWitnesses(cluster, leader) { writer in
                for _ in 1...5 {
                    let daemon = try cluster.daemon(leader)
                    daemon.signal(SIGKILL)
                    try await waitUntil("the daemon has ended", within: 20) { !daemon.isAlive }
                    try await cluster.start(leader)
                    try await waitUntil("a leader is known again", within: 20) { await cluster.leader() != nil }
                    #expect(await cluster.leader() == leader)
                    try await expectWrites(writer, "beside the new daemon", within: 20)
                }
                #expect(writer.failures == 0)
                #expect(cluster.postmaster(leader) == postmaster)
                #expect(try await cluster.healthy(within: 30) == leader)
                #expect(await cluster.timeline(leader) == 1)
                return leader
            }
        }
    }

    /// Runs `body` while rows are written and all nodes are watched; it returns the node that leads afterwards.
    private func withWitnesses(
        _ cluster: TestCluster, _ leader: Int, _ body: (RowWriter) async throws -> Int
    ) async throws {
        try await cluster.sql(leader, RowWriter.table)
        try await cluster.sql(leader, WriteWitness.table)
        let witness = try WriteWitness(cluster)
        let writer = try RowWriter(cluster.writableConninfo)
        try await waitUntil("the writer has rows that a replica confirmed", within: 20) {
            writer.confirmedByReplica.count > 50
        }
        let confirmed = writer.confirmedByReplica
        let last = try await body(writer)
        try await writer.stop()
        try await witness.stop()
        #expect(witness.twoPrimaries == 0)
        try await expectRows(confirmed, in: cluster, on: last)
        try await expectSameRows(cluster, leader: last)
    }

    /// Waits for a row that is acknowledged after now.
    private func expectWrites(_ writer: RowWriter, _ what: String, within seconds: Double) async throws {
        let now = bootSeconds()
        try await waitUntil("writes go on \(what)", within: seconds) {
            writer.lastAcknowledged.map { $0 > now } ?? false
        }
    }
}
