import ClusterModel
import Testing

@testable import HighAvailability

/// A standby that goes by a `backup_label` which an operator has removed, or left where it does not belong.
@Suite struct RemovedLabelTests {
    static let removed = PostgreSQLStatus.Obstacle.removedBackupLabel(file: "0000000100000000000000F0")

    static func starting(
        _ obstacle: PostgreSQLStatus.Obstacle = removed, leader: String? = "n2", renewal: Observation.Renewal? = nil,
        running: Plan.Kind? = nil, settings: JSONObject = [:], standbySignal: Bool = true
    ) -> Observation {
        var status = Scene.stopped(standbySignal: standbySignal)
        status.state = .starting
        status.postmaster = 100
        status.readiness = .rejecting
        status.obstacle = obstacle
        return Scene.seen(
            Scene.view(leader: leader), status, lease: leader == "n1" ? Scene.lease() : nil, renewal: renewal,
            running: running.map { RunningPlan(plan: Plan($0, []), since: Scene.now) }, settings: settings)
    }

    /// It streams from n2 already.
    static var told: Memory {
        var memory = Memory()
        memory.following = .upstream(Scene.upstream("n2"))
        return memory
    }

    /// Seen before, so that it is certain.
    static func seenBefore(_ obstacle: PostgreSQLStatus.Obstacle = removed) -> Memory {
        var memory = StuckTests.begun(.seconds(30))
        memory.obstacle = .init(obstacle, at: Scene.now - .seconds(1))
        return memory
    }

    static func triedBefore(_ obstacle: PostgreSQLStatus.Obstacle = removed) -> Memory {
        var memory = seenBefore(obstacle)
        memory.starting.note("x", at: Scene.now - .seconds(1), first: .seconds(10), longest: .seconds(300))
        return memory
    }

    static let again = Row.Expectation.action(
        .carryOut(
            Plan(
                .startStandby,
                [
                    .postgreSQL(.stop(.immediate, timeout: .seconds(60))),
                    .postgreSQL(.startStandby(of: Scene.upstream("n2"), timeout: .seconds(300))),
                ])))

    static let rows: [Row] = [
        Row(
            description: "one look may come half-way through something",
            seen: starting(), memory: told, expected: .action(.wait), because: ["not-running-yet"]),
        Row(
            description: "a standby that waits for what no file asks for any more is started once more",
            seen: starting(), memory: seenBefore(), expected: again, because: ["obstructed"]),
        Row(
            description: "also while the plan that starts it still waits",
            seen: starting(running: .startStandby), memory: seenBefore(), expected: .breakOff(.startStandby),
            because: ["obstructed"]),
        Row(
            description: "no other plan is broken off for it",
            seen: starting(running: .rewind), memory: seenBefore(), expected: .action(.wait),
            because: ["operation-running", "leader-key-held-by", "obstructed"]),
        Row(
            description: "and while nobody leads",
            seen: starting(leader: nil), memory: seenBefore(), expected: .plan(.startStandby), because: ["obstructed"]),
        Row(
            description: "who leads renews before",
            seen: starting(leader: "n1"), memory: seenBefore(), expected: .action(.ask(.renewal)),
            because: ["not-running-yet"]),
        Row(
            description: "and is started then",
            seen: starting(leader: "n1", renewal: .held), memory: seenBefore(), expected: .plan(.startStandby),
            because: ["obstructed"]),
        Row(
            description: "where that has not helped the next one waits",
            seen: starting(), memory: triedBefore(), expected: .action(.wait),
            because: ["obstructed", "started-again"]),
        Row(
            description: "in pause PostgreSQL is its operator's",
            seen: starting(settings: ["pause": true]), memory: seenBefore(), expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "a backup whose end does not come may be on its way, and is told",
            seen: starting(.backupNotEnded(start: WALPosition(1000))),
            memory: seenBefore(.backupNotEnded(start: WALPosition(1000))),
            expected: .action(.wait), because: ["not-running-yet", "obstructed"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    @Test(
        arguments: [
            (removed, ["0000000100000000000000F0", "POST /restart"]),
            (.backupNotEnded(start: WALPosition(0x200_0028)), ["0/2000028", "/reinitialize"]),
        ] as [(PostgreSQLStatus.Obstacle, [String])])
    func saysWhatToDo(_ obstacle: PostgreSQLStatus.Obstacle, _ texts: [String]) {
        let need = Scene.decided(Self.starting(obstacle), Self.triedBefore(obstacle)).0.needsOperator
        for text in texts { #expect(need?.contains(text) == true, "\(text): \(need ?? "nothing")") }
    }
}
