import ClusterModel
import Testing

@testable import HighAvailability

/// Nodes that need somebody's hands say what is wrong and what to do, and are tried again ever more seldom.
@Suite struct StuckTests {
    static let following = StoppedAndDivergedTests.following
    static let same = StoppedAndDivergedTests.same
    static let lost = PostgreSQLStatus.Obstacle.checkpointWithoutWAL(file: "000000010000000000000003")

    /// What was to wait for minutes waits for ten seconds after its last failure where nobody leads.
    @Test(arguments: [(0, 10), (3, 7), (9, 1)])
    func startsWithoutALeaderWaitTenSeconds(_ ago: Int, _ left: Int) {
        var memory = Memory()
        memory.starting = Self.failed(9, Self.lost, ago: .seconds(ago)).starting
        #expect(memory.starting.pause(at: Scene.now, atMost: .seconds(10)) == .seconds(left))
        #expect(memory.starting.pause(at: Scene.now + .seconds(left), atMost: .seconds(10)) == nil)
    }

    // MARK: Down

    static let starts: [Row] = [
        Row(
            description: "what stands in the directory keeps nobody from a first start",
            seen: down(lost), expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
        Row(
            description: "after one that failed it is told",
            seen: down(lost, divergence: same), memory: failed(1, lost),
            expected: .action(.wait), because: ["start-failed", "obstructed", "started-again"]),
        Row(
            description: "not after the first look that finds it: that may have come half-way through something",
            seen: down(lost, divergence: same), memory: failed(1, nil),
            expected: .action(.wait), because: ["start-failed", "started-again"]),
        Row(
            description: "nor replaced after that, where it may be",
            seen: down(lost, divergence: same) { $0.mayRemove.onDivergedTimelines = true }, memory: failed(2, nil),
            expected: .action(.wait), because: ["start-failed", "started-again"]),
        Row(
            description: "a standby of another member is not replaced by the leader, whom nobody has compared it with",
            seen: cascading(down(lost, divergence: same) { $0.mayRemove.onDivergedTimelines = true }),
            memory: failed(2, lost), expected: .action(.wait), because: ["start-failed", "obstructed", "started-again"]),
        Row(
            description: "and the next one waits long",
            seen: down(lost, divergence: same), memory: failed(9, lost, ago: .seconds(200)),
            expected: .action(.wait), because: ["start-failed", "obstructed", "started-again"]),
        Row(
            description: "but not for ever",
            seen: down(lost, divergence: same), memory: failed(9, lost, ago: .seconds(300)),
            expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
        Row(
            description: "one that has gone is tried without at once",
            seen: down(nil, divergence: same), memory: failed(9, lost),
            expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
        Row(
            description: "a reason that nobody knows may pass at any time",
            seen: down(nil, divergence: same), memory: failed(9, nil, ago: .seconds(10)),
            expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
        Row(
            description: "and so it is while nobody leads",
            seen: Scene.seen(Scene.view(), local(lost)), memory: failed(9, lost, ago: .seconds(10)),
            expected: .plan(.startStandby), because: ["not-running", "leader-key-free"]),
        Row(
            description: "where the leader has all of it and the removal is allowed, a copy replaces it",
            seen: down(lost, divergence: same) { $0.mayRemove.onDivergedTimelines = true }, memory: failed(2, lost),
            expected: .plan(.reclone), because: ["obstructed", "nothing-to-lose"]),
        Row(
            description: "not where a rewind that failed would allow it: none has",
            seen: down(lost, divergence: same) { $0.mayRemove.onRewindFailure = true }, memory: failed(2, lost),
            expected: .action(.wait), because: ["start-failed", "obstructed", "started-again"]),
        Row(
            description: "not where the comparison says nothing",
            seen: down(lost, divergence: .unavailable("refused")) { $0.mayRemove.onDivergedTimelines = true },
            memory: failed(2, lost),
            expected: .action(.wait), because: ["start-failed", "obstructed", "started-again"]),
        Row(
            description: "nor for what a copy does not mend",
            seen: down(.permissions("x"), divergence: same) { $0.mayRemove.onDivergedTimelines = true },
            memory: failed(2, .permissions("x")),
            expected: .action(.wait), because: ["start-failed", "obstructed", "started-again"]),
    ]

    // MARK: Starting, for ever

    static let waits: [Row] = [
        Row(
            description: "a standby that starts is left alone, whatever stands there",
            seen: starting(), memory: begun(.seconds(19)), expected: .action(.wait), because: ["not-running-yet"]),
        Row(
            description: "not for ever",
            seen: starting(), memory: begun(.seconds(20)), expected: .action(.wait),
            because: ["not-running-yet", "obstructed"]),
        Row(
            description: "where it may be removed, the leader is asked whether it has all of it",
            seen: starting { $0.mayRemove.onDivergedTimelines = true }, memory: begun(.seconds(20)),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))),
            because: ["not-running-yet", "obstructed"]),
        Row(
            description: "and a copy replaces it",
            seen: starting(divergence: same) { $0.mayRemove.onDivergedTimelines = true }, memory: begun(.seconds(20)),
            expected: .plan(.reclone), because: ["obstructed", "nothing-to-lose"]),
        Row(
            description: "not that of a standby of another member: that one may have the WAL",
            seen: cascading(starting(divergence: same) { $0.mayRemove.onDivergedTimelines = true }),
            memory: begun(.seconds(20), following: "n3"), expected: .action(.wait),
            because: ["not-running-yet", "obstructed"]),
        Row(
            description: "also while the plan that starts it still waits",
            seen: starting(divergence: same, running: .startStandby) { $0.mayRemove.onDivergedTimelines = true },
            memory: begun(.seconds(20)), expected: .breakOff(.reclone), because: ["obstructed", "nothing-to-lose"]),
        Row(
            description: "no other plan is broken off",
            seen: starting(divergence: same, running: .rewind) { $0.mayRemove.onDivergedTimelines = true },
            memory: begun(.seconds(20)), expected: .action(.wait),
            because: ["operation-running", "leader-key-held-by", "obstructed"]),
        Row(
            description: "nothing that has parted is taken for stuck",
            seen: starting(divergence: StoppedAndDivergedTests.diverged) { $0.mayRemove.onDivergedTimelines = true },
            memory: begun(.seconds(20)), expected: .action(.wait), because: ["not-running-yet", "obstructed"]),
        Row(
            description: "an archive may bring it",
            seen: starting(divergence: same) {
                $0.mayRemove.onDivergedTimelines = true
                $0.hasRestoreCommand = true
            }, memory: begun(.seconds(20)), expected: .action(.wait), because: ["not-running-yet", "obstructed"]),
    ]

    static func starting(
        divergence: Observation.Divergence? = nil, running: Plan.Kind? = nil,
        _ change: (inout PostgreSQLStatus) -> Void = { _ in }
    ) -> Observation {
        var status = local(lost)
        status.state = .starting
        status.postmaster = 100
        status.readiness = .rejecting
        change(&status)
        return Scene.seen(
            following, status, divergence: divergence,
            running: running.map { RunningPlan(plan: Plan($0, []), since: Scene.now) })
    }

    static func begun(_ ago: Duration, following name: String = "n2") -> Memory {
        var memory = Memory()
        memory.startingSince = Scene.now - ago
        memory.following = .upstream(Scene.upstream(name))
        memory.obstacle = .init(lost, at: Scene.now - .seconds(1))
        return memory
    }

    // MARK: Up, and without WAL

    static let segment = DivergenceFacts.Lacking.segment("000000010000000000000003")

    static let streams: [Row] = [
        Row(
            description: "a standby that has just lost its receiver is left alone",
            seen: idle(for: .seconds(9)), memory: LeaderAndFollowerTests.told("n2"), expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "one that stands still is asked about",
            seen: idle(for: .seconds(10)), memory: LeaderAndFollowerTests.told("n2"),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["following"]),
        Row(
            description: "the leader has what it needs: it will come",
            seen: idle(lacking: nil), memory: LeaderAndFollowerTests.told("n2"), expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "the leader has it no more: somebody must know",
            seen: idle(lacking: segment), memory: lacked("n2"), expected: .action(.wait),
            because: ["following", "source-lacks"]),
        Row(
            description: "one comparison that says so is none",
            seen: idle(lacking: segment) { $0.mayRemove.onDivergedTimelines = true },
            memory: LeaderAndFollowerTests.told("n2"), expected: .action(.wait), because: ["following"]),
        Row(
            description: "what the leader has no more is no matter to a standby of another member",
            seen: cascading(idle(lacking: segment) { $0.mayRemove.onDivergedTimelines = true }),
            memory: lacked("n3"), expected: .action(.wait), because: ["following"]),
        Row(
            description: "where the removal is allowed a copy replaces it",
            seen: idle(lacking: segment) { $0.mayRemove.onDivergedTimelines = true },
            memory: lacked("n2"), expected: .plan(.reclone),
            because: ["source-lacks", "nothing-to-lose"]),
        Row(
            description: "not while an archive may bring it",
            seen: idle(lacking: segment) {
                $0.mayRemove.onDivergedTimelines = true
                $0.facts?.hasRestoreCommand = true
            }, memory: lacked("n2"), expected: .action(.wait),
            because: ["following", "source-lacks"]),
        Row(
            description: "nor in pause",
            seen: idle(lacking: segment, settings: ["pause": true]) { $0.mayRemove.onDivergedTimelines = true },
            memory: LeaderAndFollowerTests.told("n2"), expected: .action(.wait), because: ["following"]),
        Row(
            description: "a history that the leader lacks is put back by hand",
            seen: idle(lacking: .history("00000002.history")) { $0.mayRemove.onDivergedTimelines = true },
            memory: lacked("n2", .history("00000002.history")), expected: .action(.wait),
            because: ["following", "source-lacks"]),
        Row(
            description: "a server that refuses us is told beside what is done",
            seen: Scene.seen(Scene.view(leader: "n2"), refusing), memory: LeaderAndFollowerTests.told("n2"),
            expected: .action(.wait), because: ["following", "unobservable"]),
    ]

    @Test(arguments: starts + waits + streams) func decides(_ row: Row) { row.check() }

    /// Each with what is wrong and what can be done.
    static let remedies: [(Observation, Memory, [String])] = [
        (down(lost, divergence: same), failed(1, lost), ["pg_wal has no 000000010000000000000003", "/reinitialize"]),
        (
            down(.staleBackupLabel(file: "000000010000000000000001"), divergence: same),
            failed(1, .staleBackupLabel(file: "000000010000000000000001")), ["remove backup_label", "/reinitialize"]
        ),
        (
            down(.historyMissing(file: "00000002.history"), divergence: same),
            failed(1, .historyMissing(file: "00000002.history")), ["pg_wal has no 00000002.history", "restore_command"]
        ),
        (
            down(.permissions("/d has mode 0777"), divergence: same), failed(1, .permissions("/d has mode 0777")),
            ["/d has mode 0777", "0700"]
        ),
        (down(nil, divergence: same), failed(5, nil), ["its own log", "/reinitialize"]),
        (
            idle(lacking: segment), lacked("n2"),
            ["n2 has already removed WAL", "/reinitialize", "remove_data_directory_on_diverged_timelines"]
        ),
        (
            idle(lacking: .history("00000002.history")), lacked("n2", .history("00000002.history")),
            ["n2 has no 00000002.history", "/reinitialize"]
        ),
        (
            Scene.seen(Scene.view(leader: "n2"), refusing), LeaderAndFollowerTests.told("n2"),
            ["password authentication failed", "pg_hba.conf"]
        ),
        (
            Scene.seen(
                Scene.view(leader: "n2"),
                PostgreSQLStatus(dataDirectory: .inaccessible("x"), state: .stopped, observedAt: Scene.now)), Memory(),
            ["x", "Mount"]
        ),
    ]

    @Test(arguments: remedies) func saysWhatToDo(_ seen: Observation, _ memory: Memory, _ texts: [String]) {
        let (decision, _) = Scene.decided(seen, memory)
        for text in texts { #expect(decision.needsOperator?.contains(text) == true, "\(text): \(decision)") }
    }

    @Test func whatComesRightByItselfNeedsNobody() {
        for (seen, memory) in [
            (Self.down(nil, divergence: Self.same), Self.failed(4, nil)),
            (Self.idle(lacking: nil), LeaderAndFollowerTests.told("n2")),
        ] {
            #expect(Scene.decided(seen, memory).0.needsOperator == nil)
        }
    }

    /// A new obstacle is a new reason: the pauses begin anew.
    @Test func anotherObstacleIsTriedSoon() {
        var before = Self.failed(9, Self.lost)
        let (early, _) = Scene.decided(Self.down(.permissions("x"), divergence: Self.same), before)
        #expect(early.action == .wait, "one look is none")
        before.obstacle = .init(.permissions("x"), at: Scene.now - .seconds(1))
        let (decision, memory) = Scene.decided(Self.down(.permissions("x"), divergence: Self.same), before)
        guard case .carryOut = decision.action else {
            Issue.record("\(decision)")
            return
        }
        #expect(memory.startObstacle == .permissions("x"))
        #expect(memory.starting.failures == 0)
    }

    // MARK: Builders

    /// Streams from n3, not from the leader.
    static func cascading(_ seen: Observation) -> Observation {
        var seen = seen
        seen.me.tags = Tags(["replicatefrom": "n3"])
        return seen
    }

    /// Told to follow `name`; a comparison has found the leader lacking, a moment ago.
    static func lacked(_ name: String, _ lacking: DivergenceFacts.Lacking = segment) -> Memory {
        var memory = LeaderAndFollowerTests.told(name)
        memory.lacking = .init(lacking, at: Scene.now - .seconds(1))
        return memory
    }

    static func local(_ obstacle: PostgreSQLStatus.Obstacle?) -> PostgreSQLStatus {
        var status = Scene.stopped(.shutDownInRecovery, standbySignal: true)
        status.obstacle = obstacle
        return status
    }

    static func down(
        _ obstacle: PostgreSQLStatus.Obstacle?, divergence: Observation.Divergence? = nil,
        _ change: (inout PostgreSQLStatus) -> Void = { _ in }
    ) -> Observation {
        var status = local(obstacle)
        change(&status)
        return Scene.seen(following, status, divergence: divergence)
    }

    static func failed(
        _ times: Int, _ obstacle: PostgreSQLStatus.Obstacle?, ago: Duration = .zero
    ) -> Memory {
        var memory = Memory()
        memory.failedStarts = times
        memory.startObstacle = obstacle
        memory.obstacle = obstacle.map { .init($0, at: Scene.now - .seconds(1)) }
        for _ in 0..<times {
            memory.starting.note("", at: Scene.now - ago, first: .seconds(1), longest: .seconds(300))
        }
        return memory
    }

    static func idle(
        for duration: Duration = .seconds(10), lacking: DivergenceFacts.Lacking?, settings: JSONObject = [:],
        _ change: (inout PostgreSQLStatus) -> Void = { _ in }
    ) -> Observation {
        var facts = StoppedAndDivergedTests.facts(900, recovery: true, source: 1)
        facts.lacking = lacking
        var seen = idle(for: duration, settings: settings, change)
        seen.divergence = .facts(facts)
        return seen
    }

    static func idle(
        for duration: Duration, settings: JSONObject = [:], _ change: (inout PostgreSQLStatus) -> Void = { _ in }
    ) -> Observation {
        var status = Scene.standby(at: 900, streaming: false)
        change(&status)
        var seen = Scene.seen(Scene.view(leader: "n2"), status, settings: settings)
        seen.notStreamingSince = Scene.now - duration
        return seen
    }

    static var refusing: PostgreSQLStatus {
        var status = Scene.standby()
        status.facts = nil
        status.unobservable = "password authentication failed"
        return status
    }
}
