import ClusterModel
import HighAvailability
import Testing

/// `primary_race_backoff`: for whom a standby waits that could take the key.
@Suite struct RaceBackoffTests {
    /// Nobody has led for so long, by the view of a daemon that knew the leader; `grew`: so long ago WAL came in.
    private static func free(for waited: Duration, grew: Duration? = nil) -> Memory {
        var memory = RaceTests.underLeader("n2")
        memory.leaderlessSince = Scene.now - waited
        memory.inflow = .init(position: WALPosition(1000), grewAt: grew.map { Scene.now - $0 })
        return memory
    }

    private static func seen(
        _ local: PostgreSQLStatus = Scene.standby(), backoff: Int64 = 30, failover: FailoverRequest? = nil,
        more: JSONObject = [:]
    ) -> Observation {
        var settings: JSONObject = ["primary_race_backoff": .int(backoff), "loop_wait": 10, "ttl": 30]
        for member in more.members { settings[member.key] = member.value }
        return Scene.seen(
            Scene.view(failover: failover), local, peers: RaceTests.bothEqual, settings: settings)
    }

    private static var handedOver: Observation {
        var seen = seen()
        seen.view?.status.handedOverBy = "n2"
        return seen
    }

    static let rows: [Row] = [
        Row(
            description: "a key that has just gone may be taken back",
            seen: seen(), memory: free(for: .milliseconds(9900)), expected: .action(.wait),
            because: ["leader-may-return"]),
        Row(
            description: "a turn of the loop without WAL is enough",
            seen: seen(), memory: free(for: .seconds(10)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "while WAL comes whoever led lives",
            seen: seen(), memory: free(for: .seconds(20), grew: .milliseconds(9900)), expected: .action(.wait),
            because: ["wal-arrives"]),
        Row(
            description: "what came in a turn before says nothing",
            seen: seen(), memory: free(for: .seconds(20), grew: .seconds(10)), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "nobody is waited for longer than is configured",
            seen: seen(), memory: free(for: .seconds(30), grew: .zero), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "but for a turn of the loop, in which it is seen whether WAL comes",
            seen: seen(backoff: 2), memory: free(for: .seconds(9), grew: .zero), expected: .action(.wait),
            because: ["leader-may-return"]),
        Row(
            description: "who streams from nobody hears nothing of a primary",
            seen: seen(Scene.standby(streaming: false)), memory: free(for: .seconds(20), grew: .zero),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "a daemon that has just begun waits as well",
            seen: seen(), expected: .action(.wait), because: ["leader-may-return"]),
        Row(
            description: "who has handed over has ended",
            seen: handedOver, memory: free(for: .zero, grew: .zero), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "whom an operator names takes over at once",
            seen: seen(failover: FailoverRequest(leader: nil, candidate: "n1")), memory: free(for: .zero, grew: .zero),
            expected: .action(.acquireLeader), because: ["requested-candidate"]),
        Row(
            description: "a switchover to anybody that was not carried out names nobody",
            seen: seen(failover: FailoverRequest(leader: "n2", candidate: nil)), memory: free(for: .zero),
            expected: .action(.wait), because: ["leader-may-return"]),
        Row(
            description: "nor does one whose time has not come",
            seen: seen(
                failover: FailoverRequest(leader: "n2", candidate: "n1", scheduledAt: "2050-01-01T00:00:00+00:00")),
            memory: free(for: .zero), expected: .action(.wait), because: ["leader-may-return"]),
        Row(
            description: "a running primary claims at once: it is the one that is waited for",
            seen: seen(Scene.primary()), memory: free(for: .zero), expected: .action(.acquireLeader),
            because: ["running-primary-reclaims"]),
        Row(
            description: "in pause a standby does not race anyway",
            seen: seen(more: ["pause": true]), memory: free(for: .zero), expected: .action(.wait),
            because: ["paused"]),
        Row(
            description: "in a standby cluster the primary is elsewhere",
            seen: seen(more: ["standby_cluster": ["host": "far"]]), memory: free(for: .zero, grew: .zero),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "who may not lead says so",
            seen: nofailover(), memory: free(for: .zero), expected: .action(.wait), because: ["nofailover"]),
        Row(
            description: "where nothing is configured the race begins at once",
            seen: seen(backoff: 0), memory: free(for: .zero, grew: .zero), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "nor is less than nothing waited for",
            seen: seen(backoff: -5), memory: free(for: .zero, grew: .zero), expected: .action(.acquireLeader),
            because: ["healthiest"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    private static func nofailover() -> Observation {
        var seen = seen()
        seen.me.tags = Tags(["nofailover": true])
        return seen
    }

    /// The first look finds no growth, the same look none either, and a receiver that begins anew begins with less.
    @Test func onlyGrowthIsASignOfLife() {
        var memory = Self.free(for: .seconds(15))
        memory.inflow = nil
        var codes: [String] = []
        for position: UInt64 in [1000, 1000, 1100, 1100] {
            codes.append(decide(Self.seen(Scene.standby(at: position)), &memory).reasons[0].code)
        }
        #expect(codes == ["healthiest", "healthiest", "wal-arrives", "wal-arrives"])
        #expect(memory.inflow == .init(position: WALPosition(1100), grewAt: Scene.now))
        memory.inflow?.grewAt = nil
        _ = decide(Self.seen(Scene.standby(at: 1050)), &memory)
        #expect(memory.inflow == .init(position: WALPosition(1050)))
        _ = decide(Self.seen(Scene.standby(streaming: false)), &memory)
        #expect(memory.inflow == nil)
    }

    /// Those who wait are awake when it is over.
    @Test(arguments: [(0, 10), (9, 10), (10, 30), (29, 30)])
    func whenItIsThoughtOfAgain(_ waited: Int, _ end: Int) {
        let began = Scene.now - .seconds(waited)
        let memory = Self.free(for: .seconds(waited))
        #expect(memory.raceBackoffEnds(Self.seen().settings, after: Scene.now) == began + .seconds(end))
    }

    @Test func nobodyWaitsWithoutEnd() {
        #expect(Self.free(for: .seconds(30)).raceBackoffEnds(Self.seen().settings, after: Scene.now) == nil)
        #expect(Self.free(for: .zero).raceBackoffEnds(Self.seen(backoff: 0).settings, after: Scene.now) == nil)
        #expect(Memory().raceBackoffEnds(Self.seen().settings, after: Scene.now) == nil)
        let longest = DynamicConfiguration(document: ["primary_race_backoff": .int(.max)])
        #expect(longest?.primaryRaceBackoff == .seconds(366 * 86_400))
    }

    /// It counts from the first race that was lost so, not from when the key went: until then nobody may have been let
    /// take it.
    @Test func howLongWhoIsPreferredIsWaitedFor() {
        var memory = Memory()
        memory.leaderlessSince = Scene.now - .seconds(600)
        let peers = ["n2": Scene.peer(1000, tags: ["failover_priority": 2]), "n3": Scene.peer(1)]
        #expect(decide(Scene.seen(Scene.view(), Scene.standby(), peers: peers), &memory).action == .wait)
        #expect(memory.passedOverSince == Scene.now)
        _ = decide(Scene.seen(Scene.view(leader: "n2"), Scene.standby()), &memory)
        #expect(memory.passedOverSince == nil)
    }
}
