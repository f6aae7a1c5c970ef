import ClusterModel
import HighAvailability
import Testing

/// In a pause the daemon of the primary `n2` is gone, and its PostgreSQL serves on: nobody is promoted beside it.
@Suite struct ServingPrimaryTests {
    private static func view(
        candidate: String? = "n1", leader former: String? = nil, key holder: String? = nil, by giver: String? = nil,
        without gone: String? = "n2"
    ) -> ClusterView {
        let members = ["n1", "n2", "n3"].filter { $0 != gone }.map { Scene.member($0) }
        let request = candidate.map { FailoverRequest(leader: former, candidate: $0, revision: 7) }
        var view = Scene.view(leader: holder, members: members, failover: request)
        view.status.handedOverBy = giver
        return view
    }

    /// Its receiver streams from `sender`, as its port tells.
    private static func standby(of sender: String?, streams: Bool = true) -> PostgreSQLStatus {
        var local = Scene.standby(streaming: streams)
        let port = sender.map { 5430 + (Int($0.dropFirst()) ?? 0) }
        local.facts?.receiver = .init(isStreaming: streams, host: port.map { _ in "127.0.0.1" }, port: port)
        return local
    }

    private static func seen(
        _ view: ClusterView = view(), _ local: PostgreSQLStatus = standby(of: "n2"), peers: [String: PeerAnswer]? = nil,
        settings: JSONObject = ["pause": true]
    ) -> Observation {
        Scene.seen(view, local, peers: peers, settings: settings)
    }

    /// `n2` led when this daemon saw a leader last.
    private static let knows = knows(for: .seconds(60))
    private static func knows(for time: Duration) -> Memory {
        var memory = Memory()
        memory.lastLeader = "n2"
        memory.membersUnderLastLeader = [Scene.member("n2", role: "primary"), Scene.member("n3")]
        memory.leaderlessSince = Scene.now - time
        return memory
    }

    private static let began = {
        var memory = Memory()
        memory.leaderlessSince = Scene.now - .seconds(60)
        return memory
    }()

    private static let ended = Row.Expectation.action(.write(.clearFailover(7)))
    private static let quiet = ["n2": Scene.unreachable, "n3": Scene.peer(1000)]

    /// A standby of ours that says of itself whom it streams from.
    private static let witness: PeerAnswer = {
        var status = PeerStatus(isPrimary: false, position: WALPosition(1000), timeline: 1)
        status.standsBack = [
            PeerStatus.Objection(
                code: "primary-serves", facts: ["member": "n2"], sentence: "n2 serves", alsoIfNamed: true)
        ]
        return .status(status)
    }()

    static let rows: [Row] = [
        Row(
            description: "the candidate streams from it: the request ends, with why", seen: seen(), memory: knows,
            expected: ended, because: ["paused", "primary-serves"]),
        Row(
            description: "so does a switchover whose leader's daemon has gone", seen: seen(view(leader: "n2")),
            memory: knows, expected: ended, because: ["paused", "primary-serves"]),
        Row(
            description: "a daemon that began lately does not know whom it streams from, and takes it for a primary",
            seen: seen(), memory: began, expected: ended, because: ["paused", "primary-serves"]),
        Row(
            description: "a look of before the key went decides nothing: a leader of Patroni's stops without a word",
            seen: seen(), memory: knows(for: .zero), expected: .action(.wait), because: ["paused", "primary-serves"]),
        Row(
            description: "what another replica sends proves nothing, and the others are asked",
            seen: seen(view(), standby(of: "n3")), memory: knows, expected: .asks(["n2", "n3"]),
            because: ["paused", "leader-key-free"]),
        Row(
            description: "also where that one led last, and is a replica by its own word",
            seen: seen(view(without: nil), standby(of: "n2")), memory: knows, expected: .asks(["n2", "n3"]),
            because: ["paused", "leader-key-free"]),
        Row(
            description: "one of them streams from it",
            seen: seen(view(), standby(of: nil, streams: false), peers: ["n2": Scene.unreachable, "n3": witness]),
            memory: knows, expected: ended, because: ["paused", "primary-serves"]),
        Row(
            description: "it has lost the store only, and says that it is a primary",
            seen: seen(
                view(), standby(of: nil, streams: false),
                peers: ["n2": Scene.peer(0, primary: true), "n3": Scene.peer(1000)]), memory: knows, expected: ended,
            because: ["paused", "peer-is-primary"]),
        Row(
            description: "who streams from nobody, among others that do not, takes over",
            seen: seen(view(), standby(of: "n2", streams: false), peers: quiet), memory: knows,
            expected: .action(.acquireLeader), because: ["requested-candidate"]),
        Row(
            description: "what the leader has handed over is taken: the last look may be of before",
            seen: seen(view(leader: "n2", by: "n2"), peers: quiet), memory: knows(for: .seconds(1)),
            expected: .action(.acquireLeader), because: ["requested-candidate", "healthiest"]),
        Row(
            description: "a ttl later an operator may have started that server again",
            seen: seen(view(leader: "n2", by: "n2"), peers: quiet), memory: knows, expected: ended,
            because: ["paused", "primary-serves"]),
        Row(
            description: "outside of a pause lease and guardian have ended it, whatever a receiver believes (L1)",
            seen: seen(settings: [:]), memory: knows, expected: .action(.acquireLeader),
            because: ["requested-candidate"]),
        Row(
            description: "a standby cluster streams from a primary that is another's",
            seen: seen(
                settings: ["pause": true, "standby_cluster": ["host": "10.0.0.1", "port": 5432]]), memory: knows,
            expected: .action(.acquireLeader), because: ["requested-candidate"]),
        Row(
            description: "nobody has asked: the pause is told, and what is to be seen to before it ends",
            seen: seen(view(candidate: nil)), memory: knows, expected: .action(.wait),
            because: ["paused", "primary-serves"]),
        Row(
            description: "a key that an earlier daemon has won there promotes nobody either",
            seen: holding, memory: knows, expected: .action(.wait),
            because: ["holding-lease", "primary-serves", "paused", "still-accepts-writes"]),
    ]

    private static let holding = Scene.seen(
        view(key: "n1"), standby(of: "n2"), lease: Scene.lease(), renewal: .held, peers: quiet,
        settings: ["pause": true])

    @Test func theNextLookComesSoon() {
        #expect(Scene.decided(Self.seen(), Self.knows(for: .zero)).1.hasToLookAgain)
        #expect(!Scene.decided(Self.seen(), Self.knows).1.hasToLookAgain)
    }

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    @Test func aStoreThatRefusesTheEndOfTheRequestPromotesNobody() {
        var seen = Self.seen()
        seen.repairsWait = true
        #expect(Scene.decided(seen, Self.knows).0.action == .wait)
    }

    @Test func theOperatorIsToldWhatToDoBeforeThePauseEnds() {
        let needed = Scene.decided(Self.seen(Self.view(candidate: nil)), Self.knows).0.needsOperator
        #expect(needed?.contains("n2") == true && needed?.contains("resume") == true, "\(needed ?? "")")
    }

    /// In `/patroni` of every standby, for whoever is asked to fail over, and in `/explain`.
    @Test func itIsSaidOfTheCandidateBeforehand() throws {
        let seen = Self.seen(Self.view(candidate: nil), peers: ["n3": Self.witness])
        let found = prospects(seen, try #require(seen.view), KeptBack(Self.knows, FailsafeFacts()))
        for name in ["n1", "n3"] {
            let told = try #require(found.first { $0.name == name }).objections(.failover)
            #expect(told.map { $0.explanation.facts["code"]?.string } == ["primary-serves"], "\(told)")
        }
    }
}
