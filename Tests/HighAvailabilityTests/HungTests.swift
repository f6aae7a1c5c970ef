import ClusterModel
import HighAvailability
import Testing

/// Facts have a bound; what is slow is told apart from what hangs. Ttl 30: late after 10 s, hung after 20.
@Suite struct HungTests {
    static let ttl = Duration.seconds(30)
    static let stopped = Pulse.Processes(total: 12, stopped: 12, isPostmasterStopped: true)
    static let inKernel = Pulse.Processes(total: 12, uninterruptible: 12)
    static let well = Pulse.Processes(total: 12)

    /// A pulse taken now; the arguments are seconds.
    static func pulse(
        unanswered: Int? = nil, closed: Int? = nil, unflushed: Int? = nil, still: Int? = nil,
        _ processes: Pulse.Processes = well, taken: Int = 0
    ) -> Pulse {
        let since = { (seconds: Int?) in seconds.map { Scene.now - .seconds($0) } }
        return Pulse(
            takenAt: Scene.now - .seconds(taken), postmaster: 100, unansweredSince: since(unanswered),
            closedSince: since(closed), unflushedSince: since(unflushed), stillSince: since(still),
            processes: processes)
    }

    /// What is known of a server that does not answer: it was asked, and no facts came.
    static var silent: PostgreSQLStatus {
        var status = Scene.primary()
        status.facts = nil
        return status
    }

    /// Everything is well but the checkpointer, which has not moved for so many seconds.
    static func checkpointer(_ state: Character, _ seconds: Int, taken: Int = 0) -> Pulse {
        var pulse = pulse(taken: taken)
        pulse.checkpointer = Pulse.Checkpointer(since: Scene.now - .seconds(seconds), isStopped: state == "T")
        return pulse
    }

    enum Verdict: Sendable { case answering, late, hung }

    static let judgements: [(String, PostgreSQLStatus, Pulse?, Verdict)] = [
        ("it answers", Scene.primary(), pulse(), .answering),
        ("an answer is due for a moment", silent, pulse(unanswered: 9, still: 9, stopped), .answering),
        ("and is late", silent, pulse(unanswered: 10, still: 9, stopped), .late),
        ("all processes are stopped", silent, pulse(unanswered: 20, still: 20, stopped), .hung),
        ("all hang on a dead disk", silent, pulse(unanswered: 20, still: 10, inKernel), .hung),
        ("all wait for a lock that nobody gives back", silent, pulse(unanswered: 20, still: 10), .hung),
        ("a moment of stillness proves nothing", silent, pulse(unanswered: 20, still: 4), .late),
        ("it works, and is slow", silent, pulse(unanswered: 60), .late),
        ("but not for ever", silent, pulse(unanswered: 90), .hung),
        ("it has answered since", Scene.primary(), pulse(unanswered: 0, still: 30), .answering),
        ("a refusal is an answer: too many clients", silent, pulse(), .answering),
        (
            "its postmaster is stopped", Scene.primary(),
            pulse(closed: 20, .init(total: 9, stopped: 1, isPostmasterStopped: true)), .hung
        ),
        ("it lets nobody in and works", Scene.primary(), pulse(closed: 20), .late),
        ("it lets nobody in for long", Scene.primary(), pulse(closed: 90), .hung),
        ("the disk takes WAL slowly", Scene.primary(), pulse(unflushed: 29), .late),
        ("the disk takes none", Scene.primary(), pulse(unflushed: 30), .hung),
        ("the checkpointer is stopped for a moment", Scene.primary(), checkpointer("T", 9), .answering),
        ("and for longer", Scene.primary(), checkpointer("T", 10), .late),
        ("and for too long", Scene.primary(), checkpointer("T", 20), .hung),
        ("it waits for a disk under load", Scene.primary(), checkpointer("D", 29), .answering),
        ("for one that is very slow", Scene.primary(), checkpointer("D", 89), .late),
        ("for a dead one", Scene.primary(), checkpointer("D", 90), .hung),
        ("nobody knows what it does now", Scene.primary(), checkpointer("D", 99, taken: 16), .answering),
        ("an old pulse tells nothing", silent, pulse(unanswered: 80, still: 80, stopped, taken: 16), .answering),
    ]

    @Test(arguments: judgements)
    func isJudged(_ text: String, _ local: PostgreSQLStatus, _ pulse: Pulse?, _ expected: Verdict) {
        switch (judgeHealth(local, pulse, ttl: Self.ttl, at: Scene.now), expected) {
        case (.answering, .answering), (.late, .late), (.hung, .hung): break
        case (let health, _): Issue.record("\(text): \(health)")
        }
    }

    @Test func whatCannotBeLookedAtHangsAfterThreeLeases() {
        var local = Scene.primary()
        local.observedAt = Scene.now - .seconds(89)
        #expect(judgeHealth(local, nil, ttl: Self.ttl, at: Scene.now) == .answering)
        local.observedAt = Scene.now - .seconds(90)
        guard case .hung(let silence) = judgeHealth(local, nil, ttl: Self.ttl, at: Scene.now) else {
            Issue.record("old facts are good for ever")
            return
        }
        #expect(silence.kind == .observation)
    }

    @Test(arguments: [3, 5, 10, 30, 60]) func theBoundsLeaveTimeForTheNextPrimary(ttl: Int) {
        let ttl = Duration.seconds(ttl)
        let timings = ClusterTimings(ttl: ttl, loopWait: .seconds(10), retryTimeout: ttl / 3)
        #expect(SilenceArithmetic.late(ttl: ttl) < SilenceArithmetic.hung(ttl: ttl))
        // Asked at the latest a look after it went silent, and judged when the bound is reached.
        #expect(SilenceArithmetic.hung(ttl: ttl) + LeaseArithmetic.lookInterval(timings) < ttl)
        #expect(SilenceArithmetic.stillness(ttl: ttl) < SilenceArithmetic.hung(ttl: ttl))
        #expect(SilenceArithmetic.slow(ttl: ttl) > SilenceArithmetic.unflushed(ttl: ttl))
        #expect(SilenceArithmetic.kernel(ttl: ttl) >= SilenceArithmetic.slow(ttl: ttl))
    }

    // MARK: The rule

    static let hung = pulse(unanswered: 25, still: 25, stopped)
    static let good = ["n2": Scene.peer(1000), "n3": Scene.peer(1000)]
    static let ended = Row.Expectation.action(
        .carryOut(Plan(.demote, [.postgreSQL(.stop(.byForce, timeout: .seconds(5))), .releaseLeader])))

    static func seen(
        _ pulse: Pulse?, leader: String? = "n1", _ local: PostgreSQLStatus = silent,
        renewal: Observation.Renewal? = nil, peers: [String: PeerAnswer]? = nil, settings: JSONObject = [:],
        running: RunningPlan? = nil
    ) -> Observation {
        var seen = Scene.seen(
            Scene.view(leader: leader), local, lease: Scene.lease(heldFor: .seconds(5)), renewal: renewal,
            peers: peers, running: running, settings: settings)
        seen.pulse = pulse
        return seen
    }

    static func running(_ kind: Plan.Kind, _ steps: [Step]) -> RunningPlan {
        RunningPlan(plan: Plan(kind, steps), since: Scene.now - .seconds(25))
    }

    /// Nobody has looked at it for three leases.
    static var unseen: PostgreSQLStatus {
        var status = Scene.primary()
        status.observedAt = Scene.now - .seconds(91)
        return status
    }

    static var heldBack: Memory {
        var memory = Memory()
        memory.heldBackUntil = Scene.now + .seconds(10)
        return memory
    }

    static let rows: [Row] = [
        Row(
            description: "one that lets nobody in hangs, too",
            seen: seen(pulse(closed: 20, .init(total: 9, stopped: 1, isPostmasterStopped: true)), Scene.primary()),
            expected: .asks(["n2", "n3"]), because: ["silent-connections"]),
        Row(
            description: "and one whose disk takes no WAL", seen: seen(pulse(unflushed: 30), Scene.primary()),
            expected: .asks(["n2", "n3"]), because: ["silent-flushes"]),
        Row(
            description: "and one whose checkpointer stands still", seen: seen(checkpointer("T", 20), Scene.primary()),
            expected: .asks(["n2", "n3"]), because: ["silent-checkpoints"]),
        Row(
            description: "in pause not even that one is ended",
            seen: seen(
                checkpointer("T", 20), Scene.primary(), renewal: .held, peers: good, settings: ["pause": true]),
            expected: .action(.wait), because: ["holding-lease", "silent-checkpoints"]),
        Row(
            description: "and one that nobody could look at", seen: seen(nil, unseen),
            expected: .asks(["n2", "n3"]), because: ["silent-observation"]),
        Row(
            description: "who hung lets others go first",
            seen: Scene.seen(Scene.view(), Scene.standby(), peers: good), memory: heldBack, expected: .action(.wait),
            because: ["held-back"]),
        Row(
            description: "also with a server that is down", seen: Scene.seen(Scene.view(), Scene.stopped()),
            memory: heldBack, expected: .action(.wait), because: ["not-running", "held-back"]),
        Row(
            description: "the candidates are asked first", seen: seen(hung), expected: .asks(["n2", "n3"]),
            because: ["silent-statements"]),
        Row(
            description: "a good one: PostgreSQL is ended, then the key goes", seen: seen(hung, peers: good),
            expected: ended, because: ["silent-statements", "still-accepts-writes"]),
        Row(
            description: "nobody good: the key stays, and is renewed",
            seen: seen(hung, peers: ["n2": Scene.unreachable, "n3": Scene.unreachable]),
            expected: .action(.ask(.renewal)), because: ["silent-statements"]),
        Row(
            description: "nobody good: and then it is waited",
            seen: seen(hung, renewal: .held, peers: ["n2": Scene.unreachable, "n3": Scene.unreachable]),
            expected: .action(.wait), because: ["silent-statements", "no-healthy-candidate"]),
        Row(
            description: "who lags is not good",
            seen: seen(
                hung, peers: ["n2": Scene.peer(0), "n3": Scene.unreachable], settings: ["maximum_lag_on_failover": 10]),
            expected: .action(.ask(.renewal)), because: ["silent-statements"]),
        Row(
            description: "in pause nothing is ended",
            seen: seen(hung, renewal: .held, peers: good, settings: ["pause": true]), expected: .action(.wait),
            because: ["holding-lease", "silent-statements"]),
        Row(
            description: "a slow one goes on", seen: seen(pulse(unanswered: 60), renewal: .held),
            expected: .action(.wait), because: ["holding-lease", "silent-statements"]),
        Row(
            description: "a silent standby is nobody's business here", seen: seen(hung, leader: "n2", Scene.standby()),
            expected: .plan(.follow), because: ["must-follow"]),
        Row(
            description: "while it is ended nobody renews",
            seen: seen(
                hung, running: running(.demote, [.postgreSQL(.stop(.byForce, timeout: .seconds(5))), .releaseLeader])),
            expected: .action(.wait), because: ["operation-running", "silent-statements"]),
        Row(
            description: "a restart that hangs is broken off",
            seen: seen(
                hung, peers: good, running: running(.restart, [.postgreSQL(.stopToRestart(timeout: .seconds(300)))])),
            expected: .breakOff(.demote), because: ["silent-statements", "still-accepts-writes"]),
        Row(
            description: "a start has its own bound",
            seen: seen(
                hung, peers: good, running: running(.startPrimary, [.postgreSQL(.startPrimary(timeout: .seconds(300)))])
            ),
            expected: .action(.ask(.renewal)), because: ["operation-running"]),
        Row(
            description: "but a start that waits for a dead disk has none: who could lead is asked",
            seen: seen(nil, unlooked, running: running(.startPrimary, [.postgreSQL(.startPrimary(timeout: start))])),
            expected: .asks(["n2", "n3"]), because: ["silent-observation"]),
        Row(
            description: "and leads",
            seen: seen(
                nil, unlooked, peers: good,
                running: running(.startPrimary, [.postgreSQL(.startPrimary(timeout: start))])),
            expected: .breakOff(.demote), because: ["silent-observation", "still-accepts-writes"]),
    ]

    static let longRows: [Row] = [
        Row(
            description: "its server is gone, by the kernel's word, and the disk says nothing: who could lead is asked",
            seen: gone(for: 20), expected: .asks(["n2", "n3"]), because: ["silent-observation"]),
        Row(
            description: "but for a moment that is only a crash", seen: gone(for: 19),
            expected: .action(.ask(.renewal)), because: []),
        Row(
            description: "a promotion that takes its time is left alone",
            seen: seen(nil, Scene.standby(), peers: good, running: since(389, .promote, [.postgreSQL(.promote)])),
            expected: .action(.ask(.renewal)), because: ["operation-running"]),
        Row(
            description: "one that never returns holds nobody up for ever",
            seen: seen(nil, Scene.standby(), peers: good, running: since(390, .promote, [.postgreSQL(.promote)])),
            expected: .breakOff(.demote), because: ["silent-operation", "still-accepts-writes"]),
        Row(
            description: "nor does a start that does not return",
            seen: seen(
                nil, Scene.stopped(), peers: good,
                running: since(390, .startPrimary, [.postgreSQL(.startPrimary(timeout: start))])),
            expected: .breakOff(.demote), because: ["silent-operation", "still-accepts-writes"]),
        Row(
            description: "where nobody else can lead it goes on",
            seen: seen(
                nil, Scene.stopped(), peers: ["n2": Scene.unreachable, "n3": Scene.unreachable],
                running: since(390, .startPrimary, [.postgreSQL(.startPrimary(timeout: start))])),
            expected: .action(.ask(.renewal)), because: ["silent-operation"]),
        Row(
            description: "a leader that hung and was ended by somebody else does not start again",
            seen: Scene.seen(Scene.view(leader: "n1"), Scene.stopped(), lease: Scene.lease(), renewal: .held),
            memory: heldBack, expected: LeaderKeyTests.ended,
            because: ["not-running", "held-back", "sessions-may-go-on"]),
    ]

    /// The leader of a standby cluster repairs under its key, of all leaders alone.
    static let repairRows: [Row] = [
        Row(
            description: "a standby leader may run pg_rewind for ten minutes, and three leases",
            seen: repairing(for: 689, peers: good), expected: .action(.ask(.renewal)), because: ["operation-running"]),
        Row(
            description: "then who could lead is asked", seen: repairing(for: 690), expected: .asks(["n2", "n3"]),
            because: ["silent-operation"]),
        Row(
            description: "and leads", seen: repairing(for: 690, peers: good), expected: .breakOff(.demote),
            because: ["silent-operation", "still-accepts-writes"]),
        Row(
            description: "where nobody can lead it goes on",
            seen: repairing(for: 690, peers: ["n2": Scene.unreachable, "n3": Scene.unreachable]),
            expected: .action(.ask(.renewal)), because: ["silent-operation"]),
        Row(
            description: "crash recovery before it has as long",
            seen: repairing(for: 1289, peers: good, [.postgreSQL(.recoverSingleUser), rewind]),
            expected: .action(.ask(.renewal)), because: ["operation-running"]),
        Row(
            description: "and not longer",
            seen: repairing(for: 1290, peers: good, [.postgreSQL(.recoverSingleUser), rewind]),
            expected: .breakOff(.demote), because: ["silent-operation", "still-accepts-writes"]),
        Row(
            description: "who follows may take all the time that it needs",
            seen: repairing(for: 9000, leader: "n2", peers: good), expected: .action(.wait),
            because: ["operation-running", "leader-key-held-by"]),
    ]

    static let rewind = Step.postgreSQL(
        .rewind(from: Upstream(name: "elsewhere", address: HostPort(host: "elsewhere", port: 5432))))

    static func repairing(
        for seconds: Int, leader: String = "n1", peers: [String: PeerAnswer]? = nil, _ steps: [Step] = [rewind]
    ) -> Observation {
        seen(
            nil, leader: leader, Scene.stopped(), peers: peers,
            settings: ["standby_cluster": ["host": "elsewhere"]], running: since(seconds, .rewind, steps))
    }

    @Test(arguments: [Plan.Kind.rewind, .recoverSingleUser, .startStandby])
    func aRepairThatTakesVeryLongIsTold(_ kind: Plan.Kind) {
        func need(_ seconds: Int) -> String? {
            let seen = Self.seen(
                nil, leader: "n2", Scene.stopped(), running: Self.since(seconds, kind, [Self.rewind]))
            return Scene.decided(seen).0.needsOperator
        }
        #expect(need(1799) == nil)
        #expect((need(1800)?.contains("30 minutes") ?? false) == (kind != .startStandby))
        #expect((need(1800)?.contains("matriarchctl reinit --force") ?? false) == (kind != .startStandby))
    }

    static func gone(for seconds: Int) -> Observation {
        var local = Scene.primary()
        local.observedAt = Scene.now - .seconds(seconds)
        var seen = seen(nil, local)
        seen.isServerGone = true
        return seen
    }

    static func since(_ seconds: Int, _ kind: Plan.Kind, _ steps: [Step]) -> RunningPlan {
        RunningPlan(plan: Plan(kind, steps), since: Scene.now - .seconds(seconds))
    }

    static let start = Duration.seconds(300)

    /// It is down, and the disk says nothing any more.
    static var unlooked: PostgreSQLStatus {
        var status = Scene.stopped()
        status.observedAt = Scene.now - .seconds(91)
        return status
    }

    @Test(arguments: rows + longRows + repairRows) func decides(_ row: Row) {
        row.check()
    }

    @Test func theLogHasTheReasonAsSoonAsItIsLate() {
        var memory = Memory()
        let decision = decide(Self.seen(Self.pulse(unanswered: 11, still: 11, Self.stopped), renewal: .held), &memory)
        #expect(decision.action == .wait)
        let text = decision.reasons.map { "\($0)" }.joined(separator: "; ")
        #expect(text.contains("PostgreSQL has not answered for 11.0 s of 20.0 s"), "\(text)")
        #expect(
            text.contains("its postmaster is stopped, 12 of 12 processes are stopped, none does anything"), "\(text)")
    }

    /// It compares before it follows, and others go first.
    @Test func whoHungIsSuspectedAndHeldBack() {
        var memory = Memory()
        let ended = decide(Self.seen(Self.hung, peers: Self.good), &memory)
        memory.begins(ended)
        #expect(memory.rewind == .suspected)
        let free = Scene.view(leader: nil)
        let isStarted = { (memory: inout Memory) in
            if case .carryOut = decide(Scene.seen(free, Scene.stopped()), &memory).action { true } else { false }
        }
        #expect(!isStarted(&memory))
        let race = Scene.seen(free, Scene.standby(at: 2000), peers: Self.good)
        #expect(decide(race, &memory).action == .wait)
        memory.heldBackUntil = Scene.now
        #expect(isStarted(&memory))
        #expect(decide(race, &memory).action == .acquireLeader)
    }
}
