import ClusterModel
import HighAvailability
import Testing

@Suite struct StoppedAndDivergedTests {
    static let leading = Scene.view(leader: "n1")
    static let following = Scene.view(leader: "n2", members: members(timeline: 2))
    static let startStandby = Plan(
        .startStandby, [.postgreSQL(.startStandby(of: Scene.upstream("n2"), timeout: .seconds(300)))])

    static let rows: [Row] = [
        Row(
            description: "a crashed leader renews first",
            seen: Scene.seen(leading, Scene.stopped()), expected: .action(.ask(.renewal)), because: ["not-running"]),
        Row(
            description: "and starts as primary again",
            seen: Scene.seen(leading, Scene.stopped(), renewal: .held), expected: .plan(.startPrimary),
            because: ["not-running"]),
        Row(
            description: "not without the lease",
            seen: Scene.seen(leading, Scene.stopped(), renewal: .refused), expected: .action(.wait),
            because: ["not-running", "lease-refused"]),
        Row(
            description: "after a failed start another node leads",
            seen: Scene.seen(leading, Scene.stopped(), renewal: .held), memory: memory(failedStarts: 1),
            expected: LeaderKeyTests.ended, because: ["start-failed", "sessions-may-go-on"]),
        Row(
            description: "a leader that was a standby comes up as one",
            seen: Scene.seen(leading, Scene.stopped(.inArchiveRecovery, standbySignal: true), renewal: .held),
            expected: .plan(.startStandby), because: ["not-running"]),
        Row(
            description: "a leader of an old timeline does not go on with it",
            seen: Scene.seen(
                Scene.view(leader: "n1", history: RaceTests.history(1)), Scene.stopped(timeline: 1), renewal: .held),
            expected: .plan(.startStandby), because: ["not-running"]),
        Row(
            description: "nor one whose directory was set back: its WAL ends before what it had flushed",
            seen: Scene.seen(leading, Scene.stopped(walEnd: 999), renewal: .held), expected: LeaderKeyTests.ended,
            because: ["not-running", "set-back", "sessions-may-go-on"]),
        Row(
            description: "also where it had been shut down cleanly",
            seen: Scene.seen(leading, Scene.stopped(.shutDown, walEnd: 999), renewal: .held),
            expected: .action(.releaseLeader), because: ["not-running", "set-back"]),
        Row(
            description: "but after a crash the WAL goes on behind the last checkpoint",
            seen: Scene.seen(
                Scene.view(leader: "n1", optime: 5000), Scene.stopped(walEnd: 5000), renewal: .held, peers: [:]),
            expected: .plan(.startPrimary), because: ["not-running"]),
        Row(
            description: "and where nobody else may have more, what was put back goes on",
            seen: Scene.seen(
                Scene.view(leader: "n1", members: [Scene.member("n1")]), Scene.stopped(walEnd: 999), renewal: .held),
            memory: alone(for: 12), expected: .plan(.startPrimary), because: ["not-running"]),
        Row(
            description: "with start timeout 0 the others are asked",
            seen: Scene.seen(leading, Scene.stopped(), renewal: .held, settings: ["primary_start_timeout": 0]),
            expected: .asks(["n2", "n3"]), because: ["not-running"]),
        Row(
            description: "and lead where one of them can",
            seen: Scene.seen(
                leading, Scene.stopped(), renewal: .held, peers: RaceTests.bothEqual,
                settings: ["primary_start_timeout": 0]), expected: LeaderKeyTests.ended,
            because: ["not-running", "sessions-may-go-on"]),
        Row(
            description: "or it starts again where none can",
            seen: Scene.seen(
                leading, Scene.stopped(), renewal: .held, peers: ["n2": Scene.unreachable],
                settings: ["primary_start_timeout": 0]), expected: .plan(.startPrimary), because: ["not-running"]),
        Row(
            description: "in pause nothing is started",
            seen: Scene.seen(following, Scene.stopped(), settings: ["pause": true]), expected: .action(.wait),
            because: ["not-running", "paused"]),
        Row(
            description: "but what was stopped to hand over",
            seen: Scene.seen(following, Scene.stopped(standbySignal: true), settings: ["pause": true]),
            memory: handingOver, expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
        Row(
            description: "also where the handing over was called off",
            seen: Scene.seen(leading, Scene.stopped(), renewal: .held, settings: ["pause": true]),
            memory: handingOver, expected: .plan(.startPrimary), because: ["not-running"]),
        Row(
            description: "whoever may take no time: nobody else leads in pause",
            seen: Scene.seen(
                leading, Scene.stopped(.shutDown), renewal: .held, peers: RaceTests.bothEqual,
                settings: ["pause": true, "primary_start_timeout": 0]),
            memory: handingOver, expected: .plan(.startPrimary), because: ["not-running"]),
        Row(
            description: "in pause a stopped leader gives the key up",
            seen: Scene.seen(leading, Scene.stopped(), settings: ["pause": true]), expected: .action(.releaseLeader),
            because: ["not-running", "paused"]),
        Row(
            description: "a stopped standby starts behind the leader",
            seen: Scene.seen(following, Scene.stopped(.shutDownInRecovery, standbySignal: true)),
            expected: .action(.carryOut(startStandby)), because: ["not-running", "must-follow"]),
        Row(
            description: "a crashed ex-primary recovers alone first",
            seen: Scene.seen(following, Scene.stopped()), expected: .plan(.recoverSingleUser),
            because: ["not-running", "unclean-shutdown"]),
        Row(
            description: "once",
            seen: Scene.seen(following, Scene.stopped()), memory: memory(recovered: true),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "a cleanly stopped ex-primary compares timelines",
            seen: Scene.seen(following, Scene.stopped(.shutDown)),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "and is rewound when it has parted",
            seen: Scene.seen(following, Scene.stopped(.shutDown), divergence: diverged), expected: .plan(.rewind),
            because: ["diverged"]),
        Row(
            description: "who is not to stream does not after it either",
            seen: Scene.seen(
                following, Scene.stopped(.shutDown), divergence: diverged, tags: ["nostream": true]),
            expected: .action(
                .carryOut(
                    Plan(
                        .rewind,
                        [
                            .postgreSQL(.rewind(from: Scene.upstream("n2"))),
                            .postgreSQL(.startStandby(of: nil, timeout: .seconds(300))),
                        ]))), because: ["diverged"]),
        Row(
            description: "but waits for the checkpoint of the new leader",
            seen: Scene.seen(
                Scene.view(leader: "n2", members: members(timeline: 2, checkpointPending: true)),
                Scene.stopped(.shutDown), divergence: diverged), expected: .action(.wait),
            because: ["diverged", "source-not-ready-for-rewind"]),
        Row(
            description: "the same timeline starts as a standby",
            seen: Scene.seen(following, Scene.stopped(.shutDown), divergence: same),
            expected: .action(.carryOut(startStandby)), because: ["not-running", "must-follow"]),
        Row(
            description: "an unknown answer removes nothing: it starts, read-only",
            seen: Scene.seen(following, Scene.stopped(.shutDown), divergence: .unavailable("refused")),
            expected: .action(.carryOut(startStandby)), because: ["not-running", "must-follow"]),
        Row(
            description: "without a leader it comes up read-only and waits",
            seen: Scene.seen(Scene.view(), Scene.stopped()), expected: .plan(.startStandby),
            because: ["not-running", "leader-key-free"]),
        Row(
            description: "a leader that starts is waited for",
            seen: Scene.seen(leading, starting, lease: Scene.lease(), renewal: .held), memory: memory(startingFor: 299),
            expected: .action(.wait), because: ["not-running-yet"]),
        Row(
            description: "whose renewal is refused is ended",
            seen: Scene.seen(leading, starting, lease: Scene.lease(), renewal: .refused), expected: .plan(.demote),
            because: ["not-running-yet", "lease-refused"]),
        Row(
            description: "but not one that is a standby: it writes nothing",
            seen: Scene.seen(leading, startingStandby, lease: Scene.lease(), renewal: .refused),
            expected: .action(.wait), because: ["not-running-yet", "lease-refused"]),
        Row(
            description: "not longer than it may",
            seen: Scene.seen(leading, starting, lease: Scene.lease(), renewal: .held), memory: memory(startingFor: 300),
            expected: .asks(["n2", "n3"]), because: ["starting"]),
        Row(
            description: "or for as long as the operator allowed who had it restarted",
            seen: Scene.seen(leading, starting, lease: Scene.lease(), renewal: .held),
            memory: memory(startingFor: 20, asked: 20), expected: .asks(["n2", "n3"]), because: ["starting"]),
        Row(
            description: "also where that is longer",
            seen: Scene.seen(leading, starting, lease: Scene.lease(), renewal: .held),
            memory: memory(startingFor: 300, asked: 600), expected: .action(.wait), because: ["not-running-yet"]),
        Row(
            description: "then it gives way",
            seen: Scene.seen(
                leading, starting, lease: Scene.lease(), renewal: .held, peers: ["n2": Scene.peer(1000)]),
            memory: memory(startingFor: 300), expected: .plan(.demote), because: ["starting", "still-accepts-writes"]),
        Row(
            description: "if there is somebody to give way to",
            seen: Scene.seen(
                leading, starting, lease: Scene.lease(), renewal: .held, peers: ["n2": Scene.unreachable]),
            memory: memory(startingFor: 300), expected: .action(.wait), because: ["starting", "no-healthy-candidate"]),
        Row(
            description: "a primary that starts under another leader is stopped",
            seen: Scene.seen(following, starting), expected: .plan(.demote), because: ["primary-without-lease"]),
        Row(
            description: "a running standby that cannot stream compares timelines",
            seen: Scene.seen(following, Scene.standby(streaming: false)),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "also where the leader is on an older one: it went on without what this node knows",
            seen: Scene.seen(
                Scene.view(leader: "n2", members: members(timeline: 1)), Scene.standby(timeline: 2, streaming: false)),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "and is rewound when it is ahead of the switch",
            seen: Scene.seen(following, Scene.standby(streaming: false), divergence: diverged),
            expected: .plan(.rewind), because: ["diverged"]),
        Row(
            description: "one on the leader's timeline that streams from nobody says so, after a while",
            seen: Scene.seen(
                LeaderAndFollowerTests.following, Scene.standby(at: 900, streaming: false),
                divergence: .facts(behind(900, source: 1000))),
            memory: starving(for: 30, at: 900), expected: .action(.wait), because: ["following", "receives-nothing"]),
        Row(
            description: "not sooner",
            seen: Scene.seen(LeaderAndFollowerTests.following, Scene.standby(at: 900, streaming: false)),
            memory: starving(for: 29, at: 900), expected: .action(.wait), because: ["following"]),
        Row(
            description: "nor where it goes on without a stream, out of the archive",
            seen: Scene.seen(LeaderAndFollowerTests.following, Scene.standby(at: 901, streaming: false)),
            memory: starving(for: 30, at: 900), expected: .action(.wait), because: ["following"]),
        Row(
            description: "and where it has more than the leader it compares",
            seen: Scene.seen(LeaderAndFollowerTests.following, Scene.standby(at: 1001, streaming: false)),
            memory: starving(for: 30, at: 1001),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "and stays as it is, stopped, where the leader lacks what was its own",
            seen: Scene.seen(
                LeaderAndFollowerTests.following, Scene.standby(at: 1001, streaming: false), divergence: setBackLeader),
            memory: starving(for: 30, at: 1001), expected: .plan(.stopParted),
            because: ["diverged", "rewind-impossible", "directory-kept"]),
        Row(
            description: "a streaming one is not asked",
            seen: Scene.seen(following, Scene.standby()), memory: LeaderAndFollowerTests.told("n2"),
            expected: .action(.wait), because: ["following"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) {
        row.check()
    }

    /// postgresql.md §21.4: local timeline 1 against a source on timeline 2 that left it at 1000.
    static let comparisons: [(String, DivergenceFacts, DivergenceVerdict)] = [
        ("standby before the switch", facts(999, recovery: true), .same),
        ("standby at the switch", facts(1000, recovery: true), .same),
        ("standby behind the switch", facts(1001, recovery: true), .diverged(leftAt: WALPosition(1000))),
        ("primary whose checkpoint ends at the switch", facts(900, end: 1000), .same),
        ("primary whose checkpoint ends before", facts(900, end: 990), .diverged(leftAt: WALPosition(1000))),
        ("primary whose checkpoint end is unknown", facts(900), .diverged(leftAt: WALPosition(1000))),
        ("primary at the switch", facts(1000), .diverged(leftAt: WALPosition(1000))),
        ("same timeline, followed", facts(5000, recovery: true, source: 1), .same),
        ("same timeline, as far as the source", behind(5000, source: 5000), .same),
        ("same timeline, the source was set back", behind(5000, source: 4999), .diverged(leftAt: WALPosition(4999))),
        ("same timeline, other WAL", other(5000, source: 9000), .diverged(leftAt: nil)),
        ("same timeline, led by both", facts(5000, source: 1), .diverged(leftAt: nil)),
        ("newer timeline here", facts(5000, local: 3), .diverged(leftAt: nil)),
        ("a timeline the source does not know", facts(5000, local: 2, source: 4), .diverged(leftAt: nil)),
        ("another timeline of that number here", begun(at: 2000, end: 1999), .diverged(leftAt: nil)),
        ("the source's timeline, just begun", begun(at: 2000, end: 2000), .same),
        ("another one, and the source has left it", begun(at: 2000, end: 1999, source: 3), .diverged(leftAt: nil)),
        ("an older position of the timeline before", begun(at: 2000, end: 2500, source: 3), .same),
        ("other WAL on a timeline that the source has left", otherBefore(900), .diverged(leftAt: nil)),
        (
            "source in recovery", facts(5000, sourceInRecovery: true),
            .undecided("the source is itself in recovery")
        ),
        ("crashed, its last checkpoint before the switch", crashed(999), unknownEnd),
        ("crashed, its last checkpoint at the switch", crashed(1000), .diverged(leftAt: WALPosition(1000))),
        ("crashed on the same timeline", crashed(5000, source: 1), unknownEnd),
        ("crashed on a newer timeline", crashed(5000, source: 1, local: 2), unknownEnd),
        ("unknown timeline", facts(5000, local: 0), .undecided("a timeline is unknown")),
    ]

    @Test(arguments: comparisons) func compares(_ name: String, _ facts: DivergenceFacts, _ verdict: DivergenceVerdict)
    {
        #expect(judgeDivergence(facts) == verdict, "\(name)")
    }

    static let unknownEnd = DivergenceVerdict.undecided("after a crash it is not known where the WAL ends")

    static func crashed(_ position: UInt64, source: TimelineID = 2, local: TimelineID = 1) -> DivergenceFacts {
        var facts = facts(position, local: local, source: source)
        facts.isAtLeast = true
        return facts
    }

    static func other(_ position: UInt64, source: UInt64) -> DivergenceFacts {
        var facts = behind(position, source: source)
        facts.contentDiffers = true
        return facts
    }

    static func otherBefore(_ position: UInt64) -> DivergenceFacts {
        var facts = facts(position, recovery: true)
        facts.contentDiffers = true
        return facts
    }

    /// On timeline 2, which began at `beginning` at the source and was left at 3000, where it was left.
    static func begun(at beginning: UInt64, end: UInt64, source: TimelineID = 2) -> DivergenceFacts {
        var facts = facts(1500, recovery: true, local: 2, source: source)
        let history = [(1, beginning), (2, 3000)] as [(TimelineID, UInt64)]
        facts.sourceHistory = history.prefix(Int(source) - 1).map {
            .init(timeline: $0.0, position: WALPosition($0.1))
        }
        facts.localEnd = WALPosition(end)
        return facts
    }

    static func behind(_ position: UInt64, source: UInt64) -> DivergenceFacts {
        var facts = facts(position, recovery: true, source: 1)
        facts.sourcePosition = WALPosition(source)
        return facts
    }

    static let setBackLeader = Observation.Divergence.facts(behind(1001, source: 1000))
    static let diverged = Observation.Divergence.facts(facts(2000, recovery: true))
    static let same = Observation.Divergence.facts(facts(900, end: 1000))

    static func facts(
        _ position: UInt64, recovery: Bool = false, end: UInt64? = nil, local: TimelineID = 1, source: TimelineID = 2,
        sourceInRecovery: Bool = false
    ) -> DivergenceFacts {
        DivergenceFacts(
            localTimeline: local, localPosition: WALPosition(position), localInRecovery: recovery,
            checkpointEnd: end.map(WALPosition.init), sourceTimeline: source, sourceInRecovery: sourceInRecovery,
            sourceHistory: [.init(timeline: 1, position: WALPosition(1000))])
    }

    static func members(timeline: Int64, checkpointPending: Bool = false) -> [Member] {
        [
            Scene.member("n1"),
            Scene.member("n2", role: "primary", timeline: timeline, checkpointPending: checkpointPending),
            Scene.member("n3"),
        ]
    }

    /// A server without a standby signal that does not accept connections yet.
    static var starting: PostgreSQLStatus {
        var status = Scene.primary()
        status.readiness = .rejecting
        status.state = .starting
        status.facts = nil
        return status
    }

    static var startingStandby: PostgreSQLStatus {
        var status = starting
        status.hasStandbySignal = true
        return status
    }

    static func starving(for seconds: Int, at position: UInt64) -> Memory {
        var memory = LeaderAndFollowerTests.told("n2")
        memory.starving = .init(since: Scene.now - .seconds(seconds), position: WALPosition(position))
        return memory
    }

    static func alone(for seconds: Int) -> Memory {
        var memory = Memory()
        memory.aloneSince = Scene.now - .seconds(seconds)
        return memory
    }

    static let handingOver: Memory = {
        var memory = Memory()
        memory.isHandingOver = true
        return memory
    }()

    static func memory(
        failedStarts: Int = 0, recovered: Bool = false, failed: Bool = false, startingFor seconds: Int? = nil,
        asked: Int? = nil
    ) -> Memory {
        var memory = Memory()
        memory.askedPatience = asked.map { .seconds($0) }
        memory.startingSince = seconds.map { Scene.now - .seconds($0) }
        memory.failedStarts = failedStarts
        memory.triedSingleUserRecovery = recovered
        if failed { memory.rewind = .failed("no common ancestor") }
        return memory
    }
}
