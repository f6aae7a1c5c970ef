import ClusterModel
import HighAvailability
import Testing

/// What follows a plan, and what a hand-over waits for.
@Suite struct SequelTests {
    struct Finished: Sendable, CustomStringConvertible {
        let description: String
        var kind = Plan.Kind.shutdown
        var local = Scene.stopped()
        var hasLease = false
        var isShuttingDown = true
        let expected: PlanSequel
    }

    static let releasing = PlanSequel.carryOut(Plan(.shutdown, [.releaseLeader]))

    static let finished: [Finished] = [
        Finished(description: "the rules go on", kind: .restart, isShuttingDown: false, expected: .decide),
        Finished(description: "PostgreSQL is down, the daemon ends", expected: .end(code: 0)),
        Finished(description: "a claim has won the key since", hasLease: true, expected: releasing),
        Finished(
            description: "a restart that the end had to wait for has left it running", kind: .restart,
            local: Scene.primary(), expected: .shutDown),
        Finished(
            description: "so does a follower's", kind: .follow, local: Scene.standby(), expected: .shutDown),
        Finished(description: "what took it down is enough", kind: .demote, expected: .end(code: 0)),
        Finished(
            description: "an operator has started it as primary", local: Scene.primary(), hasLease: true,
            expected: .shutDown),
        Finished(description: "a standby that was started is let be", local: Scene.standby(), expected: .end(code: 0)),
    ]

    @Test(arguments: finished) func afterAPlan(_ row: Finished) {
        let next = sequel(
            toFinished: row.kind, row.local, hasLease: row.hasLease, isShuttingDown: row.isShuttingDown)
        #expect(next == row.expected, "\(row)")
    }

    @Test(arguments: Plan.Kind.allCases) func afterAFailure(_ kind: Plan.Kind) {
        let sequels = { (isPublished: Bool) in
            [false, true].map {
                sequel(toFailed: Plan(kind, []), Scene.primary(), isPublished: isPublished, isShuttingDown: $0)
            }
        }
        let (unpublished, published) = (sequels(false), sequels(true))
        switch kind {
        case .shutdown: #expect(Set(published + unpublished) == [.end(code: 1)])
        case .bootstrap:
            #expect(published == [.decide, .shutDown] && unpublished == [.cancelBootstrap, .cancelBootstrap])
        case .clone, .startPrimary, .startStandby, .follow, .resumeReplay, .copySlots, .promote, .handOver, .demote,
            .demoteCluster, .demoteOffline, .rewind, .stopParted, .reclone, .reinitialize, .recoverSingleUser, .restart:
            #expect(published == [.decide, .shutDown] && unpublished == published)
        }
    }

    @Test func whatMayAcceptWritesIsEndedBeforeTheDaemonIs() {
        let force = Plan(.shutdown, [.postgreSQL(.stop(.byForce, timeout: .seconds(5)))])
        let after = { (plan: Plan, local: PostgreSQLStatus) in
            sequel(toFailed: plan, local, isPublished: true, isShuttingDown: true)
        }
        let plan = shutdownPlan(Scene.seen(nil, Scene.primary()).me, nil, DynamicConfiguration(), isLeading: true)
        #expect(after(plan, Scene.primary()) == .carryOut(force))
        #expect(after(force, Scene.primary()) == .end(code: 1), "it is tried once")
        #expect(after(plan, Scene.standby()) == .end(code: 1))
        #expect(after(plan, Scene.stopped()) == .end(code: 1))
    }

    // MARK: Receipts

    static let end = ShutdownPositions(checkpoint: WALPosition(1000), required: WALPosition(1000), timeline: 1)

    @Test func whatAReceiptBeginsWith() {
        let members = [Scene.member("n2")]
        let begin = { ReceiptRule.begin($0, end: $1, beganWritable: $2) }
        #expect(begin(members, Self.end, true) == .ask(members))
        #expect(begin(members, nil, true) == .ask(members))
        #expect(begin([], Self.end, true) == .abandoned("no other member may lead"))
        #expect(begin([], nil, false) == .confirmed, "it had crashed before, or was a standby")
    }

    /// `/status` never goes back, and an end that lies before what was flushed is that of an older copy.
    @Test(
        arguments: [
            (1000, 990, 990, 990), (1000, 990, 995, 995), (1000, 990, 1000, 1000), (1000, 990, 1001, nil),
        ] as [(UInt64, UInt64, UInt64, UInt64?)])
    func whereTheWALEnds(_ checkpoint: UInt64, _ required: UInt64, _ flushed: UInt64, _ expected: UInt64?) {
        let positions = ShutdownPositions(
            checkpoint: WALPosition(checkpoint), required: WALPosition(required), timeline: 1)
        let end = ReceiptRule.end(positions, flushed: WALPosition(flushed))
        #expect(end?.required == expected.map { WALPosition($0) })
    }

    /// PostgreSQL was ended by force, and `/status` and the last look tell what was flushed.
    @Test(arguments: Plan.Kind.allCases) func whatCountsAsTheEndWhereNoLastRecordIs(_ kind: Plan.Kind) {
        let end = ReceiptRule.endByForce(kind, flushed: WALPosition(900), timeline: 1)
        let known = ShutdownPositions(checkpoint: WALPosition(900), required: WALPosition(900), timeline: 1)
        #expect(end == (kind == .shutdown ? known : nil))
        #expect(ReceiptRule.endByForce(kind, flushed: .zero, timeline: 1) == nil)
        #expect(ReceiptRule.endByForce(kind, flushed: WALPosition(900), timeline: nil) == nil)
    }

    struct Answered: Sendable, CustomStringConvertible {
        let description: String
        var answers: [String: PeerAnswer] = ["n2": Scene.peer(1000), "n3": Scene.peer(999)]
        var end: ShutdownPositions? = SequelTests.end
        var late = false
        let expected: String
    }

    static let answered: [Answered] = [
        Answered(description: "one has everything", expected: "confirmed"),
        Answered(description: "it has it late", late: true, expected: "confirmed"),
        Answered(description: "nobody has it yet", answers: ["n2": Scene.peer(999)], expected: "askAgain"),
        Answered(
            description: "nobody has it in time", answers: ["n2": Scene.peer(999)], late: true,
            expected: "no candidate has received everything"),
        Answered(description: "nobody answers", answers: [:], late: true, expected: "no candidate"),
        Answered(description: "the end is not known", end: nil, expected: "where the WAL ends is not known"),
    ]

    @Test(arguments: answered) func whatAReceiptSays(_ row: Answered) {
        let until = row.late ? Scene.now : Scene.now + .milliseconds(1)
        let verdict = ReceiptRule.judge(
            ["n2", "n3"].map { Scene.member($0) }, row.answers, end: row.end, until: until, at: Scene.now)
        #expect("\(verdict)".contains(row.expected), "\(row): \(verdict)")
    }

    // MARK: The key that stays

    @Test(arguments: Plan.Kind.allCases) func insteadOfTheRelease(_ kind: Plan.Kind) {
        let paused = insteadOfRelease(by: kind, isPaused: true)
        let other = insteadOfRelease(by: kind, isPaused: false)
        let end = InsteadOfRelease.carryOut(giveUpKeyPlan())
        #expect(ReceiptRule.abandon(kind) == (kind == .shutdown ? .leaveKeyToExpire : .callOff))
        if kind == .handOver { return #expect(paused == .callOffHandOver && other == .callOffHandOver) }
        #expect(other == (kind == .shutdown ? .shutDownAgain : end))
        if case .failPlan = paused { return }
        Issue.record("in pause \(kind) does \(paused)")
    }

    @Test func aDecisionThatWouldReleaseTheKey() {
        #expect(insteadOfRelease(by: nil, isPaused: true) == .wait)
        #expect(insteadOfRelease(by: nil, isPaused: false) == .carryOut(giveUpKeyPlan()))
    }
}
