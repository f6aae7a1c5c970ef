import ClusterModel
import HighAvailability
import Testing

/// Daemons that begin at the same time in a cluster that nobody leads.
@Suite struct NewcomerTests {
    static let unled = Scene.view(optime: 0)

    static let rows: [Row] = [
        Row(
            description: "whoever has made a cluster that nobody has led may write still",
            seen: Scene.seen(unled, Scene.standby(), peers: RaceTests.bothEqual), memory: unled(for: .seconds(29)),
            expected: .action(.wait), because: ["nobody-has-led"]),
        Row(
            description: "from when this node first reads of it",
            seen: Scene.seen(unled, Scene.standby(), peers: RaceTests.bothEqual), expected: .action(.wait),
            because: ["nobody-has-led"]),
        Row(
            description: "and for a ttl, in which its guardian ends it",
            seen: Scene.seen(unled, Scene.standby(), peers: RaceTests.bothEqual), memory: unled(for: .seconds(30)),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "it is that primary itself",
            seen: Scene.seen(unled, Scene.primary()), memory: unled(for: .zero), expected: .action(.acquireLeader),
            because: ["running-primary-reclaims"]),
        Row(
            description: "who begins first waits for a member that does not answer yet",
            seen: Scene.seen(
                Scene.view(), Scene.standby(), peers: ["n2": Scene.unreachable, "n3": Scene.peer(900)]),
            expected: .action(.wait), because: ["others-may-begin"]),
        // scripts/faults foreigninit: its key was gone, and the slot that the last leader kept for it was not.
        Row(
            description: "and for one whose key has expired",
            seen: alone(retaining: ["n1", "n2"]), expected: .action(.wait), because: ["others-may-begin"]),
        Row(
            description: "for no longer than a loop_wait",
            seen: alone(retaining: ["n1", "n2"]), memory: begun(.seconds(10)), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "nor for less",
            seen: alone(retaining: ["n1", "n2"]), memory: begun(.seconds(9)), expected: .action(.wait),
            because: ["others-may-begin"]),
        Row(
            description: "which is three seconds at the least",
            seen: alone(retaining: ["n1", "n2"], ["loop_wait": 1, "retry_timeout": 3, "ttl": 20]),
            memory: begun(.milliseconds(2900)), expected: .action(.wait), because: ["others-may-begin"]),
        Row(
            description: "a node that never had others waits for nobody",
            seen: alone(retaining: ["n1"]), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "where all have come nobody is waited for",
            seen: Scene.seen(Scene.view(), Scene.standby(), peers: RaceTests.bothEqual),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "who has come and is ahead wins as ever",
            seen: Scene.seen(
                Scene.view(), Scene.standby(), peers: ["n2": Scene.unreachable, "n3": Scene.peer(1001)]),
            expected: .action(.wait), because: ["peer-is-ahead"]),
        Row(
            description: "who has all that was handed over lacks nothing",
            seen: handedOver(at: 1000), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "who may not lead is not waited for",
            seen: Scene.seen(
                Scene.view(members: [Scene.member("n1"), Scene.member("n2", tags: ["nofailover": true])]),
                Scene.standby(), peers: [:]), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "in synchronous mode /sync says who has everything",
            seen: Scene.seen(
                Scene.view(sync: SyncState(leader: "n2", voters: ["n1"])), Scene.standby(),
                peers: ["n2": Scene.unreachable], settings: ["synchronous_mode": true]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "a daemon that knew the leader has its members, and does not wait for the dead",
            seen: alone(retaining: ["n1", "n2"]), memory: knewLeader("n2"), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "a running primary goes on at once",
            seen: Scene.seen(Scene.view(), Scene.primary()), expected: .action(.acquireLeader),
            because: ["running-primary-reclaims"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    static func alone(retaining slots: [String], _ settings: JSONObject = [:]) -> Observation {
        var view = Scene.view(members: [Scene.member("n1")])
        view.status.retainSlots = slots
        return Scene.seen(view, Scene.standby(), peers: [:], settings: settings)
    }

    static func handedOver(at position: UInt64) -> Observation {
        var view = Scene.view(optime: position, sync: SyncState(leader: "n2"))
        view.status.handedOverBy = "n2"
        return Scene.seen(view, Scene.standby(), peers: ["n2": Scene.unreachable, "n3": Scene.unreachable])
    }

    static func begun(_ ago: Duration) -> Memory {
        var memory = Memory()
        memory.leaderlessSince = Scene.now - ago
        return memory
    }

    /// Its members' keys had gone before.
    static func knewLeader(_ name: String) -> Memory {
        var memory = Memory()
        memory.lastLeader = name
        return memory
    }

    static func unled(for duration: Duration) -> Memory {
        var memory = Memory()
        memory.unledSince = Scene.now - duration
        memory.unledPublication = 2
        return memory
    }

    /// A /status of before the cluster was made says nothing, one of since then that somebody has led.
    @Test func whatIsRememberedOfAClusterThatNobodyHasLed() {
        func since(_ view: ClusterView, _ memory: Memory = Memory()) -> BootInstant? {
            var memory = memory
            _ = decide(Scene.seen(view, Scene.standby(), peers: RaceTests.bothEqual), &memory)
            return memory.unledSince
        }
        var later = RaceTests.free
        later.status.revision = 3
        var earlier = RaceTests.free
        earlier.status.revision = 1
        #expect(since(Self.unled) == Scene.now && since(earlier) == Scene.now)
        #expect(since(later) == nil && since(RaceTests.free) == nil)
        #expect(since(Self.unled, RaceTests.underLeader("n2")) == nil)
        #expect(since(Scene.view(initialize: .inProgress, optime: 0), Self.unled(for: .seconds(5))) == nil)
        #expect(since(Scene.view(leader: "n2"), Self.unled(for: .seconds(5))) == nil)
        // Published once more: the server of whoever did that runs from then on.
        #expect(since(Self.unled, Self.unled(for: .seconds(5))) == Scene.now - .seconds(5))
        var again = Self.unled
        again.initializeRevision = 8
        #expect(since(again, Self.unled(for: .seconds(29))) == Scene.now)
    }
}
