import ClusterModel
import HighAvailability
import Testing

/// The key of an earlier daemon, whose server may run on where this one does not look.
@Suite struct EarlierDaemonTests {
    static let named = Scene.view(leader: "n1")
    static let empty = Scene.seen(named, Scene.empty)
    static let cannotBeRead = PostgreSQLStatus(
        dataDirectory: .inaccessible("?"), state: .stopped, observedAt: Scene.now)
    static let rows: [Row] = [
        Row(
            description: "a data directory that is empty says nothing of the server that led",
            seen: empty, memory: began(ago: 1), expected: .action(.wait),
            because: ["data-directory-empty", "sessions-may-go-on", "key-of-earlier-daemon"]),
        Row(
            description: "whose session ends the key: its ttl may have been another",
            seen: empty, memory: began(ago: 100), expected: .action(.wait),
            because: ["data-directory-empty", "sessions-may-go-on", "key-of-earlier-daemon"]),
        Row(
            description: "nor does one that cannot be read", seen: Scene.seen(named, cannotBeRead),
            memory: began(ago: 29), expected: .action(.wait),
            because: ["data-directory-inaccessible", "sessions-may-go-on", "key-of-earlier-daemon"]),
        Row(
            description: "where a server has run under this daemon, the directory is the one",
            seen: empty, memory: began(ago: 1, hasRun: true), expected: LeaderKeyTests.ended,
            because: ["data-directory-empty", "sessions-may-go-on"]),
        Row(
            description: "and where the guardian of the directory has told of its lease",
            seen: empty, memory: Memory(), expected: LeaderKeyTests.ended,
            because: ["data-directory-empty", "sessions-may-go-on"]),
        Row(
            description: "who would give it away asks the others before it makes it its own",
            seen: atOnce(), memory: began(ago: 1), expected: .asks(["n2", "n3"]), because: ["not-running"]),
        Row(
            description: "and leaves it to end with its session where one of them could lead",
            seen: atOnce(["n2": Scene.peer(1000), "n3": Scene.unreachable]), memory: began(ago: 1),
            expected: .action(.wait), because: ["not-running", "sessions-may-go-on", "key-of-earlier-daemon"]),
        Row(
            description: "nobody could: it is kept, for a start",
            seen: atOnce(["n2": Scene.unreachable, "n3": Scene.unreachable]), memory: began(ago: 1),
            expected: .action(.ask(.renewal)), because: ["not-running"]),
    ]

    private static func atOnce(_ peers: [String: PeerAnswer]? = nil) -> Observation {
        Scene.seen(named, Scene.stopped(), peers: peers, settings: ["primary_start_timeout": 0])
    }

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    /// Every copy of a running primary is one in production; what was shut down with all that was known has led.
    @Test(
        arguments: [
            (ControlData.ClusterState.inProduction, 1000, false, EarlierServer.untilItsSessionEnds),
            (.inProduction, 1000, true, .forAWhile(.seconds(20))),
            (.shutDownInRecovery, 1000, false, .untilItsSessionEnds),
            (.shutDown, 1000, false, nil), (.shutDown, 999, false, .untilItsSessionEnds),
        ] as [(ControlData.ClusterState, UInt64, Bool, EarlierServer?)])
    func whatACopySays(_ state: ControlData.ClusterState, _ end: UInt64, _ isHeld: Bool, _ expected: EarlierServer?) {
        let found = earlierServer(
            Scene.stopped(state, walEnd: end), Self.named, DynamicConfiguration(), Self.began(ago: 10), isHeld: isHeld,
            at: Scene.now)
        #expect(found == expected)
    }

    @Test func aLeaseOfItsOwnBoundsIt() {
        let late = earlierServer(
            Scene.stopped(), Self.named, DynamicConfiguration(), Self.began(ago: 30), isHeld: true, at: Scene.now)
        #expect(late == nil)
        let won = earlierServer(Scene.empty, Self.named, DynamicConfiguration(), Memory(), isHeld: false, at: Scene.now)
        #expect(won == nil)
    }

    private static func began(ago seconds: Int, hasRun: Bool = false) -> Memory {
        var memory = Memory()
        memory.beganWithoutLease = Scene.now - .seconds(seconds)
        memory.hasRun = hasRun
        return memory
    }
}
