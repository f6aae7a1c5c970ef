import ClusterModel
import Testing

@testable import HighAvailability

/// A standby that is not up yet goes over to who leads by now: the WAL without which it never comes up may be there.
@Suite struct LaterUpstreamTests {
    private static func starting(
        leader: String? = "n2", members: [Member]? = nil, running: Plan.Kind? = nil, settings: JSONObject = [:]
    ) -> Observation {
        var status = Scene.stopped(.inArchiveRecovery, standbySignal: true)
        (status.state, status.postmaster, status.readiness) = (.starting, 100, .rejecting)
        return Scene.seen(
            Scene.view(leader: leader, members: members), status,
            running: running.map { RunningPlan(plan: Plan($0, []), since: Scene.now) }, settings: settings)
    }

    private static func startedFor(_ name: String?) -> Memory {
        var memory = Memory()
        memory.startingSince = Scene.now - .seconds(30)
        let upstream = name.map { Scene.upstream($0) }
        memory.learnStart(by: .startStandby(of: upstream, timeout: .seconds(300)), in: .startStandby)
        return memory
    }

    private static let follow = Row.Expectation.action(
        .carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n2")))])))

    static let rows: [Row] = [
        Row(
            description: "started while nobody led",
            seen: starting(), memory: startedFor(nil), expected: follow, because: ["not-running-yet", "must-follow"]),
        Row(
            description: "started for one that leads no more",
            seen: starting(), memory: startedFor("n3"), expected: follow, because: ["not-running-yet", "must-follow"]),
        Row(
            description: "found by a daemon that does not know for whom",
            seen: starting(), expected: follow, because: ["not-running-yet", "must-follow"]),
        Row(
            description: "told already",
            seen: starting(), memory: startedFor("n2"), expected: .action(.wait), because: ["not-running-yet"]),
        Row(
            description: "nobody leads",
            seen: starting(leader: nil), memory: startedFor("n3"), expected: .action(.wait),
            because: ["not-running-yet"]),
        Row(
            description: "who leads is not known yet: nobody else is better",
            seen: starting(members: []), memory: startedFor("n3"), expected: .action(.wait),
            because: ["not-running-yet"]),
        Row(
            description: "the plan that starts it comes to an end by itself",
            seen: starting(running: .startStandby), memory: startedFor(nil), expected: .action(.wait),
            because: ["operation-running", "leader-key-held-by"]),
        Row(
            description: "in pause PostgreSQL is its operator's",
            seen: starting(settings: ["pause": true]), memory: startedFor(nil), expected: .action(.wait),
            because: ["following"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }
}
