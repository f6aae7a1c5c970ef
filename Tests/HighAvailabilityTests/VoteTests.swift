import ClusterModel
import HighAvailability
import Testing

/// Whose vote counts, and who needs none, beside what RaceTests has (S2).
@Suite struct VoteTests {
    static let rows: [Row] = [
        // What a voter has beyond whoever races nobody has acknowledged where it has parted for certain; else somebody
        // may have.
        Row(
            description: "who has replayed beyond the end of its timeline has its vote, whatever it has",
            seen: seen(Scene.peer(1790)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "not where it runs Patroni, which tells the timeline of a while ago",
            seen: seen(Scene.peer(1790), isOurs: false), expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "not who has received more, and replays before that end still",
            seen: seen(replaying(890, timeline: 1)), expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "nor who does not know its timeline",
            seen: seen(replaying(1790, timeline: 0)), expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "nor where whoever races lacks some of what both could have of the cluster's",
            seen: seen(Scene.peer(1790), by: Scene.standby(at: 850), checksTimeline: false),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "who has no more than whoever races has its vote, wherever it is",
            seen: seen(.status(PeerStatus(isPrimary: false, position: WALPosition(800), timeline: 1))),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "who does not know its own timeline, and may have passed an end of one, does not lead",
            seen: Scene.seen(
                Scene.view(history: RaceTests.history(1)), Scene.standby(timeline: nil, at: 1000),
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(950, timeline: 2)]),
            expected: .action(.wait), because: ["timeline-unknown"]),
        Row(
            description: "nor is it waited for",
            seen: Scene.seen(
                Scene.view(history: RaceTests.history(1)), Scene.standby(timeline: 2, at: 950),
                peers: ["n2": Scene.unreachable, "n3": Scene.peer(1000, timeline: 0)]),
            memory: ledSince(5), expected: .action(.acquireLeader), because: ["healthiest"]),
        // The cluster has left timeline 1 at 900, and nobody has told the store: N was promoted there, was cut off at
        // once, and died.
        Row(
            description: "who is on a later timeline has what this one may lack, however far this one is",
            seen: unwritten(Scene.peer(950, timeline: 2), by: Scene.standby(at: 1790)),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "and leads, with the vote of who has gone on where its timeline began",
            seen: unwritten(Scene.peer(1790), by: Scene.standby(timeline: 2, at: 950)),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "not where that one runs Patroni",
            seen: unwritten(Scene.peer(1790), isOurs: false, by: Scene.standby(timeline: 2, at: 950)),
            expected: .action(.wait), because: ["peer-is-ahead"]),
        Row(
            description: "nor where it may come to this timeline by what it has received",
            seen: unwritten(replaying(950, timeline: 1), by: Scene.standby(timeline: 2, at: 950)),
            expected: .action(.wait), because: ["peer-is-ahead"]),
        // Found by the simulation (profile quorum, seed 5098): the candidate of a switchover, who had confirmed to have
        // everything, waited for the vote of a node that hung.
        Row(
            description: "who has all that was handed over needs none", seen: handedOver(),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "unless another has led since", seen: handedOver(syncLeader: "n3"),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "or it has itself", seen: handedOver(), memory: ledSince(7), expected: .action(.wait),
            because: ["too-few-votes"]),
        Row(
            description: "what it led before does not count", seen: handedOver(), memory: ledSince(5),
            expected: .action(.acquireLeader), because: ["healthiest"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    /// The cluster has left timeline 1 at 900; nobody but this node and a voter is there.
    private static func seen(
        _ peer: PeerAnswer, isOurs: Bool = true, by me: PostgreSQLStatus = Scene.standby(timeline: 2),
        history: TimelineHistory = RaceTests.history(1), checksTimeline: Bool = true
    ) -> Observation {
        let sync = SyncState(leader: "n2", voters: ["n1", "n3"], quorum: 1)
        let members = ["n1", "n2", "n3"].map { name in
            let known = Scene.member(name)
            var data = known.data
            data["matriarch"] = isOurs ? "1.0" : nil
            return Member(name: name, data: data)
        }
        return Scene.seen(
            Scene.view(members: members, sync: sync, history: history), me, peers: ["n3": peer],
            settings: ["synchronous_mode": "quorum", "check_timeline": .bool(checksTimeline)])
    }

    private static func unwritten(
        _ peer: PeerAnswer, isOurs: Bool = true, by me: PostgreSQLStatus
    ) -> Observation {
        seen(peer, isOurs: isOurs, by: me, history: TimelineHistory(), checksTimeline: false)
    }

    private static func replaying(_ position: UInt64, timeline: TimelineID) -> PeerAnswer {
        .status(
            PeerStatus(
                isPrimary: false, position: WALPosition(1790), timeline: timeline, replayed: WALPosition(position)))
    }

    /// By n2, in revision 6; nobody but this node is there.
    private static func handedOver(syncLeader: String = "n2") -> Observation {
        var seen = Scene.seen(
            Scene.view(sync: SyncState(leader: syncLeader, voters: ["n1", "n3"], quorum: 1)), Scene.standby(at: 1000),
            peers: ["n2": Scene.unreachable, "n3": Scene.unreachable], settings: ["synchronous_mode": "quorum"])
        seen.view?.status.handedOverBy = "n2"
        seen.view?.status.revision = 6
        return seen
    }

    private static func ledSince(_ revision: Revision) -> Memory {
        var memory = Memory()
        memory.leaderSince = revision
        memory.lastLeader = "n2"
        return memory
    }
}
