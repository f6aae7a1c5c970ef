import ClusterModel
import HighAvailability
import Testing

/// The rules of a cluster that follows a primary elsewhere (ha-loop.md §19): nobody is promoted while it does.
@Suite struct StandbyClusterTests {
    static let settings: JSONObject = ["standby_cluster": ["host": "far", "port": 5499, "primary_slot_name": "Site-B"]]
    static let paused: JSONObject = ["standby_cluster": ["host": "far"], "pause": true]

    static func far(leads: Bool) -> Upstream {
        Upstream(
            name: "far:5499", address: HostPort(host: "far", port: 5499),
            remote: .init(slotName: "site_b", leads: leads))
    }

    static let leading = Scene.view(leader: "n1", members: ["n1", "n2", "n3"].map { Scene.member($0) })
    static let following = Scene.view(
        leader: "n2", members: ["n1", "n2"].map { Scene.member($0, role: $0 == "n2" ? "standby_leader" : "replica") })
    static let unlocked = Scene.view(members: ["n1", "n2", "n3"].map { Scene.member($0) })

    static func told(_ upstream: Upstream?, rewind: Memory.Rewind = .unsuspected) -> Memory {
        var memory = Memory()
        memory.following = .upstream(upstream)
        memory.rewind = rewind
        return memory
    }

    @Test(
        "What was found by who was followed before is compared again, and by nobody else",
        arguments: [
            (nil, "far", true), ("far", nil, true), ("far", "farther", true), (nil, nil, false), ("far", "far", false),
        ] as [(String?, String?, Bool)])
    func anotherJudge(_ before: String?, _ now: String?, _ isComparedAgain: Bool) {
        var kept = Memory()
        kept.judge = before.flatMap { StandbyCluster(["host": .string($0)]) }
        kept.kept = .rewindImpossible
        kept.rewind = .failed("the source lacks WAL")
        kept.rejoining.note("a full disk", at: Scene.now, first: .seconds(60), longest: .seconds(60))
        let settings: JSONObject = now.map { ["standby_cluster": ["host": .string($0)]] } ?? [:]
        let (_, after) = Scene.decided(Scene.seen(Scene.view(leader: "n2"), Scene.stopped(), settings: settings), kept)
        #expect(after.judge == now.flatMap { StandbyCluster(["host": .string($0)]) })
        // Nothing is taken for good (S7): it is suspected, or the cycle has begun to compare already.
        #expect((after.kept == nil) == isComparedAgain)
        #expect(after.rewind == (isComparedAgain ? .suspected : kept.rewind))
        #expect((after.rejoining == Memory.Retries()) == isComparedAgain)
    }

    @Test("Who leads a standby cluster keeps its word when the section goes; who starts as any standby does not")
    func leadsAfterAStart() {
        for (upstream, isKept) in [(Self.far(leads: true), true), (Self.far(leads: false), false), (nil, false)] {
            var memory = Memory()
            memory.hasWonKey = true
            memory.learnSuccess(of: .startStandby(of: upstream, timeout: .seconds(1)), in: .rewind)
            #expect(memory.hasWonKey == isKept)
        }
    }

    static func follows(_ upstream: Upstream) -> Row.Expectation {
        .action(.carryOut(Plan(.follow, [.postgreSQL(.follow(upstream))])))
    }

    static func starts(_ upstream: Upstream) -> Row.Expectation {
        .action(
            .carryOut(Plan(.startStandby, [.postgreSQL(.startStandby(of: upstream, timeout: .seconds(300)))])))
    }

    static func archives(_ upstream: Upstream) -> Row.Expectation {
        .action(
            .carryOut(
                Plan(
                    .startStandby,
                    [
                        .postgreSQL(.archiveLastSegment),
                        .postgreSQL(.startStandby(of: upstream, timeout: .seconds(300))),
                    ])))
    }

    /// The last segment is in the archive.
    static var archived: Memory {
        var memory = told(nil, rewind: .suspected)
        memory.learnSuccess(of: .archiveLastSegment, in: .demoteCluster)
        return memory
    }

    /// The primary elsewhere is on timeline 2, which left ours at 900.
    static let diverged = DivergenceFacts(
        localTimeline: 1, localPosition: WALPosition(1000), localInRecovery: false, sourceTimeline: 2,
        sourceInRecovery: false, sourceHistory: [.init(timeline: 1, position: WALPosition(900))])

    static func facts(inRecovery: Bool) -> Observation.Divergence {
        var facts = diverged
        facts.sourceInRecovery = inRecovery
        return .facts(facts)
    }

    /// `/sync` is of the time before, and `seen.repairsWait` where the store refuses to have it cleared.
    private static func named(repairsWait: Bool = false) -> Observation {
        let members = ["n1", "n2"].map { Scene.member($0) }
        let sync = SyncState(leader: "n1", voters: ["n2"], revision: 9)
        var seen = Scene.seen(
            Scene.view(leader: "n1", members: members, sync: sync), Scene.standby(), lease: Scene.lease(),
            renewal: .held, settings: settings)
        seen.repairsWait = repairsWait
        return seen
    }

    static let ofLeader: [Row] = [
        Row(
            description: "the standby leader is pointed to the primary elsewhere",
            seen: Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(), renewal: .held, settings: settings),
            expected: follows(far(leads: true)), because: ["must-follow"]),
        Row(
            description: "and stays with it, whatever the members have",
            seen: Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(), renewal: .held,
                peers: ["n2": Scene.peer(5000), "n3": Scene.peer(5000)], settings: settings),
            memory: told(far(leads: true)), expected: .action(.wait), because: ["holding-lease", "following"]),
        Row(
            description: "in pause too",
            seen: Scene.seen(leading, Scene.standby(), lease: Scene.lease(), renewal: .held, settings: paused),
            memory: told(
                Upstream(
                    name: "far:5432", address: HostPort(host: "far", port: 5432),
                    remote: .init(slotName: nil, leads: true))),
            expected: .action(.wait), because: ["holding-lease", "following"]),
        Row(
            description: "who commits wait for is nobody's business any more",
            seen: named(), expected: .action(.write(.sync(nil))),
            because: ["holding-lease", "must-follow-elsewhere"]),
        Row(
            description: "a store that refuses to clear that keeps nobody from following",
            seen: named(repairsWait: true), expected: follows(far(leads: true)), because: ["must-follow"]),
        Row(
            description: "a primary whose cluster is to follow another one stops",
            seen: Scene.seen(leading, Scene.primary(), lease: Scene.lease(), renewal: .held, settings: settings),
            expected: .plan(.demoteCluster), because: ["holding-lease", "must-follow-elsewhere"]),
        Row(
            description: "but not in pause",
            seen: Scene.seen(leading, Scene.primary(), lease: Scene.lease(), renewal: .held, settings: paused),
            expected: .action(.wait), because: ["holding-lease", "must-follow-elsewhere", "paused"]),
        Row(
            description: "what it left is compared with the primary elsewhere",
            seen: Scene.seen(
                leading, Scene.stopped(.shutDown), lease: Scene.lease(), renewal: .held, settings: settings),
            memory: told(nil, rewind: .suspected), expected: .action(.ask(.divergence(from: far(leads: true)))),
            because: ["must-follow"]),
        Row(
            description: "and follows it where that one is a standby still",
            seen: Scene.seen(
                leading, Scene.stopped(.shutDown), lease: Scene.lease(), renewal: .held,
                divergence: facts(inRecovery: true), settings: settings),
            memory: archived, expected: starts(far(leads: true)), because: ["not-running", "must-follow"]),
        Row(
            description: "its last segment goes to the archive first, where a daemon was killed that was to do it",
            seen: Scene.seen(
                leading, Scene.stopped(.shutDown), lease: Scene.lease(), renewal: .held,
                divergence: facts(inRecovery: true), settings: settings),
            memory: told(nil, rewind: .suspected), expected: archives(far(leads: true)),
            because: ["not-running", "must-follow"]),
        Row(
            description: "but not what the cluster went on from on another timeline",
            seen: Scene.seen(
                Scene.view(
                    leader: "n1", members: ["n1", "n2"].map { Scene.member($0) },
                    history: TimelineHistory(lines: [.init(timeline: 1, position: WALPosition(10), reason: "x")])),
                Scene.stopped(.shutDown), lease: Scene.lease(), renewal: .held,
                divergence: facts(inRecovery: true), settings: settings),
            memory: told(nil, rewind: .suspected), expected: starts(far(leads: true)),
            because: ["not-running", "must-follow"]),
        Row(
            description: "or is rewound where it has more, and keeps the key meanwhile",
            seen: Scene.seen(
                leading, Scene.stopped(.shutDown), lease: Scene.lease(), renewal: .held,
                divergence: facts(inRecovery: false), settings: settings),
            memory: told(nil, rewind: .suspected), expected: .plan(.rewind), because: ["diverged"]),
        Row(
            description: "a primary that crashed meanwhile does not come up as one",
            seen: Scene.seen(
                leading, Scene.stopped(.inProduction), lease: Scene.lease(), renewal: .held, settings: settings),
            expected: .plan(.recoverSingleUser), because: ["not-running", "unclean-shutdown"]),
        Row(
            description: "a leader that is away from the store gives nothing up: nothing of it accepts writes",
            seen: Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(heldFor: .seconds(40)), settings: settings,
                storeFailure: "no answer"),
            expected: .action(.wait), because: ["store-unreachable"]),
    ]

    static let ofOthers: [Row] = [
        Row(
            description: "a replica follows the standby leader",
            seen: Scene.seen(following, Scene.standby(), settings: settings), expected: follows(Scene.upstream("n2")),
            because: ["must-follow"]),
        Row(
            description: "one that may have parted is compared with the primary elsewhere: the leader writes nothing",
            seen: Scene.seen(following, Scene.standby(streaming: false), settings: settings),
            memory: told(Scene.upstream("n2"), rewind: .suspected),
            expected: .action(.ask(.divergence(from: far(leads: false)))), because: ["must-follow"]),
        Row(
            description: "a primary without the key stops at once",
            seen: Scene.seen(following, Scene.primary(), settings: settings), expected: .plan(.demote),
            because: ["leader-key-held-by", "primary-without-lease"]),
        Row(
            description: "while nobody leads a stopped node comes up for the primary elsewhere",
            seen: Scene.seen(
                unlocked, Scene.stopped(.shutDownInRecovery, standbySignal: true), settings: settings),
            expected: starts(far(leads: false)), because: ["not-running", "must-follow"]),
        Row(
            description: "the race asks the others",
            seen: Scene.seen(unlocked, Scene.standby(), settings: settings), expected: .asks(["n2", "n3"]),
            because: ["leader-key-free"]),
        Row(
            description: "timelines do not matter in it, nor does a history of an earlier life",
            seen: Scene.seen(
                Scene.view(
                    members: ["n1", "n2"].map { Scene.member($0) },
                    history: TimelineHistory(lines: [
                        .init(timeline: 1, position: WALPosition(10), reason: "x"),
                        .init(timeline: 6, position: WALPosition(20), reason: "x"),
                    ])),
                Scene.standby(), peers: ["n2": Scene.peer(1000)],
                settings: ["standby_cluster": ["host": "far"], "check_timeline": true]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "who is behind does not win it",
            seen: Scene.seen(
                unlocked, Scene.standby(), peers: ["n2": Scene.peer(1001), "n3": Scene.peer(10)], settings: settings),
            expected: .action(.wait), because: ["peer-is-ahead"]),
        Row(
            description: "the candidate of a switchover takes the key, whoever is ahead: nothing is lost by it",
            seen: Scene.seen(
                Scene.view(
                    members: ["n1", "n2", "n3"].map { Scene.member($0) },
                    failover: FailoverRequest(leader: "n2", candidate: "n1", revision: 7)),
                Scene.standby(), peers: ["n3": Scene.peer(2000)], settings: settings),
            expected: .action(.acquireLeader), because: ["requested-candidate"]),
        Row(
            description: "a new standby cluster is begun by who wins the right to",
            seen: Scene.seen(
                Scene.view(members: [], initialize: .absent), Scene.empty, settings: settings),
            expected: .action(.initializeCluster), because: ["data-directory-empty", "nobody-initialized"]),
        Row(
            description: "a standby may say whose cluster it is: there are none but standbys",
            seen: Scene.seen(Scene.view(initialize: .absent), Scene.standby(), settings: settings),
            expected: .action(.write(.systemIdentifier(Scene.identifier))), because: ["nobody-initialized"]),
    ]

    @Test(arguments: ofLeader) func theLeader(_ row: Row) { row.check() }

    @Test(arguments: ofOthers) func theOthers(_ row: Row) { row.check() }

    /// Whatever else is seen: no plan of these promotes, or starts what accepts writes.
    @Test func nobodyIsPromoted() {
        for row in Self.ofLeader + Self.ofOthers {
            guard case .carryOut(let plan) = Scene.decided(row.seen, row.memory).0.action else { continue }
            for step in plan.steps {
                switch step {
                case .postgreSQL(.promote), .postgreSQL(.startPrimary), .postgreSQL(.bootstrap):
                    Issue.record("\(row): \(plan)")
                case .postgreSQL, .confirmReceipt, .releaseLeader, .publishBootstrap, .leaveDuty, .start: break
                }
            }
        }
    }

    @Test func itIsPromotedWhenTheSectionIsGone() {
        var memory = Self.told(Self.far(leads: true))
        let before = Scene.seen(
            Self.leading, Scene.standby(), lease: Scene.lease(), renewal: .held, settings: Self.settings)
        _ = decide(before, &memory)
        let after = Scene.seen(Self.leading, Scene.standby(), lease: Scene.lease(), renewal: .held, peers: [:])
        guard case .carryOut(let plan) = decide(after, &memory).action else {
            Issue.record("nobody is promoted")
            return
        }
        #expect(plan.kind == .promote)
    }

    /// Timeline 1 was left at 900, before what stands here.
    static let parted = Scene.view(
        leader: "n1", members: ["n1", "n2", "n3"].map { Scene.member($0) },
        history: TimelineHistory(lines: [.init(timeline: 1, position: WALPosition(900), reason: "x")]))

    @Test(
        "Who has parted from its own cluster and leads for want of others is not promoted with what it has",
        arguments: [
            (false, told(far(leads: true), rewind: .suspected), true), (false, Memory(), true),
            // PostgreSQL itself has checked.
            (true, told(far(leads: true), rewind: .suspected), false), (true, Memory(), false),
            // It was rewound from there.
            (false, told(far(leads: true)), false),
        ])
    func leadsForWantOfOthers(_ isStreaming: Bool, _ memory: Memory, _ leavesItToThem: Bool) {
        var memory = memory
        let local = Scene.standby(streaming: isStreaming)
        let before = Scene.seen(
            Self.parted, local, lease: Scene.lease(), renewal: .held, divergence: .unavailable("refused"),
            settings: Self.settings)
        #expect(
            HighAvailability.leadsForWantOfOthers(local, Self.parted, before.settings, memory) == leavesItToThem)
        _ = decide(before, &memory)
        memory.following = .upstream(Self.far(leads: true))
        _ = decide(before, &memory)
        let after = Scene.seen(Self.parted, local, lease: Scene.lease(), renewal: .held, peers: [:])
        let decision = decide(after, &memory)
        guard case .carryOut(let plan) = decision.action else {
            Issue.record("\(decision)")
            return
        }
        #expect((plan.kind != .promote) == leavesItToThem, "\(decision)")
    }

    @Test func aNewOneIsACopy() {
        let settings = DynamicConfiguration(document: Self.settings) ?? DynamicConfiguration()
        #expect(
            bootstrapPlan(settings).steps == [
                .postgreSQL(.clone(from: Self.far(leads: true), replacing: .nothing)),
                .postgreSQL(.startStandby(of: Self.far(leads: true), timeout: .seconds(300))), .publishBootstrap,
            ])
        let archive = DynamicConfiguration(document: ["standby_cluster": ["restore_command": "false"]])
        #expect(bootstrapPlan(archive ?? settings).steps.first == .postgreSQL(.restore))
    }

    /// A restart by an operator starts no primary either.
    @Test func aRestartComesUpAsAStandby() {
        let seen = Scene.seen(
            Self.leading, Scene.stopped(.shutDown), lease: Scene.lease(), renewal: .held, settings: Self.settings)
        let verdict = startVerdict(seen, Memory(), wasWritable: true, timeout: .seconds(5))
        #expect(verdict == .carryOut(.startStandby(of: Self.far(leads: true), timeout: .seconds(5))))
    }
}
