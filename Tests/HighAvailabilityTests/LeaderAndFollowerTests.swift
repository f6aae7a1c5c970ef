import ClusterModel
import HighAvailability
import Testing

@Suite struct LeaderAndFollowerTests {
    static let leading = Scene.view(leader: "n1")
    static let following = Scene.view(leader: "n2")

    static let asked: PostgreSQLStatus = {
        var status = Scene.standby()
        status.hasPrePromote = true
        return status
    }()

    /// In pause an operator has named this node, which has the key since.
    static let namedInPause = Scene.view(
        leader: "n1", failover: FailoverRequest(leader: nil, candidate: "n1", revision: 7))
    static let behindInPause = Scene.view(
        leader: "n1", optime: 2000, failover: FailoverRequest(leader: nil, candidate: "n1", revision: 7))

    static func unwatched(_ seen: Observation) -> Observation {
        var seen = seen
        seen.watchdogFailure = "it is gone"
        return seen
    }

    static func refused(ago: Duration) -> Memory {
        var memory = Memory()
        memory.refusedPromotion = .init(why: "pre_promote failed", at: Scene.now - ago)
        return memory
    }

    static let rows: [Row] = [
        Row(
            description: "a leader renews before anything else",
            seen: Scene.seen(leading, Scene.primary(), lease: Scene.lease()), expected: .action(.ask(.renewal)),
            because: []),
        Row(
            description: "a primary with the lease has nothing to do",
            seen: Scene.seen(leading, Scene.primary(), lease: Scene.lease(), renewal: .held), expected: .action(.wait),
            because: ["holding-lease"]),
        Row(
            description: "a refused lease ends a primary at once",
            seen: Scene.seen(leading, Scene.primary(), renewal: .refused), expected: .plan(.demote),
            because: ["lease-refused"]),
        Row(
            description: "a refused lease does not promote",
            seen: Scene.seen(leading, Scene.standby(), renewal: .refused), expected: .action(.wait),
            because: ["lease-refused"]),
        Row(
            description: "a refused lease in pause leaves PostgreSQL alone",
            seen: Scene.seen(leading, Scene.primary(), renewal: .refused, settings: ["pause": true]),
            expected: .action(.wait), because: ["lease-refused", "paused"]),
        Row(
            description: "a standby with the lease is promoted",
            seen: Scene.seen(leading, Scene.standby(), lease: Scene.lease(), renewal: .held, peers: [:]),
            expected: .plan(.promote), because: ["holding-lease"]),
        Row(
            description: "after the others were asked, where no race of this daemon's has won it",
            seen: Scene.seen(leading, Scene.standby(), lease: Scene.lease(), renewal: .held),
            expected: .asks(["n2", "n3"]), because: ["holding-lease"]),
        Row(
            description: "nobody of whom has more",
            seen: Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(), renewal: .held, peers: ["n2": Scene.peer(1001)]),
            expected: .action(.carryOut(giveUpKeyPlan())),
            because: ["holding-lease", "peer-is-ahead", "still-accepts-writes"]),
        Row(
            description:
                "a standby that found the lease and lacks what /status says was there ends, then gives it up: it may be "
                + "promoting yet, as an earlier daemon asked",
            seen: Scene.seen(leading, Scene.standby(at: 999), lease: Scene.lease(), renewal: .held),
            expected: .action(.carryOut(giveUpKeyPlan())),
            because: ["holding-lease", "lagging", "still-accepts-writes"]),
        Row(
            description: "so does one of an older timeline, whether races go by timelines or not",
            seen: Scene.seen(
                Scene.view(leader: "n1", history: RaceTests.history(1)), Scene.standby(), lease: Scene.lease(),
                renewal: .held),
            expected: .action(.carryOut(giveUpKeyPlan())),
            because: ["holding-lease", "timeline-behind", "still-accepts-writes"]),
        Row(
            description: "and one that has won it is promoted, lacking what a race allows",
            seen: Scene.seen(leading, Scene.standby(at: 999), lease: Scene.lease(), renewal: .held),
            memory: wonKey, expected: .plan(.promote), because: ["holding-lease"]),
        Row(
            description: "a primary without the watchdog that is required is ended, and the key goes",
            seen: unwatched(Scene.seen(leading, Scene.primary(), lease: Scene.lease(), renewal: .held)),
            expected: .action(.carryOut(giveUpKeyPlan())), because: ["no-watchdog", "still-accepts-writes"]),
        Row(
            description: "a standby without it is not promoted",
            seen: unwatched(Scene.seen(leading, Scene.standby(), lease: Scene.lease(), renewal: .held)),
            expected: .action(.releaseLeader), because: ["no-watchdog"]),
        Row(
            description: "in pause no watchdog is needed",
            seen: unwatched(
                Scene.seen(
                    leading, Scene.primary(), lease: Scene.lease(), renewal: .held, settings: ["pause": true])),
            expected: .action(.wait), because: ["holding-lease"]),
        Row(
            description: "who was refused a promotion gives the key up",
            seen: Scene.seen(leading, Scene.standby(), lease: Scene.lease(), renewal: .held),
            memory: refused(ago: .seconds(29)), expected: .action(.releaseLeader),
            because: ["holding-lease", "promotion-refused"]),
        Row(
            description: "and is promoted where it holds the key a ttl later",
            seen: Scene.seen(leading, Scene.standby(), lease: Scene.lease(), renewal: .held, peers: [:]),
            memory: refused(ago: .seconds(30)), expected: .plan(.promote), because: ["holding-lease"]),
        Row(
            description: "the operator is asked before anything else is done",
            seen: Scene.seen(leading, asked, lease: Scene.lease(), renewal: .held, peers: [:]),
            expected: .action(.carryOut(Plan(.promote, [.postgreSQL(.prePromote), .postgreSQL(.promote)]))),
            because: ["holding-lease"]),
        Row(
            description: "a primary keeps the key, whatever was refused before",
            seen: Scene.seen(leading, Scene.primary(), lease: Scene.lease(), renewal: .held),
            memory: refused(ago: .zero), expected: .action(.wait), because: ["holding-lease"]),
        Row(
            description: "too little of the lease is left to promote: renew first",
            seen: Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(heldFor: .seconds(25)), renewal: .held, peers: [:]),
            expected: .action(.ask(.renewal)), because: ["holding-lease"]),
        Row(
            description: "an expired lease promotes nobody",
            seen: Scene.seen(leading, Scene.standby(), lease: Scene.lease(heldFor: .seconds(31)), renewal: .held),
            expected: .action(.wait), because: ["lease-expired"]),
        Row(
            description: "a standby in pause gives the key back",
            seen: Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(), renewal: .held, settings: ["pause": true]),
            expected: .action(.releaseLeader), because: ["paused", "standby-in-pause"]),
        Row(
            description: "unless a switchover made it the leader",
            seen: Scene.seen(
                Scene.view(leader: "n1", failover: FailoverRequest(leader: "n2", candidate: "n1", revision: 7)),
                Scene.standby(streaming: false), lease: Scene.lease(), renewal: .held, peers: [:],
                settings: ["pause": true]),
            expected: .plan(.promote), because: ["holding-lease"]),
        Row(
            description: "who did not win that key itself, and has less than others, ends nothing in pause: it waits",
            seen: Scene.seen(
                namedInPause, Scene.standby(), lease: Scene.lease(), renewal: .held,
                peers: ["n2": Scene.peer(2000), "n3": Scene.peer(1000)], settings: ["pause": true]),
            expected: .action(.wait), because: ["holding-lease", "peer-is-ahead", "paused", "still-accepts-writes"]),
        Row(
            description: "so does one that has less than /status tells",
            seen: Scene.seen(
                behindInPause, Scene.standby(), lease: Scene.lease(), renewal: .held, settings: ["pause": true]),
            expected: .action(.wait), because: ["holding-lease", "lagging", "paused", "still-accepts-writes"]),
        Row(
            description: "a primary that is not the leader stops at once",
            seen: Scene.seen(following, Scene.primary()), expected: .plan(.demote),
            because: ["leader-key-held-by", "primary-without-lease"]),
        Row(
            description: "a server that does not answer and has no standby signal counts as primary",
            seen: Scene.seen(following, silent(standby: false)), expected: .plan(.demote),
            because: ["leader-key-held-by", "primary-without-lease"]),
        Row(
            description: "a server that does not answer and has a standby signal is left alone",
            seen: Scene.seen(following, silent(standby: true)), memory: told("n2"), expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "in pause a primary without the key goes on",
            seen: Scene.seen(following, Scene.primary(), settings: ["pause": true]), expected: .action(.wait),
            because: ["leader-key-held-by", "primary-without-lease", "paused"]),
        Row(
            description: "a standby is pointed to the leader",
            seen: Scene.seen(following, Scene.standby()),
            expected: .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n2")))]))),
            because: ["must-follow"]),
        Row(
            description: "a standby that was told already waits",
            seen: Scene.seen(following, Scene.standby()), memory: told("n2"), expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "a new leader is followed",
            seen: Scene.seen(following, Scene.standby()), memory: told("n3"),
            expected: .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n2")))]))),
            because: ["must-follow"]),
        Row(
            description: "replicatefrom names the upstream",
            seen: Scene.seen(following, Scene.standby(), tags: ["replicatefrom": "n3"]),
            expected: .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n3")))]))),
            because: ["must-follow"]),
        Row(
            description: "replicatefrom of a member that is not there falls back to the leader",
            seen: Scene.seen(following, Scene.standby(), tags: ["replicatefrom": "gone"]),
            expected: .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n2")))]))),
            because: ["must-follow"]),
        Row(
            description: "replicatefrom that leads back here is told of, and falls back to the leader",
            seen: Scene.seen(
                Scene.view(
                    leader: "n2",
                    members: [
                        Scene.member("n1", tags: ["replicatefrom": "n3"]), Scene.member("n2", role: "primary"),
                        Scene.member("n3", tags: ["replicatefrom": "n1"]),
                    ]), Scene.standby(), tags: ["replicatefrom": "n3"]),
            expected: .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n2")))]))),
            because: ["must-follow", "replicatefrom-circle"]),
        Row(
            description: "a circle of others is theirs to leave",
            seen: Scene.seen(
                Scene.view(
                    leader: "n2",
                    members: [
                        Scene.member("n1", tags: ["replicatefrom": "n3"]), Scene.member("n2", role: "primary"),
                        Scene.member("n3", tags: ["replicatefrom": "n4"]),
                        Scene.member("n4", tags: ["replicatefrom": "n3"]),
                    ]), Scene.standby(), tags: ["replicatefrom": "n3"]),
            expected: .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n3")))]))),
            because: ["must-follow"]),
        Row(
            description: "a leader streams from nobody, whatever its tag says: no circle",
            seen: Scene.seen(
                Scene.view(
                    leader: "n2",
                    members: [
                        Scene.member("n1"), Scene.member("n2", role: "primary", tags: ["replicatefrom": "n1"]),
                        Scene.member("n3"),
                    ]), Scene.standby(), tags: ["replicatefrom": "n2"]),
            expected: .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n2")))]))),
            because: ["must-follow"]),
        Row(
            description: "nostream follows nobody",
            seen: Scene.seen(following, Scene.standby(), tags: ["nostream": true]),
            expected: .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(nil))]))), because: ["following-nobody"]),
        Row(
            description: "a leader that has not published its address is waited for",
            seen: Scene.seen(
                Scene.view(leader: "n2", members: [Scene.member("n1"), Scene.member("n3")]), Scene.standby()),
            expected: .action(.wait), because: ["upstream-without-address"]),
        Row(
            description: "a data directory of another cluster ends the daemon",
            seen: Scene.seen(Scene.view(leader: "n2", initialize: .value("7499999999999999999")), Scene.standby()),
            expected: .action(.exit), because: ["system-identifier-mismatch"]),
        Row(
            description: "a leader with the data of another cluster ends PostgreSQL and gives the key up",
            seen: Scene.seen(Scene.view(leader: "n1", initialize: .value("7499999999999999999")), Scene.primary()),
            expected: .plan(.demote), because: ["system-identifier-mismatch", "still-accepts-writes"]),
        Row(
            description: "the leader restores a lost system identifier",
            seen: Scene.seen(
                Scene.view(leader: "n1", initialize: .absent), Scene.primary(), lease: Scene.lease(), renewal: .held),
            expected: .action(.write(.systemIdentifier(Scene.identifier))), because: ["nobody-initialized"]),
        Row(
            description: "the leader restores a lost configuration",
            seen: Scene.seen(
                Scene.view(leader: "n1", config: nil), Scene.primary(), lease: Scene.lease(), renewal: .held,
                settings: ["ttl": 30]),
            expected: .action(.write(.configuration)), because: ["configuration-missing"]),
        Row(
            description: "a standby whose cluster nobody initialized waits for the primary",
            seen: Scene.seen(Scene.view(initialize: .absent), Scene.standby()), expected: .action(.wait),
            because: ["replica-without-cluster"]),
        Row(
            description: "a data directory without identifier does nothing",
            seen: Scene.seen(following, unidentified()), expected: .action(.wait),
            because: ["system-identifier-invalid"]),
    ]

    private static var wonKey: Memory {
        var memory = Memory()
        memory.hasWonKey = true
        return memory
    }

    @Test(arguments: rows) func decides(_ row: Row) {
        row.check()
    }

    @Test func everyDecisionSaysWhy() {
        for row in Self.rows {
            let (decision, _) = Scene.decided(row.seen, row.memory)
            if case .ask(.renewal) = decision.action { continue }
            #expect(!decision.reasons.isEmpty, "\(row)")
        }
    }

    @Test func aDemotedPrimarySuspectsItsTimeline() {
        var (decision, memory) = Scene.decided(Scene.seen(Self.following, Scene.primary()))
        memory.begins(decision)
        #expect(memory.rewind == .suspected)
    }

    static func told(_ name: String) -> Memory {
        var memory = Memory()
        memory.following = .upstream(Scene.upstream(name))
        return memory
    }

    static func silent(standby: Bool) -> PostgreSQLStatus {
        var status = Scene.standby()
        status.facts = nil
        status.hasStandbySignal = standby
        return status
    }

    static func unidentified() -> PostgreSQLStatus {
        var status = Scene.standby()
        status.systemIdentifier = "123"
        return status
    }
}
