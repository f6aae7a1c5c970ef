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
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }
}
