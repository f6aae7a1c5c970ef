import ClusterModel
import HighAvailability
import Testing

/// A member that `/sync` names for what it has no more: a command has restored its data directory (S2).
@Suite struct UnprovenCopyTests {
    static let rows: [Row] = [
        Row(
            description: "a voter leads", seen: seen(Scene.standby(), [:]), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "a restored one does not, however far it is", seen: seen(restored(), [:]),
            expected: .action(.wait), because: ["unproven-copy"]),
        Row(
            description: "nor whom /sync names as the leader",
            seen: seen(restored(), [:], sync: SyncState(leader: "n1", voters: ["n2"])), expected: .action(.wait),
            because: ["unproven-copy"]),
        Row(
            description: "where nobody goes by /sync it may", seen: seen(restored(), others, mode: false),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "likewise without /sync", seen: seen(restored(), others, sync: SyncState()),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "an operator may name it", seen: named(), expected: .action(.acquireLeader),
            because: ["requested-candidate"]),
        Row(
            description: "what was handed over is there, and nothing else was acknowledged",
            seen: handedOver(to: restored(), at: 1000), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "it is not, where some of it lacks", seen: handedOver(to: restored(at: 990), at: 1000),
            expected: .action(.wait), because: ["behind-handed-over"]),
        Row(
            description: "who holds the key by an earlier daemon gives it up",
            seen: holding(restored()), expected: .action(.carryOut(giveUpKeyPlan())),
            because: ["holding-lease", "unproven-copy", "still-accepts-writes"]),
        // Votes: one of n1, n2 and n3 beside whoever leads.
        Row(
            description: "quorum: a voter leads by another's vote",
            seen: seen(Scene.standby(), ["n3": Scene.peer(900)], mode: "quorum", sync: votes),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "quorum: a restored voter has none to give",
            seen: seen(Scene.standby(), ["n3": unproven(900)], mode: "quorum", sync: votes),
            expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "quorum: nor one of its own: it needs one more",
            seen: seen(restored(), ["n3": Scene.peer(900)], mode: "quorum", sync: votes), expected: .action(.wait),
            because: ["too-few-votes"]),
        Row(
            description: "quorum: and may lead with that",
            seen: seen(
                restored(), ["n2": Scene.peer(1000), "n3": Scene.peer(900)], mode: "quorum", sync: votes),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "quorum: whom /sync names as the leader needs votes like everybody",
            seen: seen(
                restored(), ["n2": Scene.unreachable], mode: "quorum",
                sync: SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1)), expected: .action(.wait),
            because: ["too-few-votes"]),
        Row(
            description: "a /sync of quorum mode asks for votes whatever the mode is by now",
            seen: seen(Scene.standby(), ["n3": unproven(900)], sync: votes), expected: .action(.wait),
            because: ["too-few-votes"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    private static let votes = SyncState(leader: "n2", voters: ["n1", "n3"], quorum: 1)

    /// A daemon that has just begun waits for who is silent, where nobody goes by `/sync`.
    private static let others = ["n2": Scene.peer(1000), "n3": Scene.peer(900)]

    private static func restored(at position: UInt64 = 1000) -> PostgreSQLStatus {
        var status = Scene.standby(at: position)
        status.isUnproven = true
        return status
    }

    private static func unproven(_ position: UInt64) -> PeerAnswer {
        .status(PeerStatus(isPrimary: false, position: WALPosition(position), timeline: 1, isUnproven: true))
    }

    private static func seen(
        _ me: PostgreSQLStatus, _ peers: [String: PeerAnswer], mode: JSONValue = true,
        sync: SyncState = SyncState(leader: "n2", voters: ["n1"])
    ) -> Observation {
        Scene.seen(Scene.view(sync: sync), me, peers: peers, settings: ["synchronous_mode": mode])
    }

    private static func named() -> Observation {
        var seen = seen(restored(), [:])
        seen.view?.failover = FailoverRequest(leader: nil, candidate: "n1", revision: 6)
        return seen
    }

    private static func handedOver(to me: PostgreSQLStatus, at position: UInt64) -> Observation {
        var seen = seen(me, [:])
        seen.view?.status.optime = WALPosition(position)
        seen.view?.status.handedOverBy = "n2"
        return seen
    }

    private static func holding(_ me: PostgreSQLStatus) -> Observation {
        Scene.seen(
            Scene.view(leader: "n1", sync: SyncState(leader: "n2", voters: ["n1"])), me, lease: Scene.lease(),
            renewal: .held, peers: [:], settings: ["synchronous_mode": true])
    }

    // MARK: When it counts again

    @Test func countsAgainWhenItHasStreamedEverythingFromItsLeader() {
        let (seen, view) = (Self.streaming(), Scene.view(leader: "n2"))
        let me = NodeIdentity(name: "n1")
        #expect(isCopyProven(me, view, seen))
        let changes: [(String, (inout PostgreSQLStatus) -> Void)] = [
            ("it is marked", { $0.isUnproven = false }),
            ("nothing is half made", { $0.unfinished = .rewind }),
            ("it streams", { $0.facts?.receiver?.isStreaming = false }),
            ("the leader has told its end", { $0.facts?.receiver?.latestEnd = .zero }),
            ("it has that", { $0.facts?.receiver?.latestEnd = WALPosition(1001) }),
            ("and what /status tells", { $0.facts?.receivedPosition = WALPosition(999) }),
            ("what it has replayed from an archive is not received", { $0.facts?.receivedPosition = .zero }),
            ("from its leader", { $0.facts?.receiver?.port = 5433 }),
            ("at its address", { $0.facts?.receiver?.host = "10.0.0.1" }),
            ("on its timeline", { $0.facts?.timeline = 2 }),
            ("it answers", { $0.facts = nil }),
        ]
        for (what, change) in changes {
            var changed = seen
            change(&changed)
            #expect(!isCopyProven(me, view, changed), "\(what)")
        }
        #expect(!isCopyProven(me, Scene.view(), seen), "somebody leads")
        let promoting = ["n1", "n2", "n3"].map { Scene.member($0) }
        #expect(!isCopyProven(me, Scene.view(leader: "n2", members: promoting), seen), "and is a primary by now")
    }

    @Test func whoLeadsAsAPrimaryIsWhatOthersAreMeasuredBy() {
        var primary = Self.streaming()
        primary.facts?.inRecovery = false
        let me = NodeIdentity(name: "n1")
        #expect(isCopyProven(me, Scene.view(leader: "n1"), primary))
        #expect(!isCopyProven(me, Scene.view(leader: "n1"), Self.streaming()))
    }

    private static func streaming() -> PostgreSQLStatus {
        var status = restored()
        status.facts?.receiver = .init(
            isStreaming: true, host: "127.0.0.1", port: 5432, latestEnd: WALPosition(1000))
        return status
    }

    @Test(arguments: [true, false]) func isReadFromAnAnswer(_ isMarked: Bool) {
        let answer = PeerAnswer(
            json: ["role": "replica", "xlog": ["received_location": 9], "unproven_copy": .bool(isMarked)])
        let wanted = PeerStatus(
            isPrimary: false, position: WALPosition(9), timeline: 0, replayed: .zero, isUnproven: isMarked)
        #expect(answer == .status(wanted))
    }
}
