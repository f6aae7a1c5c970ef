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
        Scene.seen(view, Scene.standby(), lease: Scene.lease(), renewal: .held, peers: peers, settings: settings)
    }

    /// It answers nothing, and has a standby signal.
    static func silent(_ peers: [String: PeerAnswer]) -> Observation {
        var seen = promoting(peers)
        seen.local.facts = nil
        seen.local.readiness = .accepting
        return seen
    }

    static func failed(times: Int) -> Memory {
        var memory = Memory()
        memory.failedPromotions = .init(times: times, why: "the disk is full")
        return memory
    }

    @Test func whatTheFailuresOfAPromotionTeach() {
        var memory = Memory()
        for times in 1...2 {
            memory.learnFailure(of: .promote, in: .promote, "no", isFinal: false, at: Scene.now)
            #expect(memory.failedPromotions?.times == times)
        }
        // The operator's command has its own memory.
        memory.learnFailure(of: .prePromote, in: .promote, "no", isFinal: false, at: Scene.now)
        #expect(memory.failedPromotions?.times == 2)
        memory.learnSuccess(of: .promote, in: .promote)
        #expect(memory.failedPromotions == nil)
        memory.failedPromotions = .init(times: 2, why: "no")
        _ = decide(Self.promoting(Self.bothEqual), &memory)
        #expect(memory.refusedPromotion?.at == Scene.now && memory.failedPromotions == nil)
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
                Scene.view(failover: FailoverRequest(leader: nil, candidate: "n1")), Scene.standby(), peers: bothEqual,
                settings: ["pause": true]),
            memory: LeaderAndFollowerTests.refused(ago: .seconds(29)), expected: .action(.wait),
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
            seen: promoting(bothEqual), memory: failed(times: 1), expected: .plan(.promote), because: ["holding-lease"]),
        Row(
            description: "one that failed again makes way for who has everything",
            seen: promoting(bothEqual), memory: failed(times: 2), expected: .action(.carryOut(giveUpKeyPlan())),
            because: ["promotion-failed"]),
        Row(
            description: "and is tried again where nobody has",
            seen: promoting(["n2": Scene.peer(999), "n3": .unreachable("no")]), memory: failed(times: 9),
            expected: .plan(.promote), because: ["holding-lease"]),
        Row(
            description: "or where it is not known how far this node is",
            seen: silent(bothEqual), memory: failed(times: 9), expected: .plan(.promote), because: ["holding-lease"]),
        Row(
            description: "or where in pause nobody is ended",
            seen: promoting(
                bothEqual, Scene.view(leader: "n1", failover: FailoverRequest(leader: nil, candidate: "n1")),
                settings: ["pause": true]),
            memory: failed(times: 9), expected: .plan(.promote), because: ["holding-lease"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }
}
