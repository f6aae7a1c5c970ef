import ClusterModel
import HighAvailability
import Testing

/// What stands against a promotion on this node alone: the operator's command, and the watchdog of the host.
@Suite struct RefusedPromotionTests {
    static let free = RaceTests.free
    static let bothEqual = RaceTests.bothEqual

    static func unwatched(_ local: PostgreSQLStatus, _ view: ClusterView = free) -> Observation {
        var seen = Scene.seen(view, local, peers: bothEqual)
        seen.me.requiresWatchdog = true
        seen.local.watchdogObstacle = "there is none"
        return seen
    }

    static func promoting(
        _ peers: [String: PeerAnswer], _ view: ClusterView = LeaderAndFollowerTests.leading, settings: JSONObject = [:]
    ) -> Observation {
        Scene.seen(
            view, Scene.standby(streaming: false), lease: Scene.lease(), renewal: .held, peers: peers,
            settings: settings)
    }

    /// It answers nothing, and has a standby signal.
    static func silent(_ peers: [String: PeerAnswer]) -> Observation {
        var seen = promoting(peers)
        seen.local.facts = nil
        seen.local.readiness = .accepting
        return seen
    }

    /// The last of `times` failures is half a second ago, or a minute.
    static func failed(
        times: Int, hopeless: Bool = false, paused: Bool = false, from position: WALPosition? = nil
    ) -> Memory {
        var memory = Memory()
        for _ in 0..<times {
            memory.learnFailure(
                of: .promote, in: .promote, "the disk is full", isFinal: hopeless,
                at: Scene.now + (paused ? .milliseconds(-500) : .seconds(-60)))
        }
        memory.promotions.from = position.map { .init(position: $0, timeline: 1) }
        return memory
    }

    @Test func whatTheFailuresOfAPromotionTeach() {
        var memory = Memory()
        for times in 1...2 {
            memory.learnFailure(of: .promote, in: .promote, "no", isFinal: false, at: Scene.now)
            #expect(memory.promotions.failed.failures == times)
        }
        // The operator's command has its own memory.
        memory.learnFailure(of: .prePromote, in: .promote, "no", isFinal: false, at: Scene.now)
        // Nor has anything failed that there was no time for.
        memory.learnFailure(of: nil, in: .promote, "too late", isFinal: false, at: Scene.now)
        #expect(memory.promotions.failed.failures == 2)
        memory.learnSuccess(of: .promote, in: .promote)
        #expect(memory.promotions == Memory.Promotions())
        memory = Self.failed(times: 2)
        _ = decide(Self.promoting(Self.bothEqual), &memory)
        #expect(memory.refusedPromotion?.at == Scene.now && memory.promotions == Memory.Promotions())
        // What it has written by itself nobody waits for: it stays down, while others go first.
        #expect(memory.heldBackUntil == Scene.now + .seconds(30))
    }

    @Test func theFirstAttemptTellsWhereItBegan() {
        var memory = Memory()
        memory.hasWonKey = true
        _ = decide(Self.promoting(Self.bothEqual), &memory)
        let position = Scene.standby().facts?.position
        #expect(position != nil && memory.promotions.from?.position == position)
        // It wrote the end of its recovery, on a timeline that is its own alone, and crashed.
        var seen = Self.promoting(Self.bothEqual)
        seen.local.facts?.timeline = 9
        seen.local.facts?.receivedPosition = WALPosition(5000)
        _ = decide(seen, &memory)
        // As long as none has failed a timeline that came is somebody else's.
        #expect(memory.promotions.from?.position == position && memory.ledTimeline == nil)
        memory.learnFailure(of: .promote, in: .promote, "crashed", isFinal: false, at: Scene.now)
        // Nor is it known to be ours while others may lead unseen, or elsewhere.
        var unseen = seen
        unseen.storeFailure = "silent"
        var elsewhere = seen
        elsewhere.settings = DynamicConfiguration(document: ["standby_cluster": ["host": "far"]]) ?? elsewhere.settings
        for other in [unseen, elsewhere] {
            var known = memory
            _ = decide(other, &known)
            #expect(known.ledTimeline == nil)
        }
        _ = decide(seen, &memory)
        #expect(memory.promotions.from?.position == position && memory.ledTimeline == 9)
        _ = decide(elsewhere, &memory)
        #expect(memory.promotions == Memory.Promotions())
    }

    @Test func pausesGrow() {
        var memory = Memory()
        var pauses: [Duration?] = []
        for _ in 1...6 {
            memory.learnFailure(of: .promote, in: .promote, "no", isFinal: false, at: Scene.now)
            pauses.append(memory.promotions.failed.notBefore.map { $0 - Scene.now })
        }
        #expect(pauses == [1, 2, 4, 8, 10, 10].map { .seconds($0) })
    }

    /// Seed 200012327 of the simulation: a node that had been refused was handed the key after another one had led, and
    /// left it lying.
    @Test(arguments: [("primary", true), ("replica", false)])
    func theOthersHaveHadTheirTurnWhenOneOfThemLeads(_ role: String, isForgotten: Bool) {
        var memory = LeaderAndFollowerTests.refused(ago: .seconds(1))
        let members = [Scene.member("n1", role: "replica"), Scene.member("n2", role: role)]
        _ = decide(Scene.seen(Scene.view(leader: "n2", members: members), Scene.standby()), &memory)
        #expect((memory.refusedPromotion == nil) == isForgotten)
    }

    static let rows: [Row] = [
        Row(
            description: "who was refused a promotion lets others go first",
            seen: Scene.seen(free, Scene.standby(), peers: bothEqual),
            memory: LeaderAndFollowerTests.refused(ago: .seconds(29)), expected: .action(.wait),
            because: ["promotion-refused"]),
        Row(
            description: "also in pause, where it is the candidate",
            seen: Scene.seen(
                Scene.view(failover: FailoverRequest(leader: nil, candidate: "n1")), Scene.standby(streaming: false),
                peers: bothEqual, settings: ["pause": true]),
            memory: LeaderAndFollowerTests.refused(ago: .seconds(29)), expected: .action(.wait),
            because: ["promotion-refused"]),
        Row(
            description: "whom a switchover names is asked once more",
            seen: Scene.seen(
                RequestCandidacyTests.requested("n2", candidate: "n1", by: "n2"), Scene.standby(), peers: bothEqual),
            memory: LeaderAndFollowerTests.refused(ago: .zero), expected: .action(.acquireLeader),
            because: ["requested-candidate", "healthiest"]),
        Row(
            description: "nobody else is",
            seen: Scene.seen(
                RequestCandidacyTests.requested("n2", candidate: "n3", by: "n2"), Scene.standby(), peers: bothEqual),
            memory: LeaderAndFollowerTests.refused(ago: .zero), expected: .action(.wait),
            because: ["promotion-refused"]),
        Row(
            description: "and tries again after a ttl",
            seen: Scene.seen(free, Scene.standby(), peers: bothEqual),
            memory: LeaderAndFollowerTests.refused(ago: .seconds(30)), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "a running primary claims whatever was refused before",
            seen: Scene.seen(free, Scene.primary()), memory: LeaderAndFollowerTests.refused(ago: .zero),
            expected: .action(.acquireLeader), because: ["running-primary-reclaims"]),
        Row(
            description: "without the watchdog that is required nobody races",
            seen: unwatched(Scene.standby()), expected: .action(.wait), because: ["no-watchdog"]),
        Row(
            description: "nor takes its key back",
            seen: unwatched(Scene.primary()), expected: .plan(.demote), because: ["no-watchdog"]),
        Row(
            description: "nor makes a cluster",
            seen: unwatched(Scene.empty, Scene.view(members: [], initialize: .absent)), expected: .action(.wait),
            because: ["data-directory-empty", "no-watchdog"]),
        Row(
            description: "a promotion that failed once is tried again",
            seen: promoting(bothEqual), memory: failed(times: 1), expected: .plan(.promote),
            because: ["holding-lease", "promotion-retried"]),
        Row(
            description: "one that failed again makes way for who has everything",
            seen: promoting(bothEqual), memory: failed(times: 2), expected: .action(.carryOut(giveUpKeyPlan())),
            because: ["promotion-failed", "still-accepts-writes"]),
        Row(
            description: "so does one that did not come further, the first time",
            seen: promoting(bothEqual), memory: failed(times: 1, hopeless: true),
            expected: .action(.carryOut(giveUpKeyPlan())), because: ["promotion-failed", "still-accepts-writes"]),
        Row(
            description: "who has all that was here before the attempts has enough: each has written something",
            seen: promoting(["n2": Scene.peer(999), "n3": .unreachable("no")]),
            memory: failed(times: 2, from: WALPosition(999)), expected: .action(.carryOut(giveUpKeyPlan())),
            because: ["promotion-failed", "still-accepts-writes"]),
        Row(
            description: "that is known also where PostgreSQL answers nothing",
            seen: silent(bothEqual), memory: failed(times: 2, from: WALPosition(999)),
            expected: .action(.carryOut(giveUpKeyPlan())), because: ["promotion-failed", "still-accepts-writes"]),
        Row(
            description: "after a failure there is a pause",
            seen: promoting(["n2": Scene.peer(999), "n3": .unreachable("no")]), memory: failed(times: 1, paused: true),
            expected: .action(.wait), because: ["promotion-retried"]),
        Row(
            description: "but not before somebody else leads",
            seen: promoting(bothEqual), memory: failed(times: 2, paused: true),
            expected: .action(.carryOut(giveUpKeyPlan())), because: ["promotion-failed", "still-accepts-writes"]),
        Row(
            description: "and is tried again where nobody has",
            seen: promoting(["n2": Scene.peer(999), "n3": .unreachable("no")]), memory: failed(times: 9),
            expected: .plan(.promote), because: ["holding-lease", "promotion-retried"]),
        Row(
            description: "or where it is not known how far this node is",
            seen: silent(bothEqual), memory: failed(times: 9), expected: .plan(.promote),
            because: ["holding-lease", "promotion-retried"]),
        Row(
            description: "or where in pause nobody is ended",
            seen: promoting(
                bothEqual, Scene.view(leader: "n1", failover: FailoverRequest(leader: nil, candidate: "n1")),
                settings: ["pause": true]),
            memory: failed(times: 9), expected: .plan(.promote),
            because: ["holding-lease", "promotion-retried"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }
}
