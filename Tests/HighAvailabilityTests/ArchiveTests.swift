import ClusterModel
import HighAvailability
import Testing

/// What a stopped server has not archived is told while nothing else is done: nobody else does it.
@Suite struct ArchiveTests {
    /// It has handed over to `n2`, and archives still.
    private static func archiving(stillFor time: Duration?) -> Observation {
        var local = Scene.stopped(.shutDown)
        local.postmaster = 100
        local.state = .stopping
        local.finish = .shutDown
        local.archiverStillSince = time.map { Scene.now - $0 }
        return Scene.seen(Scene.view(leader: "n2"), local, running: GiveUpWritesTests.running(.handOver))
    }

    private static func following(_ left: PostgreSQLStatus.Unarchived?) -> (Observation, Memory) {
        var local = Scene.standby()
        local.unarchived = left
        var memory = Memory()
        memory.following = .upstream(Scene.upstream("n2"))
        return (Scene.seen(Scene.view(leader: "n2"), local), memory)
    }

    /// This node has stopped PostgreSQL for another one.
    private static var handingOver: Memory {
        var memory = Memory()
        memory.isHandingOver = true
        return memory
    }

    static let rows: [Row] = [
        Row(
            description: "an archiver that has done nothing for long", seen: archiving(stillFor: .seconds(20)),
            expected: .action(.wait), because: ["operation-running", "leader-key-held-by", "archiver-hangs"]),
        Row(
            description: "a moment is none", seen: archiving(stillFor: .milliseconds(19_999)), expected: .action(.wait),
            because: ["operation-running", "leader-key-held-by"]),
        Row(
            description: "nor is what does not archive", seen: archiving(stillFor: nil), expected: .action(.wait),
            because: ["operation-running", "leader-key-held-by"]),
        Row(
            description: "what it left is told by the standby that it has become",
            seen: following(.init(first: "000000010000000000000003", count: 2)).0, memory: following(nil).1,
            expected: .action(.wait), because: ["following", "not-archived"]),
        Row(
            description: "until nothing of it is left", seen: following(nil).0, memory: following(nil).1,
            expected: .action(.wait), because: ["following"]),
        Row(
            description: "in a pause one that archives still is left alone",
            seen: Scene.seen(Scene.view(leader: "n2"), LeaderKeyTests.finished(.shutDown), settings: ["pause": true]),
            expected: .action(.wait), because: ["finished-shut-down", "paused"]),
        Row(
            description: "but for one that this node has stopped to hand over",
            seen: Scene.seen(Scene.view(leader: "n2"), LeaderKeyTests.finished(.shutDown), settings: ["pause": true]),
            memory: handingOver, expected: .plan(.demote), because: ["finished-shut-down"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    /// Another one may lead already: two that call themselves primary are an alert.
    @Test func whoArchivesAtTheEndOfItsDaemonIsNoPrimary() {
        let archiving = Self.archiving(stillFor: nil).local
        let plan = GiveUpWritesTests.running(.shutdown).plan
        #expect(shownRole(archiving, running: plan, wasPrimary: true) == .demoted)
        var working = archiving
        working.finish = nil
        #expect(shownRole(working, running: plan, wasPrimary: true) == .primary)
        var standby = archiving
        standby.hasStandbySignal = true
        #expect(shownRole(standby, running: plan, wasPrimary: false) == .replica)
    }

    @Test func theOperatorIsToldOfBoth() {
        let hangs = Scene.decided(Self.archiving(stillFor: .seconds(21))).0.needsOperator
        #expect(hangs?.contains("archive_command") == true && hangs?.contains("21 s") == true, "\(hangs ?? "")")
        let (seen, memory) = Self.following(.init(first: "000000010000000000000003", count: 2))
        let left = Scene.decided(seen, memory).0.needsOperator
        #expect(left?.contains("2 segment(s) from 000000010000000000000003") == true, "\(left ?? "")")
    }
}
