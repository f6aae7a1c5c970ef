import ClusterModel
import HighAvailability
import Testing

/// A data directory that had a life, and a store that knows of none.
@Suite struct UnknownClusterTests {
    static var nothing: ClusterView {
        var view = Scene.view(members: [Scene.member("n1"), Scene.member("n2", state: "stopped")], config: nil)
        view.initialize = .absent
        view.initializeRevision = nil
        view.status = StatusRecord()
        return view
    }

    private static func knowing(_ change: (inout ClusterView) -> Void) -> ClusterView {
        var view = nothing
        change(&view)
        return view
    }

    private static func starting(standbySignal: Bool) -> PostgreSQLStatus {
        var status = Scene.stopped(.inProduction, timeline: 2, standbySignal: standbySignal)
        status.postmaster = 100
        status.readiness = .rejecting
        status.state = .starting
        return status
    }

    private static let defines = Row.Expectation.action(.write(.systemIdentifier(Scene.identifier)))

    static let refused: [Row] = [
        Row(
            description: "a primary's directory on a later timeline is not the cluster by itself",
            seen: Scene.seen(nothing, Scene.stopped(.shutDown, timeline: 2)), expected: .action(.wait),
            because: ["directory-outlived-store"]),
        Row(
            description: "however its server ended",
            seen: Scene.seen(nothing, Scene.stopped(.inProduction, timeline: 7)), expected: .action(.wait),
            because: ["directory-outlived-store"]),
        Row(
            description: "nor over what another node has only begun to say",
            seen: Scene.seen(knowing { $0.initialize = .inProgress }, Scene.stopped(.shutDown, timeline: 2)),
            expected: .action(.wait), because: ["directory-outlived-store"]),
        Row(
            description: "nor one that was about to become a standby",
            seen: Scene.seen(nothing, Scene.stopped(.shutDown, timeline: 2, standbySignal: true)),
            expected: .action(.wait), because: ["directory-outlived-store"]),
        Row(
            description: "a standby's comes up as one, on whatever timeline",
            seen: Scene.seen(nothing, Scene.stopped(.shutDownInRecovery, standbySignal: true)),
            expected: .plan(.startStandby), because: ["not-running", "leader-key-free"]),
        Row(
            description: "after a crash, too",
            seen: Scene.seen(nothing, Scene.stopped(.inArchiveRecovery, timeline: 3, standbySignal: true)),
            expected: .plan(.startStandby), because: ["not-running", "leader-key-free"]),
        Row(
            description: "while it starts nothing is known of it",
            seen: Scene.seen(nothing, starting(standbySignal: true)), expected: .action(.wait),
            because: ["not-running-yet"]),
        Row(
            description: "and when it is up it waits for its primary",
            seen: Scene.seen(nothing, Scene.standby(timeline: 2)), expected: .action(.wait),
            because: ["replica-without-cluster"]),
        Row(
            description: "in pause nobody begins anything",
            seen: Scene.seen(nothing, Scene.stopped(.shutDown, timeline: 2), settings: ["pause": true]),
            expected: .action(.wait), because: ["not-running", "paused"]),
    ]

    static let allowed: [Row] = [
        Row(
            description: "a primary that runs is the cluster, on whatever timeline",
            seen: Scene.seen(nothing, Scene.primary(timeline: 9)), expected: defines, because: ["nobody-initialized"]),
        Row(
            description: "one that an operator is starting will be",
            seen: Scene.seen(nothing, starting(standbySignal: false)), expected: defines,
            because: ["nobody-initialized"]),
        Row(
            description: "on the first timeline a directory is taken over as it stands",
            seen: Scene.seen(nothing, Scene.stopped(.shutDown)), expected: defines, because: ["nobody-initialized"]),
        Row(
            description: "in a standby cluster the truth is elsewhere",
            seen: Scene.seen(
                nothing, Scene.stopped(.shutDownInRecovery, timeline: 4, standbySignal: true),
                settings: ["standby_cluster": ["host": "far"]]), expected: defines, because: ["nobody-initialized"]),
        Row(
            description: "a daemon that has seen a leader knows whom to ask",
            seen: Scene.seen(nothing, Scene.stopped(.shutDown, timeline: 2)), memory: RaceTests.underLeader("n2"),
            expected: defines, because: ["nobody-initialized"]),
        Row(
            description: "a history tells which timeline is the last",
            seen: Scene.seen(
                knowing { $0.history = RaceTests.history(1) }, Scene.stopped(.shutDown, timeline: 2)),
            expected: defines, because: ["nobody-initialized"]),
        Row(
            description: "so does /status, how far it went",
            seen: Scene.seen(
                knowing { $0.status.optime = WALPosition(1000) }, Scene.stopped(.shutDown, timeline: 2)),
            expected: defines, because: ["nobody-initialized"]),
        Row(
            description: "/sync, who had everything",
            seen: Scene.seen(
                knowing { $0.sync = SyncState(leader: "n2", voters: ["n1"]) }, Scene.stopped(.shutDown, timeline: 2)),
            expected: defines, because: ["nobody-initialized"]),
        Row(
            description: "/failsafe, who was there",
            seen: Scene.seen(
                knowing { $0.failsafe = ["n2": "http://127.0.0.1:8002/patroni"] },
                Scene.stopped(.shutDown, timeline: 2)), expected: defines, because: ["nobody-initialized"]),
        Row(
            description: "where another one leads it is followed",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.stopped(.shutDownInRecovery, standbySignal: true)),
            expected: .plan(.startStandby), because: ["not-running", "must-follow"]),
    ]

    @Test(arguments: refused) func isRefused(_ row: Row) { row.check() }

    @Test(arguments: allowed) func isAllowed(_ row: Row) { row.check() }

    @Test func whatToDoIsSaid() {
        let (decision, _) = Scene.decided(Scene.seen(Self.nothing, Scene.stopped(.shutDown, timeline: 2)))
        #expect(decision.needsOperator?.contains("pg_ctl start") == true)
        #expect(decision.reasons.first?.json["facts"]?["timeline"] == 2)
    }
}
