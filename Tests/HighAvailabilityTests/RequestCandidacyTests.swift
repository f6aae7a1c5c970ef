import ClusterModel
import HighAvailability
import Testing

/// A request in `/failover` while nobody leads, as `n1` sees it (ha-loop.md §12.3).
@Suite struct RequestCandidacyTests {
    static let bothEqual = RaceTests.bothEqual
    static let away = ["n2": Scene.unreachable, "n3": Scene.unreachable]

    /// Of a manual failover, which is its operator's will.
    static let manual: [Row] = [
        Row(
            description: "the candidate of a manual failover does not compare",
            seen: Scene.seen(requested(candidate: "n1"), Scene.standby()), expected: .action(.acquireLeader),
            because: ["requested-candidate"]),
        Row(
            description: "it may lose what others have",
            seen: Scene.seen(
                requested(candidate: "n1", optime: 1 << 30), Scene.standby(), peers: ["n2": Scene.peer(1 << 30)]),
            expected: .action(.acquireLeader), because: ["requested-candidate"]),
        Row(
            description: "others ask whether the candidate lives",
            seen: Scene.seen(requested(candidate: "n3"), Scene.standby()), expected: .asks(["n2", "n3"]),
            because: ["leader-key-free"]),
        Row(
            description: "and let it take over",
            seen: Scene.seen(
                requested(candidate: "n3"), Scene.standby(), peers: ["n2": Scene.peer(1000), "n3": Scene.peer(1)]),
            expected: .action(.wait), because: ["candidate-takes-over"]),
        Row(
            description: "not without end: one that answers may have lost the store (L1)",
            seen: Scene.seen(
                requested(candidate: "n3"), Scene.standby(), peers: ["n2": Scene.peer(1000), "n3": Scene.peer(1)]),
            memory: leaderless(for: .seconds(10)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "a candidate that failsafe mode does not let lead is as if none had been named",
            seen: Scene.seen(
                requested(candidate: "n3", failsafe: ["n1": "x", "n2": "x"]), Scene.standby(), peers: bothEqual,
                settings: ["failsafe_mode": true]), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "a dead candidate is as if none had been named",
            seen: Scene.seen(
                requested(candidate: "n3"), Scene.standby(), peers: ["n2": Scene.peer(1000), "n3": Scene.unreachable]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "so that others race within the limit of lag",
            seen: Scene.seen(requested(candidate: "n3", optime: 1 << 30), Scene.standby(), peers: away),
            expected: .action(.wait), because: ["lagging"]),
        Row(
            description: "the candidate may be outside /sync",
            seen: Scene.seen(
                requested(candidate: "n1", sync: SyncState(leader: "n2", voters: ["n3"])), Scene.standby(),
                settings: ["synchronous_mode": true]), expected: .action(.acquireLeader),
            because: ["requested-candidate"]),
    ]

    /// Of a switchover whose leader went before it acted: judged like a race (S3).
    static let abandoned: [Row] = [
        Row(
            description: "the candidate asks the others",
            seen: Scene.seen(requested("n2", candidate: "n1"), Scene.standby()), expected: .asks(["n2", "n3"]),
            because: ["leader-key-free"]),
        Row(
            description: "and leads where nobody is ahead",
            seen: Scene.seen(requested("n2", candidate: "n1"), Scene.standby(), peers: bothEqual),
            expected: .action(.acquireLeader), because: ["requested-candidate", "healthiest"]),
        Row(
            description: "whatever the others' priorities",
            seen: Scene.seen(
                requested("n2", candidate: "n1"), Scene.standby(),
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(1000, tags: ["failover_priority": 9])]),
            expected: .action(.acquireLeader), because: ["requested-candidate", "healthiest"]),
        Row(
            description: "not where one is ahead",
            seen: Scene.seen(
                requested("n2", candidate: "n1"), Scene.standby(),
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(1001)]), expected: .action(.wait),
            because: ["peer-is-ahead"]),
        Row(
            description: "nor beside a primary",
            seen: Scene.seen(
                requested("n2", candidate: "n1"), Scene.standby(), peers: ["n2": Scene.peer(0, primary: true)]),
            expected: .action(.wait), because: ["peer-is-primary"]),
        Row(
            description: "nor far behind what the leader last said of itself, also when nobody else is there",
            seen: Scene.seen(requested("n2", candidate: "n1", optime: 1 << 30), Scene.standby(), peers: away),
            expected: .action(.wait), because: ["lagging"]),
        Row(
            description: "nor in pause",
            seen: Scene.seen(
                requested("n2", candidate: "n1", optime: 1 << 30), Scene.standby(streaming: false), peers: away,
                settings: ["pause": true]), expected: .action(.wait), because: ["lagging"]),
        Row(
            description: "nor on a timeline that is too old, where timelines are checked",
            seen: Scene.seen(
                requested("n2", candidate: "n1", history: RaceTests.history(1)), Scene.standby(), peers: bothEqual,
                settings: ["check_timeline": true]), expected: .action(.wait), because: ["timeline-behind"]),
        Row(
            description: "nor where /failsafe does not list it",
            seen: Scene.seen(
                requested("n2", candidate: "n1", failsafe: ["n2": "x"]), Scene.standby(), peers: bothEqual,
                settings: ["failsafe_mode": true]), expected: .action(.write(.clearFailover(7))),
            because: ["not-in-failsafe"]),
        Row(
            description: "nor outside /sync",
            seen: Scene.seen(
                requested("n2", candidate: "n1", sync: SyncState(leader: "n2", voters: ["n3"])), Scene.standby(),
                peers: bothEqual, settings: ["synchronous_mode": true]), expected: .action(.wait),
            because: ["not-in-sync"]),
        Row(
            description: "in /sync it compares with who is there too",
            seen: Scene.seen(
                requested("n2", candidate: "n1", sync: SyncState(leader: "n2", voters: ["n1"])), Scene.standby(),
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(9000)], settings: ["synchronous_mode": true]),
            expected: .action(.acquireLeader), because: ["requested-candidate", "healthiest"]),
        Row(
            description: "with nofailover it never leads",
            seen: Scene.seen(
                requested("n2", candidate: "n1"), Scene.standby(), peers: away, tags: ["nofailover": true]),
            expected: .action(.wait), because: ["nofailover"]),
        Row(
            description: "the others leave the key to a candidate that would win",
            seen: Scene.seen(
                requested("n2", candidate: "n3"), Scene.standby(),
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(1000)]), expected: .action(.wait),
            because: ["candidate-takes-over"]),
        Row(
            description: "not to one that has less than they have",
            seen: Scene.seen(
                requested("n2", candidate: "n3"), Scene.standby(),
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(999)]), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "nor to one that may not lead",
            seen: Scene.seen(
                requested("n2", candidate: "n3"), Scene.standby(),
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(2000, tags: ["nofailover": true])]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "nor to one that /failsafe does not list",
            seen: Scene.seen(
                requested("n2", candidate: "n3", failsafe: ["n1": "x", "n2": "x"]), Scene.standby(), peers: bothEqual,
                settings: ["failsafe_mode": true]), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "without a candidate the limit of lag holds, however long nobody leads",
            seen: Scene.seen(requested("n2", optime: 1 << 30), Scene.standby(), peers: away),
            memory: leaderless(for: .seconds(3600)), expected: .action(.wait), because: ["lagging"]),
        Row(
            description: "and the former leader counts: it may have what it did not send",
            seen: Scene.seen(
                requested("n2"), Scene.standby(), peers: ["n2": Scene.peer(5000), "n3": Scene.peer(1000)]),
            expected: .action(.wait), because: ["peer-is-ahead"]),
        Row(
            description: "who is a little behind does not wait: nobody is known to have more",
            seen: Scene.seen(requested("n2"), Scene.standby(at: 999), peers: away), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "who was asked to step down waits for another",
            seen: Scene.seen(requested("n1"), Scene.standby(), peers: bothEqual), expected: .action(.wait),
            because: ["asked-to-step-down"]),
        Row(
            description: "not without end: one that answers may have lost the store (L1)",
            seen: Scene.seen(requested("n1"), Scene.standby(), peers: bothEqual), memory: leaderless(for: .seconds(10)),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "if that one has all that it has",
            seen: Scene.seen(requested("n1"), Scene.standby(at: 1001), peers: bothEqual),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "and leads again when nobody else can",
            seen: Scene.seen(requested("n1"), Scene.standby(), peers: away), expected: .action(.acquireLeader),
            because: ["healthiest"]),
    ]

    /// Of one that was handed over: `/status` says so, and where the WAL ends.
    static let handedOver: [Row] = [
        Row(
            description: "the former leader is not raced against",
            seen: Scene.seen(
                requested("n2", by: "n2"), Scene.standby(), peers: ["n2": Scene.peer(5000), "n3": Scene.peer(1000)]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "where it was that one who handed over",
            seen: Scene.seen(
                requested("n2", by: "n3"), Scene.standby(), peers: ["n2": Scene.peer(5000), "n3": Scene.peer(1000)]),
            expected: .action(.wait), because: ["peer-is-ahead"]),
        Row(
            description: "who lacks a byte of what was handed over lets one that has everything go first (S3)",
            seen: Scene.seen(requested("n2", by: "n2"), Scene.standby(at: 999), peers: away),
            memory: leaderless(for: .milliseconds(9_999)), expected: .action(.wait), because: ["behind-handed-over"]),
        Row(
            description: "the candidate likewise",
            seen: Scene.seen(requested("n2", candidate: "n1", by: "n2"), Scene.standby(at: 999), peers: away),
            memory: leaderless(for: .milliseconds(9_999)), expected: .action(.wait), because: ["behind-handed-over"]),
        Row(
            description: "and who races after a shutdown that nobody asked /failover for",
            seen: Scene.seen(requested(by: "n2"), Scene.standby(at: 999), peers: away),
            memory: leaderless(for: .milliseconds(9_999)), expected: .action(.wait), because: ["behind-handed-over"]),
        Row(
            description: "but no longer than retry_timeout",
            seen: Scene.seen(requested("n2", by: "n2"), Scene.standby(at: 999), peers: away),
            memory: leaderless(for: .seconds(10)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "and never beyond the limit of lag",
            seen: Scene.seen(requested("n2", optime: 1 << 30, by: "n2"), Scene.standby(at: 999), peers: away),
            memory: leaderless(for: .seconds(3600)), expected: .action(.wait), because: ["lagging"]),
        Row(
            description: "the former leader leads again when nobody has all that it handed over",
            seen: Scene.seen(
                requested("n1", by: "n1"), Scene.standby(), peers: ["n2": Scene.peer(999), "n3": Scene.unreachable]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "and leaves the key to who has: its own shutdown checkpoint does not count",
            seen: Scene.seen(
                requested("n1", by: "n1"), Scene.standby(at: 1100),
                peers: ["n2": Scene.peer(1000), "n3": Scene.unreachable]), expected: .action(.wait),
            because: ["asked-to-step-down"]),
    ]

    /// A switchover ends on the candidate that it names, where that one can lead: an answer that is late, or of a
    /// moment before, is no reason to go first.
    static let leftToCandidate: [Row] = [
        Row(
            description: "a candidate that does not answer in time is waited for",
            seen: Scene.seen(requested("n2", candidate: "n3", by: "n2"), Scene.standby(), peers: away),
            memory: leaderless(for: .milliseconds(9_999)), expected: .action(.wait), because: ["left-to-candidate"]),
        Row(
            description: "so is one whose answer is of before it had everything",
            seen: Scene.seen(
                requested("n2", candidate: "n3", by: "n2"), Scene.standby(), peers: ["n3": Scene.peer(999)]),
            memory: leaderless(for: .seconds(1)), expected: .action(.wait), because: ["left-to-candidate"]),
        Row(
            description: "and one whose member key is not there at this moment",
            seen: Scene.seen(
                without("n3", requested("n2", candidate: "n3", by: "n2")), Scene.standby(),
                peers: ["n3": Scene.peer(999)]),
            memory: leaderless(for: .seconds(1)), expected: .action(.wait), because: ["left-to-candidate"]),
        Row(
            description: "by the former leader, too",
            seen: Scene.seen(requested("n1", candidate: "n3", by: "n1"), Scene.standby(), peers: away),
            memory: leaderless(for: .seconds(1)), expected: .action(.wait), because: ["left-to-candidate"]),
        Row(
            description: "no longer than retry_timeout",
            seen: Scene.seen(requested("n2", candidate: "n3", by: "n2"), Scene.standby(), peers: away),
            memory: leaderless(for: .seconds(10)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "nor where it answers and would win: it may have lost the store, which no answer tells",
            seen: Scene.seen(
                requested("n2", candidate: "n3", by: "n2"), Scene.standby(), peers: ["n3": Scene.peer(1000)]),
            memory: leaderless(for: .seconds(10)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "also where its leader died before it handed over",
            seen: Scene.seen(requested("n2", candidate: "n3"), Scene.standby(), peers: ["n3": Scene.peer(1000)]),
            memory: leaderless(for: .seconds(10)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "nor where it says that it may not lead",
            seen: Scene.seen(
                requested("n2", candidate: "n3", by: "n2"), Scene.standby(),
                peers: ["n3": Scene.peer(1000, tags: ["nofailover": true])]), memory: leaderless(for: .seconds(1)),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "nor where its leader went before it handed over: it may be that both are gone",
            seen: Scene.seen(requested("n2", candidate: "n3"), Scene.standby(), peers: away),
            memory: leaderless(for: .seconds(1)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "one that was scheduled is, once it is handed over, like one for now",
            seen: Scene.seen(
                scheduled(requested("n2", candidate: "n3", by: "n2")), Scene.standby(), peers: away,
                wallTime: RequestTests.newYear), memory: leaderless(for: .seconds(1)), expected: .action(.wait),
            because: ["left-to-candidate"]),
        Row(
            description: "before, it is for later",
            seen: Scene.seen(
                scheduled(requested("n2", candidate: "n3")), Scene.standby(), peers: away,
                wallTime: RequestTests.newYear), memory: leaderless(for: .seconds(1)),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "also where its leader was shut down for something else",
            seen: Scene.seen(
                scheduled(requested("n2", candidate: "n3", by: "n2")), Scene.standby(), peers: away,
                wallTime: RequestTests.newYear - 61_000_000_000), memory: leaderless(for: .seconds(1)),
            expected: .action(.acquireLeader), because: ["healthiest"]),
    ]

    static func without(_ name: String, _ view: ClusterView) -> ClusterView {
        var view = view
        view.members.removeAll { $0.name == name }
        return view
    }

    static func scheduled(_ view: ClusterView) -> ClusterView {
        var view = view
        let request = view.failover
        view.failover = FailoverRequest(
            leader: request?.leader, candidate: request?.candidate, scheduledAt: "2031-01-01T00:00:00Z", revision: 7)
        return view
    }

    @Test(arguments: manual + abandoned + handedOver + leftToCandidate) func decides(_ row: Row) {
        row.check()
    }

    /// The candidate and each other node judge alike: never both wait for the other, never neither.
    @Test(arguments: [(1000, 1000), (1000, 999), (999, 1000), (0, 1000), (1000, 0)] as [(UInt64, UInt64)])
    func oneOfTwoLeads(_ candidates: UInt64, _ others: UInt64) {
        let view = Self.requested("n2", candidate: "n1")
        let candidate = Scene.decided(
            Scene.seen(view, Scene.standby(at: candidates), peers: ["n3": Scene.peer(others)])
        ).0
        // The other one is n1 here, too: the candidate's name is n3 then.
        let mirrored = Self.requested("n2", candidate: "n3")
        let other = Scene.decided(
            Scene.seen(mirrored, Scene.standby(at: others), peers: ["n3": Scene.peer(candidates)])
        ).0
        #expect((candidate.action == .acquireLeader) != (other.action == .acquireLeader), "\(candidate) \(other)")
    }

    static func requested(
        _ leader: String? = nil, candidate: String? = nil, optime: UInt64 = 1000, by former: String? = nil,
        sync: SyncState = SyncState(), history: TimelineHistory = TimelineHistory(), failsafe: [String: String]? = nil
    ) -> ClusterView {
        let isAsked = leader != nil || candidate != nil
        var view = Scene.view(
            optime: optime,
            failover: isAsked ? FailoverRequest(leader: leader, candidate: candidate, revision: 7) : nil,
            sync: sync, history: history, failsafe: failsafe)
        view.status.handedOverBy = former
        return view
    }

    static func leaderless(for time: Duration) -> Memory {
        var memory = RaceTests.underLeader("n2")
        memory.leaderlessSince = Scene.now - time
        return memory
    }
}
