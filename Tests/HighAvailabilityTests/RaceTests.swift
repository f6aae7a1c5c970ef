import ClusterModel
import HighAvailability
import Testing

@Suite struct RaceTests {
    static let free = Scene.view()
    static let bothEqual = ["n2": Scene.peer(1000), "n3": Scene.peer(1000)]

    private static func passedOver(for time: Duration) -> Memory {
        var memory = Memory()
        memory.passedOverSince = Scene.now - time
        return memory
    }

    static let rows: [Row] = [
        Row(
            description: "everybody who may lead is asked",
            seen: Scene.seen(free, Scene.standby()), expected: .asks(["n2", "n3"]), because: ["leader-key-free"]),
        Row(
            description: "who may not lead is not asked",
            seen: Scene.seen(
                Scene.view(members: [
                    Scene.member("n1"), Scene.member("n2", tags: ["nofailover": true]), Scene.member("n3"),
                ]), Scene.standby()), expected: .asks(["n3"]), because: ["leader-key-free"]),
        Row(
            description: "members whose keys expired with the leader are asked too",
            seen: Scene.seen(Scene.view(members: [Scene.member("n1")]), Scene.standby()), memory: underLeader("n2"),
            expected: .asks(["n2", "n3"]), because: ["leader-key-free"]),
        Row(
            description: "the healthiest takes the key",
            seen: Scene.seen(free, Scene.standby(), peers: bothEqual), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "a store that had forgotten the cluster hid a lease that may still run",
            seen: Scene.seen(free, Scene.standby(), peers: bothEqual), memory: forgotten(for: .seconds(29)),
            expected: .action(.wait), because: ["store-knows-no-cluster"]),
        Row(
            description: "after a ttl it has ended",
            seen: Scene.seen(free, Scene.standby(), peers: bothEqual), memory: forgotten(for: .seconds(30)),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "who runs as primary claims at once: it is the one that led",
            seen: Scene.seen(free, Scene.primary()), memory: forgotten(for: .zero), expected: .action(.acquireLeader),
            because: ["running-primary-reclaims"]),
        Row(
            description: "the dead do not stand in the way",
            seen: Scene.seen(
                free, Scene.standby(), peers: ["n2": Scene.unreachable, "n3": Scene.unreachable]),
            memory: underLeader("n2"), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "one byte ahead is ahead",
            seen: Scene.seen(free, Scene.standby(), peers: ["n2": Scene.peer(1001), "n3": Scene.peer(1000)]),
            expected: .action(.wait), because: ["peer-is-ahead"]),
        Row(
            description: "a living primary ends the race",
            seen: Scene.seen(
                free, Scene.standby(), peers: ["n2": Scene.peer(0, primary: true), "n3": Scene.unreachable]),
            expected: .action(.wait), because: ["peer-is-primary"]),
        Row(
            description: "a peer that may not lead, by its own answer, does not count",
            seen: Scene.seen(
                free, Scene.standby(), peers: ["n2": Scene.peer(2000, tags: ["nofailover": true]), "n3": Scene.peer(1)]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "higher priority wins at the same position",
            seen: Scene.seen(
                free, Scene.standby(),
                peers: ["n2": Scene.peer(1000, tags: ["failover_priority": 2]), "n3": Scene.peer(1)]),
            expected: .action(.wait), because: ["peer-has-priority"]),
        Row(
            description: "who has a higher priority and does not take the key is waited for for a ttl",
            seen: Scene.seen(
                free, Scene.standby(),
                peers: ["n2": Scene.peer(1000, tags: ["failover_priority": 2]), "n3": Scene.peer(1)]),
            memory: passedOver(for: .seconds(30)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "and not for less",
            seen: Scene.seen(
                free, Scene.standby(),
                peers: ["n2": Scene.peer(1000, tags: ["failover_priority": 2]), "n3": Scene.peer(1)]),
            memory: passedOver(for: .seconds(29)), expected: .action(.wait), because: ["peer-has-priority"]),
        Row(
            description: "priority does not count behind",
            seen: Scene.seen(
                free, Scene.standby(),
                peers: ["n2": Scene.peer(999, tags: ["failover_priority": 9]), "n3": Scene.peer(1)]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "the former leader's priority does not count",
            seen: Scene.seen(
                free, Scene.standby(),
                peers: ["n2": Scene.peer(1000, tags: ["failover_priority": 2]), "n3": Scene.peer(1)]),
            memory: underLeader("n2"), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "exactly the allowed lag is allowed",
            seen: Scene.seen(
                Scene.view(optime: 1100), Scene.standby(), peers: bothEqual,
                settings: ["maximum_lag_on_failover": 100]), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "one byte more is too much",
            seen: Scene.seen(
                Scene.view(optime: 1101), Scene.standby(), peers: bothEqual,
                settings: ["maximum_lag_on_failover": 100]), expected: .action(.wait), because: ["lagging"]),
        Row(
            description: "an old timeline is too old where timelines are checked",
            seen: Scene.seen(
                Scene.view(history: history(1)), Scene.standby(), peers: bothEqual, settings: ["check_timeline": true]),
            expected: .action(.wait), because: ["timeline-behind"]),
        Row(
            description: "and is not where they are not",
            seen: Scene.seen(Scene.view(history: history(1)), Scene.standby(at: 900), peers: bothEqual),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "nor is one that is not known",
            seen: Scene.seen(
                free, Scene.standby(timeline: nil), peers: bothEqual, settings: ["check_timeline": true]),
            expected: .action(.wait), because: ["timeline-unknown"]),
        Row(
            description: "whoever does not know its own is not waited for either, though nobody led before (L1)",
            seen: Scene.seen(
                free, Scene.standby(), peers: ["n2": Scene.peer(5000, timeline: 0), "n3": Scene.peer(1000)],
                settings: ["check_timeline": true]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "who has parted never leads: what it has is not what was acknowledged since",
            seen: Scene.seen(Scene.view(history: history(1)), Scene.standby(at: 901), peers: bothEqual),
            expected: .action(.wait), because: ["parted-from-history"]),
        Row(
            description: "nor is it waited for, however far ahead it seems",
            seen: Scene.seen(
                Scene.view(history: history(1)), Scene.standby(timeline: 2),
                peers: ["n2": Scene.peer(5000), "n3": Scene.unreachable]),
            memory: underLeader("n2"), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "what is received and not replayed may be of the next timeline",
            seen: Scene.seen(Scene.view(history: history(1)), replaying(upTo: 800), peers: bothEqual),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "a hung leader does not make way for who has parted",
            seen: Scene.seen(
                LeaderKeyTests.led1With(history(1)), LeaderKeyTests.unseen(100, for: .seconds(91)),
                lease: Scene.lease(), renewal: .held, peers: ["n2": Scene.peer(5000)]),
            expected: .action(.wait), because: ["silent-observation", "no-healthy-candidate"]),
        Row(
            description: "a key under a name that another node bears would be its key",
            seen: namesake(Scene.seen(free, Scene.standby(), peers: bothEqual)), expected: .action(.wait),
            because: ["name-taken"]),
        Row(
            description: "a primary gives way to the other node of its name",
            seen: namesake(Scene.seen(free, Scene.primary())), expected: .plan(.demote), because: ["name-taken"]),
        Row(
            description: "nofailover never takes the key",
            seen: Scene.seen(free, Scene.standby(), peers: bothEqual, tags: ["nofailover": true]),
            expected: .action(.wait), because: ["nofailover"]),
        Row(
            description: "priority 0 never takes the key",
            seen: Scene.seen(free, Scene.standby(), peers: bothEqual, tags: ["failover_priority": 0]),
            expected: .action(.wait), because: ["nofailover"]),
        Row(
            description: "a running primary takes its key back",
            seen: Scene.seen(free, Scene.primary()), expected: .action(.acquireLeader),
            because: ["running-primary-reclaims"]),
        Row(
            description: "a primary that the cluster went on without stops",
            seen: Scene.seen(Scene.view(history: history(1)), Scene.primary(timeline: 1)), expected: .plan(.demote),
            because: ["timeline-behind"]),
        Row(
            description: "in pause a standby does not race",
            seen: Scene.seen(free, Scene.standby(streaming: false), peers: bothEqual, settings: ["pause": true]),
            expected: .action(.wait), because: ["paused"]),
        Row(
            description: "in pause a running primary takes the key",
            seen: Scene.seen(free, Scene.primary(), settings: ["pause": true]), expected: .action(.acquireLeader),
            because: ["paused", "running-primary-reclaims"]),
        Row(
            description: "and so does the candidate of a switchover",
            seen: Scene.seen(
                requested(leader: "n2", candidate: "n1"), Scene.standby(streaming: false), peers: bothEqual,
                settings: ["pause": true]),
            expected: .action(.acquireLeader), because: ["requested-candidate", "healthiest"]),
        Row(
            description: "unless it must not lead",
            seen: Scene.seen(
                requested(leader: "n2", candidate: "n1"), Scene.standby(), settings: ["pause": true],
                tags: ["nofailover": true]), expected: .action(.wait), because: ["paused"]),
        Row(
            description: "to whom a running primary leaves it",
            seen: Scene.seen(requested(leader: "n1", candidate: "n2"), Scene.primary(), settings: ["pause": true]),
            expected: .action(.wait), because: ["paused", "candidate-takes-over"]),
        Row(
            description: "as long as it is a member",
            seen: Scene.seen(requested(leader: "n1", candidate: "n9"), Scene.primary(), settings: ["pause": true]),
            expected: .action(.acquireLeader), because: ["paused", "running-primary-reclaims"]),
        Row(
            description: "a request without a candidate lets no standby lead in pause",
            seen: Scene.seen(
                requested(leader: "n2"), Scene.standby(), peers: bothEqual, settings: ["pause": true]),
            expected: .action(.wait), because: ["paused"]),
        Row(
            description: "outside /sync nobody leads in synchronous mode",
            seen: Scene.seen(
                Scene.view(sync: SyncState(leader: "n2", voters: ["n3"])), Scene.standby(), peers: bothEqual,
                settings: ["synchronous_mode": true]), expected: .action(.wait), because: ["not-in-sync"]),
        Row(
            description: "a switchover to a node that left /sync meanwhile is not carried out by it (S6)",
            seen: Scene.seen(
                Scene.view(
                    failover: FailoverRequest(leader: "n2", candidate: "n1", revision: 7),
                    sync: SyncState(leader: "n2", voters: ["n3"])), Scene.standby(), peers: bothEqual,
                settings: ["synchronous_mode": true]), expected: .action(.wait), because: ["not-in-sync"]),
        Row(
            description: "a manual failover goes outside /sync",
            seen: Scene.seen(
                Scene.view(
                    failover: FailoverRequest(leader: nil, candidate: "n1", revision: 7),
                    sync: SyncState(leader: "n2", voters: ["n3"])), Scene.standby(), peers: bothEqual,
                settings: ["synchronous_mode": true]), expected: .action(.acquireLeader),
            because: ["requested-candidate"]),
        Row(
            description: "names in /sync compare without case",
            seen: Scene.seen(
                Scene.view(sync: SyncState(leader: "n2", voters: ["N1"])), Scene.standby(),
                peers: ["n2": Scene.unreachable],
                settings: ["synchronous_mode": true]), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "and the leader's name there, too: it is asked, and is ahead",
            seen: Scene.seen(
                Scene.view(sync: SyncState(leader: "N2", voters: ["n1"])), Scene.standby(),
                peers: ["n2": Scene.peer(2000), "n3": Scene.peer(1)],
                settings: ["synchronous_mode": true]), expected: .action(.wait), because: ["peer-is-ahead"]),
        Row(
            description: "quorum: with enough votes a voter leads",
            seen: quorum(voters: ["n1", "n3"], quorum: 1, ["n2": Scene.unreachable, "n3": Scene.peer(1000)]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "quorum: a voter that goes first is left the key",
            seen: quorum(
                voters: ["n1", "n3"], quorum: 1,
                ["n2": Scene.unreachable, "n3": Scene.peer(1000, tags: ["failover_priority": 2])]),
            expected: .action(.wait), because: ["peer-has-priority"]),
        Row(
            description: "quorum: without them it does not, however far it is",
            seen: quorum(voters: ["n1", "n3"], quorum: 1, ["n2": Scene.unreachable, "n3": Scene.unreachable]),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "quorum: who has everything needs no vote",
            seen: quorum(voters: ["n2", "n3"], leader: "n1", quorum: 1, ["n2": Scene.unreachable]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "quorum: unless the cluster went on without it",
            seen: quorum(
                voters: ["n2", "n3"], leader: "n1", quorum: 1, ["n2": Scene.unreachable], history: history(1)),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "quorum: a node that has no vote needs one more",
            seen: quorum(voters: ["n3", "n4"], quorum: 1, ["n2": Scene.peer(900), "n3": Scene.unreachable]),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "quorum: and may lead with it",
            seen: quorum(
                voters: ["n2", "n3"], leader: "n4", quorum: 1, ["n2": Scene.peer(1000), "n3": Scene.peer(900)]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "quorum: a vote counts also of a node that may not lead itself",
            seen: quorum(
                voters: ["n1", "n3"], quorum: 1,
                ["n2": Scene.unreachable, "n3": Scene.peer(1000, tags: ["nofailover": true])]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "quorum: where it has no more than the candidate",
            seen: quorum(
                voters: ["n1", "n3"], quorum: 1,
                ["n2": Scene.unreachable, "n3": Scene.peer(1001, tags: ["nofailover": true])]),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "what was written in quorum mode asks for votes in priority mode, too",
            seen: quorum(
                voters: ["n1", "n3"], quorum: 1, mode: true, ["n2": Scene.unreachable, "n3": Scene.unreachable]),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "a node that /failsafe does not list never leads",
            seen: Scene.seen(
                Scene.view(failsafe: ["n2": "x"]), Scene.standby(), peers: bothEqual, settings: ["failsafe_mode": true]),
            expected: .action(.wait), because: ["not-in-failsafe"]),
    ]

    private static func quorum(
        voters: [String], leader: String = "n2", quorum: Int, mode: JSONValue = "quorum",
        _ peers: [String: PeerAnswer], history: TimelineHistory = TimelineHistory()
    ) -> Observation {
        Scene.seen(
            Scene.view(sync: SyncState(leader: leader, voters: voters, quorum: quorum), history: history),
            Scene.standby(at: history.lines.isEmpty ? 1000 : 800), peers: peers, settings: ["synchronous_mode": mode])
    }

    @Test(arguments: rows) func decides(_ row: Row) {
        row.check()
    }

    @Test func theLogNamesThePositionsThatWereCompared() {
        let (decision, _) = Scene.decided(Scene.seen(Self.free, Scene.standby(), peers: ["n2": Scene.peer(1001)]))
        #expect("\(decision)".contains("Wal position of n2 is ahead of my wal position (0/3E9 > 0/3E8)"))
    }

    static func underLeader(_ leader: String) -> Memory {
        var memory = Memory()
        memory.membersUnderLastLeader = Scene.view(leader: leader).members
        memory.lastLeader = leader
        return memory
    }

    static func forgotten(for duration: Duration) -> Memory {
        var memory = Memory()
        memory.storeForgotSince = Scene.now - duration
        return memory
    }

    /// A daemon that has just begun sees a store without the cluster; one that knew its leader is held back elsewhere.
    @Test func whatIsRememberedOfAStoreWithoutTheCluster() {
        var memory = Memory()
        _ = decide(Scene.seen(Scene.view(initialize: .absent), Scene.standby()), &memory)
        #expect(memory.storeForgotSince == Scene.now)
        _ = decide(Scene.seen(Self.free, Scene.standby(), peers: Self.bothEqual), &memory)
        #expect(memory.storeForgotSince == Scene.now)
        _ = decide(Scene.seen(Scene.view(leader: "n2"), Scene.standby()), &memory)
        #expect(memory.storeForgotSince == nil)
        _ = decide(Scene.seen(Scene.view(initialize: .absent), Scene.standby()), &memory)
        #expect(memory.storeForgotSince == nil)
    }

    static func requested(leader: String? = nil, candidate: String? = nil) -> ClusterView {
        Scene.view(failover: FailoverRequest(leader: leader, candidate: candidate, revision: 7))
    }

    static func namesake(_ seen: Observation) -> Observation {
        var seen = seen
        seen.namesake = "http://127.0.0.1:9000/patroni"
        return seen
    }

    static func replaying(upTo position: UInt64) -> PostgreSQLStatus {
        var status = Scene.standby()
        status.facts?.replayedPosition = WALPosition(position)
        return status
    }

    static func history(_ timeline: TimelineID) -> TimelineHistory {
        TimelineHistory(lines: [
            .init(timeline: timeline, position: WALPosition(900), reason: "no recovery target specified")
        ])
    }
}
