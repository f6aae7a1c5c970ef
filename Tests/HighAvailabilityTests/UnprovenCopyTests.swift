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
        Row(
            description: "nobody has led for a ttl: somebody has to decide", seen: seen(restored(), [:]),
            memory: leaderless(for: .seconds(30)), expected: .action(.wait),
            because: ["unproven-copy", "unproven-without-leader"]),
        Row(
            description: "before that the leader may be back", seen: seen(restored(), [:]),
            memory: leaderless(for: .seconds(29)), expected: .action(.wait), because: ["unproven-copy"]),
        Row(
            description: "likewise where its vote lacks",
            seen: seen(restored(), ["n3": Scene.peer(900)], mode: "quorum", sync: votes),
            memory: leaderless(for: .seconds(30)), expected: .action(.wait),
            because: ["too-few-votes", "unproven-without-leader"]),
        Row(
            description: "a copy that is proven waits for votes",
            seen: seen(Scene.standby(), [:], mode: "quorum", sync: votes),
            memory: leaderless(for: .seconds(30)), expected: .action(.wait), because: ["too-few-votes"]),
        Row(
            description: "where nobody goes by /sync it is behind like everybody",
            seen: seen(restored(at: 800), others, mode: false), memory: leaderless(for: .seconds(30)),
            expected: .action(.wait), because: ["peer-is-ahead"]),
    ]

    private static func leaderless(for time: Duration) -> Memory {
        var memory = Memory()
        memory.lastLeader = "n2"
        memory.leaderlessSince = Scene.now - time
        return memory
    }

    @Test func theOperatorIsToldWhatToDo() {
        let seen = Self.seen(Self.restored(), [:])
        let needed = Scene.decided(seen, Self.leaderless(for: .seconds(30))).0.needsOperator
        #expect(needed?.contains("manual failover") == true && needed?.contains("former leader") == true)
        #expect(Scene.decided(seen, Self.leaderless(for: .seconds(29))).0.needsOperator == nil)
    }

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
        #expect(isCopyProven(me, view, seen, CopyProof()))
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
            #expect(!isCopyProven(me, view, changed, CopyProof()), "\(what)")
        }
        #expect(!isCopyProven(me, Scene.view(), seen, CopyProof()), "somebody leads")
        let promoting = ["n1", "n2", "n3"].map { Scene.member($0) }
        let promoted = Scene.view(leader: "n2", members: promoting)
        #expect(!isCopyProven(me, promoted, seen, CopyProof()), "and is a primary by now")
    }

    /// What is flushed on a busy primary is never all here; what its first word named is, once.
    @Test func theFirstEndThatTheLeaderHasToldIsEnough() {
        let (me, view) = (NodeIdentity(name: "n1"), Scene.view(leader: "n2"))
        func later(_ received: UInt64, pid: Int32? = nil) -> PostgreSQLStatus {
            var status = Self.streaming(to: 5000)
            status.facts?.receivedPosition = WALPosition(received)
            if let pid { status.postmaster = pid }
            return status
        }
        var proof = CopyProof()
        proof.note(me, view, Self.streaming(to: 1000))
        proof.note(me, view, later(999))
        #expect(!isCopyProven(me, view, later(999), proof))
        #expect(isCopyProven(me, view, later(1000), proof))
        #expect(!isCopyProven(me, view, later(1000), CopyProof()), "a daemon that has just begun knows no earlier one")
        var written = view
        written.status.optime = WALPosition(1001)
        #expect(!isCopyProven(me, written, later(1000), proof), "the leader has written of more")
        // Another server may be another directory's.
        proof.note(me, view, later(1000, pid: 77))
        #expect(!isCopyProven(me, view, later(1000, pid: 77), proof) && isCopyProven(me, view, later(5000), proof))
    }

    @Test func wordsOfTwoLeadersAreNotMixed() {
        let me = NodeIdentity(name: "n1")
        let (first, second) = (Scene.view(leader: "n2"), Scene.view(leader: "n3"))
        let told = Self.streaming(to: 1000)
        var now = Self.streaming(to: 5000)
        var proof = CopyProof()
        proof.note(me, first, told)
        proof.note(me, second, now)
        #expect(!isCopyProven(me, second, now, proof), "it was told by another one before")
        // Whoever it streamed from first was not the leader.
        proof = CopyProof()
        var cascade = told
        cascade.facts?.receiver?.host = "10.0.0.1"
        proof.note(me, first, cascade)
        proof.note(me, first, told)
        now.facts?.receivedPosition = WALPosition(4999)
        #expect(!isCopyProven(me, first, now, proof), "and its word is not the leader's")
        now.facts?.receivedPosition = WALPosition(5000)
        #expect(isCopyProven(me, first, now, proof), "what the leader says now still is")
    }

    @Test func theLeaderTakesNobodyIntoSyncWhoMayLackSomething() throws {
        let facts = try #require(
            SynchronousRuleTests.primary("", ["n2", "n3"].map { SynchronousRuleTests.sender($0) }).facts)
        var restored = Scene.member("n2").data
        restored["unproven_copy"] = true
        let members = [Scene.member("n1"), Member(name: "n2", data: restored), Scene.member("n3")]
        let selection = StandbySelection(
            NodeIdentity(name: "n1"), Scene.view(leader: "n1", members: members), DynamicConfiguration(), facts)
        #expect(selection.active == ["n3"] && selection.obstacles == ["n2": .unproven])
    }

    @Test(arguments: [true, false]) func itsMemberKeySaysSo(_ isMarked: Bool) {
        var status = Self.streaming()
        status.isUnproven = isMarked
        let key = MemberKey.value(
            .init(connectionURL: "postgres://n1/p", apiURL: "http://n1/patroni", version: "4.1.5"),
            NodeIdentity(name: "n1"), role: .replica, local: status, settings: DynamicConfiguration(),
            checkpointPending: false, leaderTimeline: 1)
        #expect(key["unproven_copy"] == (isMarked ? true : nil))
    }

    @Test func whoLeadsAsAPrimaryIsWhatOthersAreMeasuredBy() {
        var primary = Self.streaming()
        primary.facts?.inRecovery = false
        let me = NodeIdentity(name: "n1")
        #expect(isCopyProven(me, Scene.view(leader: "n1"), primary, CopyProof()))
        #expect(!isCopyProven(me, Scene.view(leader: "n1"), Self.streaming(), CopyProof()))
    }

    private static func streaming(to end: UInt64 = 1000) -> PostgreSQLStatus {
        var status = restored()
        status.facts?.receiver = .init(
            isStreaming: true, host: "127.0.0.1", port: 5432, latestEnd: WALPosition(end))
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
