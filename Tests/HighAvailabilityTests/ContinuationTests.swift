import ClusterModel
import HighAvailability
import Testing

/// Older copies of a data directory that nobody's `/status` betrays, and what becomes of the standbys behind them.
@Suite struct ContinuationTests {
    static let starts: [Row] = [
        Row(
            description: "what it last flushed itself it knows without /status",
            seen: Scene.seen(StoppedAndDivergedTests.leading, Scene.stopped(walEnd: 1999), renewal: .held),
            memory: led(to: 2000),
            expected: LeaderKeyTests.ended, because: ["not-running", "set-back", "sessions-may-go-on"]),
        Row(
            description: "unless that was on another timeline",
            seen: Scene.seen(StoppedAndDivergedTests.leading, Scene.stopped(walEnd: 1999), renewal: .held, peers: [:]),
            memory: led(to: 2000, on: 2), expected: .plan(.startPrimary), because: ["not-running"]),
        Row(
            description: "who may have received more is asked while the lease is renewed",
            seen: Scene.seen(StoppedAndDivergedTests.leading, Scene.stopped(walEnd: 1000)),
            expected: .action(.ask(.renewalAndPeers([Scene.member("n2"), Scene.member("n3")]))),
            because: ["not-running"]),
        Row(
            description: "a standby that has more proves it, by a byte, after another look",
            seen: Scene.seen(
                StoppedAndDivergedTests.leading, Scene.stopped(walEnd: 1000), renewal: .held,
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(1001)]),
            expected: .action(.wait), because: ["not-running", "set-back", "looked-at-once-more"]),
        // Found by the simulation (profile synchronous, seed 812): PostgreSQL was restarted by hand meanwhile.
        Row(
            description:
                "what was seen before it was asked may be old: somebody has started PostgreSQL, and it wrote that",
            seen: Scene.seen(
                StoppedAndDivergedTests.leading, Scene.stopped(walEnd: 1000), renewal: .held,
                peers: ["n3": Scene.peer(1001)]),
            memory: heard(1001, ago: .zero), expected: .action(.wait),
            because: ["not-running", "set-back", "looked-at-once-more"]),
        Row(
            description: "what is seen afterwards is what it speaks of",
            seen: Scene.seen(StoppedAndDivergedTests.leading, Scene.stopped(walEnd: 1000), renewal: .held),
            memory: heard(1001), expected: LeaderKeyTests.ended,
            because: ["not-running", "set-back", "sessions-may-go-on"]),
        Row(
            description: "a directory that has all of it by now goes on",
            seen: Scene.seen(StoppedAndDivergedTests.leading, Scene.stopped(walEnd: 1001), renewal: .held, peers: [:]),
            memory: heard(1001), expected: .plan(.startPrimary), because: ["not-running"]),
        Row(
            description: "all that also where /status is gone",
            seen: Scene.seen(
                Scene.view(leader: "n1", optime: 0), Scene.stopped(walEnd: 1000), renewal: .held),
            memory: heard(1001), expected: LeaderKeyTests.ended,
            because: ["not-running", "set-back", "sessions-may-go-on"]),
        Row(
            description: "who has as much, who is on an older timeline and who does not answer prove nothing",
            seen: Scene.seen(
                StoppedAndDivergedTests.leading, Scene.stopped(timeline: 2, walEnd: 1000), renewal: .held,
                peers: ["n2": Scene.peer(2000, timeline: 1), "n3": Scene.peer(1000, timeline: 2)]),
            expected: .plan(.startPrimary), because: ["not-running"]),
        Row(
            description: "where the member keys are gone, they come again before it is believed to be alone",
            seen: Scene.seen(
                Scene.view(leader: "n1", members: [Scene.member("n1")]), Scene.stopped(walEnd: 999), renewal: .held),
            memory: StoppedAndDivergedTests.alone(for: 11), expected: .action(.wait),
            because: ["not-running", "may-be-set-back"]),
        Row(
            description: "so where /status is gone with them",
            seen: Scene.seen(
                Scene.view(leader: "n1", members: [], optime: 0), Scene.stopped(walEnd: 5000), renewal: .held),
            memory: StoppedAndDivergedTests.alone(for: 11), expected: .action(.wait),
            because: ["not-running", "may-be-set-back"]),
        Row(
            description: "a crash of a node that is alone waits for nobody",
            seen: Scene.seen(
                Scene.view(leader: "n1", members: [Scene.member("n1")]), Scene.stopped(walEnd: 1000), renewal: .held),
            expected: .plan(.startPrimary), because: ["not-running"]),
    ]

    static let starving: [Row] = [
        Row(
            description: "after it was compared: the leader may have been set back behind it, and be past it by now",
            seen: Scene.seen(LeaderAndFollowerTests.following, Scene.standby(at: 900, streaming: false)),
            memory: StoppedAndDivergedTests.starving(for: 30, at: 900),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
        Row(
            description: "where other WAL stands there, no position tells, and pg_rewind sees nothing",
            seen: Scene.seen(
                LeaderAndFollowerTests.following, Scene.standby(at: 900, streaming: false), divergence: otherContent),
            memory: StoppedAndDivergedTests.starving(for: 30, at: 900), expected: .plan(.stopParted),
            because: ["diverged", "rewind-impossible", "directory-kept"]),
        Row(
            description: "and a copy replaces it where that is allowed",
            seen: Scene.seen(
                LeaderAndFollowerTests.following, removable(Scene.standby(at: 900, streaming: false)),
                divergence: otherContent),
            memory: StoppedAndDivergedTests.starving(for: 30, at: 900), expected: .plan(.reclone),
            because: ["diverged", "rewind-impossible"]),
        // scripts/faults swappedrestart, round 6: the pages before it had been written over as well.
        Row(
            description: "a record that recovery does not take is none that follows what was replayed",
            seen: Scene.seen(
                LeaderAndFollowerTests.following, removable(Scene.standby(at: 900, streaming: false)),
                divergence: notTaken), memory: seesNotTaken(for: .seconds(11)), expected: .plan(.reclone),
            because: ["diverged", "rewind-impossible"]),
        Row(
            description: "before recovery must have seen it, it may be on its way",
            seen: Scene.seen(
                LeaderAndFollowerTests.following, removable(Scene.standby(at: 900, streaming: false)),
                divergence: notTaken), memory: seesNotTaken(for: .seconds(10)), expected: .action(.wait),
            because: ["following", "receives-nothing"]),
        Row(
            description: "and another record than before is a new one",
            seen: Scene.seen(
                LeaderAndFollowerTests.following, removable(Scene.standby(at: 900, streaming: false)),
                divergence: notTaken), memory: seesNotTaken(for: .seconds(30), at: 800), expected: .action(.wait),
            because: ["following", "receives-nothing"]),
        Row(
            description: "it streams for a moment, and nothing comes of it: not yet",
            seen: Scene.seen(LeaderAndFollowerTests.following, received(950)),
            memory: StoppedAndDivergedTests.starving(for: 30, at: 900), expected: .action(.wait), because: ["following"]
        ),
        Row(
            description: "what it receives and never replays is no progress",
            seen: Scene.seen(LeaderAndFollowerTests.following, received(950, streaming: false)),
            memory: StoppedAndDivergedTests.starving(for: 30, at: 900),
            expected: .action(.ask(.divergence(from: Scene.upstream("n2")))), because: ["must-follow"]),
    ]

    @Test(arguments: starts + starving) func decides(_ row: Row) { row.check() }

    static func heard(_ position: UInt64, ago: Duration = .seconds(1)) -> Memory {
        var memory = Memory()
        memory.received = .init(by: "n3", position: WALPosition(position), timeline: 1, at: Scene.now - ago)
        return memory
    }

    static func led(to position: UInt64, on timeline: TimelineID = 1) -> Memory {
        var memory = Memory()
        memory.ledTimeline = timeline
        memory.ledPosition = WALPosition(position)
        return memory
    }

    static let otherContent: Observation.Divergence = {
        var facts = StoppedAndDivergedTests.behind(900, source: 5000)
        facts.contentDiffers = true
        return .facts(facts)
    }()

    static let notTaken: Observation.Divergence = {
        var facts = StoppedAndDivergedTests.behind(900, source: 5000)
        facts.unreplayed = WALPosition(900)
        return .facts(facts)
    }()

    static func seesNotTaken(for time: Duration, at position: UInt64 = 900) -> Memory {
        var memory = StoppedAndDivergedTests.starving(for: 30, at: 900)
        memory.unreplayed = .init(WALPosition(position), at: Scene.now - time)
        return memory
    }

    @Test(arguments: [(59, 900, false), (60, 900, true), (600, 900, true), (600, 1000, false)])
    func longHungerNeedsHands(_ seconds: Int, _ position: UInt64, _ needsHands: Bool) {
        let seen = Scene.seen(
            LeaderAndFollowerTests.following, Scene.standby(at: position, streaming: false),
            divergence: .unavailable("no answer"))
        let (decision, _) = Scene.decided(seen, StoppedAndDivergedTests.starving(for: seconds, at: position))
        #expect((decision.needsOperator != nil) == needsHands, "\(decision)")
        if needsHands { #expect(decision.needsOperator?.contains(WALPosition(position).description) == true) }
    }

    /// A standby that has replayed to 900.
    static func received(_ position: UInt64, streaming: Bool = true) -> PostgreSQLStatus {
        var status = Scene.standby(at: 900, streaming: streaming)
        status.facts?.receivedPosition = WALPosition(position)
        return status
    }

    static func removable(_ status: PostgreSQLStatus) -> PostgreSQLStatus {
        var status = status
        status.mayRemove.onDivergedTimelines = true
        return status
    }
}
