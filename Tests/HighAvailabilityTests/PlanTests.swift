import ClusterModel
import HighAvailability
import Testing

/// The plans that give leadership away, or take the server under another guardian.
@Suite struct PlanTests {
    static let me = NodeIdentity(name: "n1")
    static let synchronous = DynamicConfiguration(document: ["synchronous_mode": true]) ?? DynamicConfiguration()

    @Test func aLeaderThatEndsHandsOver() {
        let view = Scene.view(leader: "n1")
        let plan = shutdownPlan(Self.me, view, DynamicConfiguration(), isLeading: true)
        #expect(
            plan
                == Plan(
                    .shutdown,
                    [
                        .postgreSQL(.stop(.fast, timeout: .seconds(30), heirs: ["n2", "n3"])),
                        .confirmReceipt(by: [view.members[1], view.members[2]]), .releaseLeader,
                    ]))
    }

    @Test func whoDoesNotLeadJustStops() {
        let stop = Step.postgreSQL(.stop(.fast, timeout: .seconds(60), heirs: nil))
        for view in [nil, Scene.view(leader: "n2")] {
            let plan = shutdownPlan(Self.me, view, DynamicConfiguration(), isLeading: false)
            #expect(plan == Plan(.shutdown, [stop]))
        }
    }

    /// Nobody else could lead: it may take what a service manager gives it.
    @Test func aLeaderThatIsAloneHasMoreTime() {
        let view = Scene.view(leader: "n1", members: [Scene.member("n1", role: "primary")])
        let plan = shutdownPlan(Self.me, view, DynamicConfiguration(), isLeading: true)
        #expect(plan.steps.first == .postgreSQL(.stop(.fast, timeout: .seconds(60), heirs: [])))
    }

    /// A member outside `/sync` that happens to have everything may not lead: the key is not given away for it (S6).
    @Test func inSynchronousModeTheDaemonsEndWaitsForAVoter() {
        let sync = SyncState(leader: "n1", voters: ["n3"])
        let view = Scene.view(leader: "n1", sync: sync)
        let plan = shutdownPlan(Self.me, view, Self.synchronous, isLeading: true)
        #expect(plan.steps.contains(.confirmReceipt(by: [view.members[2]])))
        let alone = Scene.view(leader: "n1", sync: SyncState(leader: "n1", voters: []))
        let none = shutdownPlan(Self.me, alone, Self.synchronous, isLeading: true)
        #expect(none.steps.contains(.confirmReceipt(by: [])))
    }

    @Test func receiptsAreAllOfTheWAL() {
        let members = ["n2", "n3"].map { Scene.member($0) }
        let answers = ["n2": Scene.peer(999), "n3": Scene.peer(1000, timeline: 1)]
        let verdicts = { (timeline: TimelineID) in
            receipts(members, answers, end: WALPosition(1000), timeline: timeline).map(\.verdict)
        }
        #expect(verdicts(1) == [.missing(position: WALPosition(999), required: WALPosition(1000)), .good])
        #expect(
            verdicts(2) == [
                .missing(position: WALPosition(999), required: WALPosition(1000)), .timelineBehind(1, cluster: 2),
            ])
    }

    @Test func whatMayBePublishedIsNotMovedAside() {
        let stop = Step.postgreSQL(.stop(.immediate, timeout: .seconds(10)))
        #expect(cancelledBootstrapPlan(mayBePublished: true).steps == [stop])
        #expect(cancelledBootstrapPlan(mayBePublished: false).steps == [.postgreSQL(.setAsideDataDirectory)])
    }

    struct Frozen: Sendable, CustomStringConvertible {
        let description: String
        var local = Scene.primary()
        var pause = false
        var lease: Lease? = Scene.lease()
        var acknowledged: Lease? = Scene.lease(heldFor: .seconds(29))
        var failures = 2
        let isReplaced: Bool
    }

    static let frozen: [Frozen] = [
        Frozen(description: "in good time before it would stop PostgreSQL", isReplaced: true),
        Frozen(description: "one failure is none", failures: 1, isReplaced: false),
        Frozen(description: "in pause it does nothing", pause: true, isReplaced: false),
        Frozen(description: "a server that is down has none", local: Scene.stopped(), isReplaced: false),
        Frozen(description: "without a lease another one comes", lease: nil, isReplaced: false),
        Frozen(
            description: "nor with one that is over", lease: Scene.lease(heldFor: .seconds(31)), isReplaced: false),
        Frozen(description: "what it acknowledged lasts", acknowledged: Scene.lease(), isReplaced: false),
        Frozen(description: "it acknowledged nothing", acknowledged: nil, isReplaced: false),
        Frozen(description: "nor does it ever", acknowledged: nil, failures: 4, isReplaced: true),
        Frozen(
            description: "a standby that is to be promoted gets another at once", local: Scene.standby(),
            acknowledged: nil, isReplaced: true),
    ]

    @Test(arguments: frozen) func aFrozenGuardianIsReplaced(_ row: Frozen) {
        let settings = DynamicConfiguration(document: ["pause": .bool(row.pause)]) ?? DynamicConfiguration()
        let plan = guardianReplacement(
            row.local, settings, lease: row.lease, acknowledged: row.acknowledged, failures: row.failures, at: Scene.now
        )
        #expect((plan?.kind == .restart) == row.isReplaced, "\(row)")
    }

    /// What a plan lets PostgreSQL write, by its kind and what was seen of the server.
    static let opening: [(Plan.Kind, primary: Bool, standby: Bool, stopped: Bool)] = [
        (.promote, true, true, true), (.startPrimary, true, true, true), (.restart, true, false, true),
        (.handOver, true, false, false), (.shutdown, true, false, false), (.bootstrap, true, false, false),
        (.demote, true, false, false), (.rewind, true, false, false),
    ]

    @Test(arguments: opening) func mayWrite(_ kind: Plan.Kind, primary: Bool, standby: Bool, stopped: Bool) {
        let running = RunningPlan(plan: Plan(kind, []), since: Scene.now)
        #expect(mayBecomeWritable(Scene.primary(), running) == primary)
        #expect(mayBecomeWritable(Scene.standby(), running) == standby)
        #expect(mayBecomeWritable(Scene.stopped(), running) == stopped)
    }
}
