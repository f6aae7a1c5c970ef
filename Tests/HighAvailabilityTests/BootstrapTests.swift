import ClusterModel
import HighAvailability
import Testing

@Suite struct BootstrapTests {
    private static func failed(_ times: Int, before: Duration, source: String = "n2") -> Memory {
        var memory = Memory()
        memory.failedCopies = .init(source: source, times: times, last: Scene.now - before)
        return memory
    }

    /// After the second failure ten seconds, then twice as long each time, a minute at most.
    @Test(arguments: [(2, 10), (3, 20), (4, 40), (5, 60), (12, 60)])
    func copiesWaitEverLongerAMinuteAtMost(_ times: Int, _ seconds: Int) {
        let seen = Scene.seen(Scene.view(leader: "n2"), Scene.empty)
        for (ago, waits) in [(seconds - 1, true), (seconds, false)] {
            var memory = Self.failed(times, before: .seconds(ago))
            let codes = decide(seen, &memory).reasons.map(\.code)
            #expect(codes.contains("copy-failed") == waits, "\(times) failures, \(ago) s ago: \(codes)")
        }
    }

    @Test func sourcesThatTakeTurnsAreWaitedForToo() {
        var memory = Memory()
        for turn in 0..<6 {
            let source = turn % 2 == 0 ? "n2" : "n3"
            memory.learnFailure(
                of: .clone(from: Scene.upstream(source), replacing: .nothing), in: .clone, "no", isFinal: false,
                at: Scene.now)
        }
        let decision = decide(Scene.seen(Scene.view(leader: "n2"), Scene.empty), &memory)
        #expect(decision.reasons.map(\.code) == ["data-directory-empty", "copy-failed"])
    }

    /// Whom `/sync` lets lead it does for what it had: a copy that lacks some of that must not have its voice.
    @Test(
        arguments: [
            (true, "n1", "n2"), ("quorum", "n1", "n2"), (true, "n4", "n3"), (false, "n1", "n3"),
        ] as [(JSONValue, String, String)])
    func aVoterIsCopiedFromTheLeader(_ mode: JSONValue, _ voter: String, _ source: String) {
        let view = Scene.view(
            leader: "n2",
            members: [Scene.member("n1"), Scene.member("n2"), Scene.member("n3", tags: ["clonefrom": true])],
            sync: SyncState(leader: "n2", voters: [voter]))
        let seen = Scene.seen(view, Scene.empty, settings: ["synchronous_mode": mode])
        #expect(Scene.decided(seen).0.reasons.contains(.bootstrap(.cloneSource(source))), "\(mode), \(voter)")
        let plan = reinitializePlan(seen.me, Scene.standby(), view, seen.settings, fromLeader: false)
        let sources = plan?.steps.compactMap { step -> String? in
            if case .postgreSQL(.clone(let from, _, _)) = step { from.name } else { nil }
        }
        #expect(sources == [source], "\(mode), \(voter)")
    }

    /// An empty directory, and a replica method that needs no leader.
    private static func restorable(_ view: ClusterView) -> Observation {
        var seen = Scene.seen(view, Scene.empty)
        seen.local.canRestoreAlone = true
        return seen
    }

    /// A cluster that was made and not published.
    private static func halfMade(
        _ left: PostgreSQLStatus.UnfinishedWork = .bootstrap, running: Bool = false
    ) -> PostgreSQLStatus {
        var status = running ? Scene.primary() : Scene.stopped()
        status.unfinished = left
        return status
    }

    /// A store that was emptied, as a daemon sees it that knew it before, or has a mark of one that did.
    private static var forgetful: ClusterView {
        var view = Scene.view(members: [], initialize: .absent)
        view.life = 1
        return view
    }

    private static func forgotten(before: Duration) -> Memory {
        var memory = Memory()
        memory.storeForgotSince = Scene.now - before
        return memory
    }

    static let rows: [Row] = [
        Row(
            description: "an empty cluster is initialized",
            seen: Scene.seen(Scene.view(members: [], initialize: .absent), Scene.empty),
            expected: .action(.initializeCluster), because: ["data-directory-empty", "nobody-initialized"]),
        Row(
            description: "but not at once where the store is known to have been another: data may come up yet",
            seen: Scene.seen(forgetful, Scene.empty), expected: .action(.wait),
            because: ["data-directory-empty", "store-knows-no-cluster"]),
        Row(
            description: "nor within a ttl", seen: Scene.seen(forgetful, Scene.empty),
            memory: forgotten(before: .seconds(29)), expected: .action(.wait),
            because: ["data-directory-empty", "store-knows-no-cluster"]),
        Row(
            description: "then it is", seen: Scene.seen(forgetful, Scene.empty),
            memory: forgotten(before: .seconds(30)), expected: .action(.initializeCluster),
            because: ["data-directory-empty", "nobody-initialized"]),
        // Found by the simulation (profile ground, seed 1376): two nodes accepted commits, in a cluster each.
        Row(
            description: "/initialize that was deleted by hand makes no second cluster",
            seen: Scene.seen(
                Scene.view(members: [Scene.member("n1"), Scene.member("n2")], initialize: .absent), Scene.empty),
            expected: .action(.wait), because: ["data-directory-empty", "another-has-data"]),
        Row(
            description: "nor where the data stands on a node whose PostgreSQL does not run",
            seen: Scene.seen(
                Scene.view(members: [Scene.member("n1"), Scene.member("n2", state: "stopped")], initialize: .absent),
                Scene.empty),
            expected: .action(.wait), because: ["data-directory-empty", "another-has-data"]),
        Row(
            description: "who has no directory either, or is only about to fill it, has nothing to say of it",
            seen: Scene.seen(
                Scene.view(
                    members: [
                        Scene.member("n1", role: "uninitialized", state: "stopped"),
                        Scene.member("n2", role: "uninitialized", state: "stopped"),
                        Scene.member("n3", state: "creating replica"),
                    ], initialize: .absent), Scene.empty),
            expected: .action(.initializeCluster), because: ["data-directory-empty", "nobody-initialized"]),
        Row(
            description: "absent and empty are different",
            seen: Scene.seen(Scene.view(members: [], initialize: .inProgress), Scene.empty), expected: .action(.wait),
            because: ["data-directory-empty", "waiting-for-bootstrap"]),
        Row(
            description: "a cluster that exists is not initialized again",
            seen: Scene.seen(Scene.view(members: []), Scene.empty), expected: .action(.wait),
            because: ["data-directory-empty", "waiting-for-leader"]),
        Row(
            description: "nofailover does not initialize",
            seen: Scene.seen(
                Scene.view(members: [], initialize: .absent), Scene.empty, tags: ["nofailover": true]),
            expected: .action(.wait), because: ["data-directory-empty", "may-not-bootstrap"]),
        Row(
            description: "without a bootstrap section nobody initializes",
            seen: Scene.seen(Scene.view(members: [], initialize: .absent), Scene.empty, canBootstrap: false),
            expected: .action(.wait), because: ["data-directory-empty", "may-not-bootstrap"]),
        Row(
            description: "a new member copies the leader",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.empty),
            expected: .action(
                .carryOut(
                    Plan(
                        .clone,
                        [
                            .postgreSQL(.clone(from: Scene.upstream("n2"), replacing: .nothing)),
                            .postgreSQL(.startStandby(of: Scene.upstream("n2"), timeout: .seconds(300))),
                        ]))), because: ["data-directory-empty", "clone-source"]),
        Row(
            description: "from a member that offers itself",
            seen: Scene.seen(
                Scene.view(
                    leader: "n2",
                    members: [Scene.member("n2", role: "primary"), Scene.member("n3", tags: ["clonefrom": true])]),
                Scene.empty),
            expected: .action(
                .carryOut(
                    Plan(
                        .clone,
                        [
                            .postgreSQL(.clone(from: Scene.upstream("n3"), replacing: .nothing)),
                            .postgreSQL(.startStandby(of: Scene.upstream("n2"), timeout: .seconds(300))),
                        ]))), because: ["data-directory-empty", "clone-source"]),
        Row(
            description: "who is not to stream does not, from its copy on",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.empty, tags: ["nostream": true]),
            expected: .action(
                .carryOut(
                    Plan(
                        .clone,
                        [
                            .postgreSQL(.clone(from: Scene.upstream("n2"), replacing: .nothing)),
                            .postgreSQL(.startStandby(of: nil, timeout: .seconds(300))),
                        ]))), because: ["data-directory-empty", "clone-source"]),
        Row(
            description: "a leader whose data is gone gives the key up",
            seen: Scene.seen(Scene.view(leader: "n1"), Scene.empty), expected: LeaderKeyTests.ended,
            because: ["data-directory-empty", "sessions-may-go-on"]),
        Row(
            description: "in pause nothing is made",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.empty, settings: ["pause": true]),
            expected: .action(.wait), because: ["data-directory-empty", "paused"]),
        Row(
            description: "after a copy that failed again and again the next one waits longer",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.empty), memory: failed(4, before: .seconds(39)),
            expected: .action(.wait), because: ["data-directory-empty", "copy-failed"]),
        Row(
            description: "but not for ever",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.empty), memory: failed(90, before: .seconds(60)),
            expected: .plan(.clone), because: ["data-directory-empty", "clone-source"]),
        Row(
            description: "after one failure it is tried at once",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.empty), memory: failed(1, before: .zero),
            expected: .plan(.clone), because: ["data-directory-empty", "clone-source"]),
        Row(
            description: "and from another source, too",
            seen: Scene.seen(Scene.view(leader: "n3"), Scene.empty), memory: failed(4, before: .zero),
            expected: .plan(.clone), because: ["data-directory-empty", "clone-source"]),
        Row(
            description: "while nobody leads a backup makes the directory, where one is configured",
            seen: restorable(Scene.view(members: [])),
            expected: .action(
                .carryOut(
                    Plan(
                        .clone,
                        [
                            .postgreSQL(.restore), .postgreSQL(.startStandby(of: nil, timeout: .seconds(300))),
                        ]))), because: ["data-directory-empty", "restored-alone"]),
        Row(
            description: "not while another node makes the cluster",
            seen: restorable(Scene.view(members: [], initialize: .inProgress)), expected: .action(.wait),
            because: ["data-directory-empty", "waiting-for-bootstrap"]),
        Row(
            description: "nor where a new cluster can be made",
            seen: restorable(Scene.view(members: [], initialize: .absent)), expected: .action(.initializeCluster),
            because: ["data-directory-empty", "nobody-initialized"]),
        Row(
            description: "a backup that could not be restored again and again is waited for",
            seen: restorable(Scene.view(members: [])), memory: failed(4, before: .seconds(39), source: ""),
            expected: .action(.wait), because: ["data-directory-empty", "copy-failed"]),
        Row(
            description: "what a bootstrap has left by halves is moved aside where nobody knows of it",
            seen: Scene.seen(Scene.view(members: [], initialize: .absent), halfMade()),
            expected: .action(.carryOut(Plan(.bootstrap, [.postgreSQL(.setAsideDataDirectory)]))),
            because: ["bootstrap-broken-off"]),
        Row(
            description: "also while another node makes the cluster, and after it was stopped where it runs",
            seen: Scene.seen(Scene.view(members: [], initialize: .inProgress), halfMade(running: true)),
            expected: .action(
                .carryOut(
                    Plan(
                        .bootstrap,
                        [
                            .postgreSQL(.stop(.immediate, timeout: .seconds(10))),
                            .postgreSQL(.setAsideDataDirectory),
                        ]))), because: ["bootstrap-broken-off"]),
        Row(
            description: "where its identifier is the cluster's it was complete",
            seen: Scene.seen(Scene.view(members: []), halfMade(running: true)),
            expected: .action(.carryOut(Plan(.bootstrap, [.postgreSQL(.finishBootstrap)]))),
            because: ["bootstrap-broken-off"]),
        Row(
            description: "not so what was restored by halves: another node has published the identifier of the backup",
            seen: Scene.seen(Scene.view(leader: "n2"), halfMade(.restore, running: true)),
            expected: .action(
                .carryOut(
                    Plan(
                        .bootstrap,
                        [
                            .postgreSQL(.stop(.immediate, timeout: .seconds(10))),
                            .postgreSQL(.setAsideDataDirectory),
                        ]))), because: ["bootstrap-broken-off"]),
        Row(
            description: "in pause it is left alone, too",
            seen: Scene.seen(Scene.view(members: []), halfMade(.restore), settings: ["pause": true]),
            expected: .action(.wait), because: ["bootstrap-broken-off", "paused"]),
        Row(
            description: "in pause it is left alone",
            seen: Scene.seen(
                Scene.view(members: [], initialize: .absent), halfMade(), settings: ["pause": true]),
            expected: .action(.wait), because: ["bootstrap-broken-off", "paused"]),
        Row(
            description: "a directory that cannot be read is waited for",
            seen: Scene.seen(Scene.view(leader: "n2"), inaccessible), expected: .action(.wait),
            because: ["data-directory-inaccessible"]),
        Row(
            description: "but not by a leader",
            seen: Scene.seen(Scene.view(leader: "n1"), inaccessible), expected: LeaderKeyTests.ended,
            because: ["data-directory-inaccessible", "sessions-may-go-on"]),
        Row(
            description: "a data directory defines a cluster that nobody initialized",
            seen: Scene.seen(Scene.view(members: [], initialize: .absent), Scene.stopped(.shutDown)),
            expected: .action(.write(.systemIdentifier(Scene.identifier))), because: ["nobody-initialized"]),
    ]

    /// A primary that runs writes the key again by itself; anything else is somebody's to decide.
    @Test(arguments: [("primary", "running", false), ("replica", "running", true), ("primary", "crashed", true)])
    func whoMustActWhereAnotherHasData(_ role: String, _ state: String, _ needsOperator: Bool) {
        let view = Scene.view(members: [Scene.member("n2", role: role, state: state)], initialize: .absent)
        let (decision, _) = Scene.decided(Scene.seen(view, Scene.empty))
        #expect((decision.needsOperator?.contains("n2 has data") ?? false) == needsOperator, "\(decision)")
    }

    @Test func aReplicaWithoutAClusterSaysWhatToDo() {
        let (decision, _) = Scene.decided(Scene.seen(Scene.view(members: [], initialize: .absent), Scene.standby()))
        #expect(decision.reasons.map(\.code) == ["replica-without-cluster"])
        #expect(decision.needsOperator?.contains("Start the daemon on the node") == true)
    }

    /// `/initialize` alone was removed, while nobody led: who has read whose cluster it is writes it again. A store
    /// that knows nothing any more may be another one.
    @Test func aLostSystemIdentifierIsWrittenAgainByWhoHasReadIt() {
        var (_, memory) = Scene.decided(Scene.seen(Scene.view(), Scene.standby()))
        var lost = Scene.view(initialize: .absent)
        lost.status.optime = WALPosition(1000)
        let written = Row.Expectation.action(.write(.systemIdentifier(Scene.identifier)))
        Row(
            description: "by a standby that saw no leader", seen: Scene.seen(lost, Scene.standby()), memory: memory,
            expected: written, because: ["nobody-initialized"]
        ).check()
        Row(
            description: "not in a store that has lost everything",
            seen: Scene.seen(UnknownClusterTests.nothing, Scene.standby()), memory: memory,
            expected: .action(.wait), because: ["replica-without-cluster"]
        ).check()
        memory.systemIdentifierInStore = "7499999999999999999"
        Row(
            description: "nor by a directory that has been replaced", seen: Scene.seen(lost, Scene.standby()),
            memory: memory, expected: .action(.wait), because: ["replica-without-cluster"]
        ).check()
    }

    @Test(arguments: rows) func decides(_ row: Row) {
        row.check()
    }

    static let inaccessible = PostgreSQLStatus(
        dataDirectory: .inaccessible("Permission denied"), state: .stopped, observedAt: Scene.now)
}
