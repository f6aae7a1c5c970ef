import ClusterModel
import HighAvailability
import Testing

/// Whether a member could lead now, and all that stands against it: `n1` judges, `n2` is judged.
@Suite struct ProspectTests {
    struct Case: Sendable, CustomStringConvertible {
        let description: String
        var leader: String? = "n1"
        var member = Scene.member("n2")
        var local = Scene.primary()
        var answers: [String: PeerAnswer] = ["n2": Scene.peer(1000), "n3": Scene.peer(1000)]
        var sync = SyncState()
        var failsafe: [String: String]?
        var history = TimelineHistory()
        var settings: JSONObject = [:]
        var storeFailure: String?
        let occasion: Prospect.Occasion
        /// The codes of the reasons, in their order.
        let because: [String]
    }

    static let voted = SyncState(leader: "n1", voters: ["n3"])
    static let quorum = SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1)
    static let moved = TimelineHistory(lines: [.init(timeline: 1, position: WALPosition(900), reason: "no")])
    static let both: [String: PeerAnswer] = ["n2": Scene.peer(0, timeline: 1), "n3": Scene.peer(1000)]

    static let cases: [Case] = [
        Case(description: "all is well", occasion: .switchover, because: []),
        Case(description: "all is well: it would win", occasion: .race, because: []),
        Case(description: "all is well: an operator's word", occasion: .failover, because: []),
        Case(description: "it leads", leader: "n2", occasion: .switchover, because: ["candidate-leads"]),
        Case(
            description: "nobody leads", leader: nil, local: Scene.standby(), occasion: .switchover,
            because: ["candidate-nobody-leads"]),
        Case(
            description: "nobody leads: an operator's word needs nobody", leader: nil, local: Scene.standby(),
            occasion: .failover, because: []),
        Case(
            description: "the store is gone", storeFailure: "gone", occasion: .race,
            because: ["candidate-store-silent"]),
        Case(
            description: "it does not answer", answers: ["n2": Scene.unreachable], occasion: .failover,
            because: ["candidate-unreachable"]),
        Case(
            description: "it has no API", member: Member(name: "n2", data: ["role": "replica"]), answers: [:],
            occasion: .switchover, because: ["candidate-unreachable"]),
        Case(
            description: "its tags by its own word", answers: ["n2": Scene.peer(1000, tags: ["nofailover": true])],
            occasion: .race, because: ["candidate-nofailover"]),
        Case(
            description: "its tags by its key", member: Scene.member("n2", tags: ["nofailover": true]),
            occasion: .switchover, because: ["candidate-nofailover"]),
        Case(
            description: "no watchdog",
            answers: [
                "n2": .status(
                    PeerStatus(
                        isPrimary: false, position: WALPosition(1000), timeline: 1, tags: Tags([:]),
                        watchdogFailed: true))
            ], occasion: .switchover, because: ["candidate-watchdog-failed"]),
        Case(
            description: "two things at once", answers: both, history: moved,
            settings: ["maximum_lag_on_failover": 10, "check_timeline": true], occasion: .switchover,
            because: ["candidate-lagging", "candidate-timeline-behind"]),
        Case(
            description: "in a race it says so itself", answers: both,
            settings: ["maximum_lag_on_failover": 10], occasion: .race, because: ["candidate-stands-back"]),
        Case(
            description: "somebody else is ahead", answers: ["n2": Scene.peer(999), "n3": Scene.peer(1000)],
            occasion: .race, because: ["candidate-stands-back"]),
        Case(
            description: "this node is ahead", leader: "n3", local: Scene.standby(at: 1001), occasion: .race,
            because: ["candidate-stands-back"]),
        Case(
            description: "who leads is not in the race", leader: "n3",
            local: Scene.standby(at: 1000),
            answers: ["n2": Scene.peer(1000), "n3": Scene.peer(0, primary: true)], occasion: .race, because: []),
        Case(
            description: "asynchronous", sync: voted, settings: ["synchronous_mode": true], occasion: .switchover,
            because: ["candidate-not-in-sync"]),
        Case(
            description: "asynchronous in a race", sync: voted, settings: ["synchronous_mode": true], occasion: .race,
            because: ["candidate-not-in-sync"]),
        Case(
            description: "asynchronous, and an operator's word", sync: voted, settings: ["synchronous_mode": true],
            occasion: .failover, because: []),
        Case(
            description: "too few votes", answers: ["n2": Scene.peer(1000), "n3": Scene.unreachable],
            sync: quorum, settings: ["synchronous_mode": "quorum"], occasion: .switchover,
            because: ["candidate-lacks-votes"]),
        Case(
            description: "enough votes", sync: quorum, settings: ["synchronous_mode": "quorum"],
            occasion: .switchover, because: []),
        Case(
            description: "not in failsafe", failsafe: ["n1": "a"], settings: ["failsafe_mode": true],
            occasion: .race, because: ["candidate-not-in-failsafe"]),
        Case(
            description: "not in failsafe: the leader does not hand over to it", failsafe: ["n1": "a"],
            settings: ["failsafe_mode": true], occasion: .switchover, because: ["candidate-not-in-failsafe"]),
        Case(
            description: "not in failsafe, and an operator's word", failsafe: ["n1": "a"],
            settings: ["failsafe_mode": true], occasion: .failover, because: ["candidate-not-in-failsafe"]),
        Case(
            description: "nothing is sent to it", local: Scene.primary(sendsTo: ["n3"]), occasion: .switchover,
            because: ["candidate-receives-nothing"]),
        Case(description: "in pause nobody races", settings: ["pause": true], occasion: .race, because: ["paused"]),
        Case(
            description: "in pause a switchover is possible", settings: ["pause": true], occasion: .switchover,
            because: []),
    ]

    @Test(arguments: cases) func saysAllThatStandsAgainstIt(_ row: Case) throws {
        let members = [Scene.member("n1"), row.member, Scene.member("n3")]
        let view = Scene.view(
            leader: row.leader, members: members, sync: row.sync, history: row.history, failsafe: row.failsafe)
        let seen = Scene.seen(
            view, row.local, peers: row.answers, settings: row.settings, storeFailure: row.storeFailure)
        let found = try #require(prospects(seen, view).first { $0.name == "n2" })
        #expect(found.objections(row.occasion).map(\.code) == row.because, "\(row): \(found)")
        #expect(found.leads == (row.leader == "n2"))
    }

    private static func promised(_ left: Duration) -> FailsafeFacts {
        var facts = FailsafeFacts()
        facts.promise = FailsafePromise(
            FailsafePing(name: "n3", connectionURL: "postgres://a", apiURL: "http://a"), until: Scene.now + left)
        return facts
    }

    private static func begun(_ age: Duration) -> FailsafeFacts {
        var facts = FailsafeFacts()
        facts.began = Scene.now - age
        return facts
    }

    private static func remembers(_ change: (inout Memory) -> Void) -> Memory {
        var memory = Memory()
        change(&memory)
        return memory
    }

    /// `n1` of itself: by each occasion the codes that it would give.
    static let ownRows: [(memory: Memory, failsafe: FailsafeFacts, settings: JSONObject, codes: [[String]])] = [
        (Memory(), FailsafeFacts(), [:], [[], [], []]),
        (
            Memory(), promised(.seconds(1)), [:],
            [["failsafe-bound"], ["failsafe-bound"], ["failsafe-bound"]]
        ),
        (Memory(), promised(.zero), [:], [[], [], []]),
        (
            Memory(), begun(.seconds(1)), ["failsafe_mode": true],
            [["failsafe-may-be-bound"], ["failsafe-may-be-bound"], ["failsafe-may-be-bound"]]
        ),
        (
            remembers { $0.refusedPromotion = .init(why: "no", at: Scene.now - .seconds(29)) }, FailsafeFacts(), [:],
            [[], [], ["promotion-refused"]]
        ),
        (
            remembers { $0.refusedPromotion = .init(why: "no", at: Scene.now - .seconds(29)) }, FailsafeFacts(),
            ["pause": true], [["promotion-refused"], ["promotion-refused"], ["promotion-refused"]]
        ),
        (
            remembers { $0.heldBackUntil = Scene.now + .seconds(1) }, FailsafeFacts(), [:],
            [[], [], ["held-back"]]
        ),
    ]

    @Test(arguments: ownRows.indices) func whatItRemembersStandsAgainstThisNodeAlone(_ index: Int) throws {
        let row = Self.ownRows[index]
        let seen = Scene.seen(
            Scene.view(leader: "n3", failsafe: ["n1": "a", "n2": "a", "n3": "a"]), Scene.standby(),
            peers: ["n2": Scene.peer(1000)], settings: row.settings)
        let found = prospects(seen, try #require(seen.view), KeptBack(row.memory, row.failsafe))
        let mine = try #require(found.first { $0.name == "n1" })
        for (occasion, codes) in zip(Prospect.Occasion.allCases, row.codes) {
            let told = mine.objections(occasion).filter { $0.code == "candidate-stands-back" }
            #expect(told.map { $0.explanation.facts["code"]?.string } == codes, "\(occasion): \(mine)")
        }
        let other = try #require(found.first { $0.name == "n2" })
        #expect(Prospect.Occasion.allCases.allSatisfy { other.objections($0).allSatisfy { $0 == .paused } })
    }

    /// Its daemon has gone, and its key with it: it is told of, as what it is.
    @Test func whoHasLedIsToldOfWhileNobodyLeads() throws {
        var memory = Memory()
        memory.membersUnderLastLeader = [Scene.member("n1"), Scene.member("n2", role: "primary")]
        let view = Scene.view(members: [Scene.member("n1")])
        let seen = Scene.seen(view, Scene.standby(), peers: ["n2": Scene.unreachable], settings: ["pause": true])
        let found = prospects(seen, view, KeptBack(memory, FailsafeFacts()))
        #expect(found.map(\.name) == ["n1", "n2"])
        #expect(found.last?.objections(.failover).map(\.code).contains("candidate-unreachable") == true)
        let led = Scene.view(leader: "n1", members: [Scene.member("n1")])
        #expect(prospects(seen, led, KeptBack(memory, FailsafeFacts())).map(\.name) == ["n1"])
    }

    @Test func aLeaderThatSaysNothingIsToldOf() throws {
        let view = Scene.view(leader: "n2")
        func codes(_ answer: PeerAnswer) throws -> [String] {
            let seen = Scene.seen(view, Scene.standby(), peers: ["n2": answer])
            return try #require(prospects(seen, view).first { $0.name == "n2" }).objections(.race).map(\.code)
        }
        #expect(try codes(Scene.unreachable) == ["candidate-leads", "candidate-unreachable"])
        #expect(try codes(Scene.peer(0, primary: true)) == ["candidate-leads"])
    }

    /// As it told it, and as an operator's word passes over it or not.
    @Test func whatAnotherRemembersIsTold() throws {
        let promise = PeerStatus.Objection(code: "failsafe-bound", facts: [:], sentence: "bound", alsoIfNamed: true)
        let held = PeerStatus.Objection(code: "held-back", facts: [:], sentence: "held", alsoIfNamed: false)
        guard case .status(var peer) = Scene.peer(1000) else { return }
        peer.standsBack = [promise, held]
        let seen = Scene.seen(Scene.view(leader: "n3"), Scene.standby(), peers: ["n2": .status(peer)])
        let view = try #require(seen.view)
        let other = try #require(prospects(seen, view).first { $0.name == "n2" })
        func codes(_ occasion: Prospect.Occasion) -> [String?] {
            other.objections(occasion).filter { $0.code == "candidate-stands-back" }
                .map { $0.explanation.facts["code"]?.string }
        }
        #expect(codes(.race) == ["failsafe-bound", "held-back"])
        #expect(codes(.failover) == ["failsafe-bound"] && codes(.switchover) == ["failsafe-bound"])
        // It reads what a node of ours writes; more than a few are not heard.
        let answer: JSONObject = [
            "role": "replica", "xlog": ["received_location": 1000, "replayed_location": 1000], "timeline": 1,
            "stands_back": .array([promise.json, 7, ["code": "x"], held.json] + (0..<9).map { _ in held.json }),
        ]
        guard case .status(let read) = PeerAnswer(json: .object(answer)) else { throw PeerSaysNothing() }
        #expect(read.standsBack.prefix(2) == [promise, held] && read.standsBack.count == 6)
    }

    private struct PeerSaysNothing: Error {}

    /// Nobody leads, and whoever led may come back.
    @Test func aRaceThatIsPutOffIsToldOf() throws {
        var memory = Memory()
        memory.leaderlessSince = Scene.now - .seconds(1)
        let seen = Scene.seen(
            Scene.view(), Scene.standby(), peers: ["n2": Scene.peer(1000), "n3": Scene.peer(1000)],
            settings: ["primary_race_backoff": 60])
        let found = prospects(seen, try #require(seen.view), KeptBack(memory, FailsafeFacts()))
        let mine = try #require(found.first { $0.name == "n1" })
        #expect(mine.objections(.race).map { $0.explanation.facts["code"]?.string } == ["leader-may-return"])
        #expect(mine.objections(.failover) == [])
    }

    /// What the leader of a hand-over judges is the first of what is told.
    @Test(arguments: cases.filter { $0.occasion == .switchover && $0.leader == "n1" })
    func theLeaderJudgesTheSame(_ row: Case) throws {
        let members = [Scene.member("n1"), row.member, Scene.member("n3")]
        let view = Scene.view(leader: "n1", members: members, history: row.history)
        let seen = Scene.seen(view, row.local, peers: row.answers, settings: row.settings)
        let verdict = judge(row.member, row.answers["n2"], seen, view).verdict
        let told = row.because.contains { $0 == Reason.candidate(.verdict(.init(name: "n2", verdict: verdict))).code }
        let byTheKey = row.member.tags.nofailover
        #expect(told || byTheKey || verdict == .good, "\(row): \(verdict)")
    }

    static let verdicts: [(CandidateVerdict.Verdict, because: [String])] = [
        (.good, because: ["candidate-good"]), (.busy("restart"), because: ["candidate-busy"]),
        (.missing(position: WALPosition(1), required: WALPosition(2)), because: ["candidate-missing"]),
    ]

    @Test(arguments: verdicts) func verdictsAreReasons(_ verdict: CandidateVerdict.Verdict, _ because: [String]) {
        let reason = Reason.candidate(.verdict(CandidateVerdict(name: "n2", verdict: verdict)))
        #expect([reason.code] == because)
        #expect(reason.explanation.facts["member"] == "n2")
        #expect("\(reason)".hasPrefix("n2 "))
    }
}
