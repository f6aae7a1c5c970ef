import ClusterModel
import HighAvailability
import Testing

/// What the leader writes to `/status`.
@Suite struct StatusTests {
    private static let me = NodeIdentity(name: "n1")
    private static let slots = ["n1", "n2", "gone"].map { SlotAndHistoryTests.slot($0) }

    private static func kept(
        _ view: ClusterView, _ local: PostgreSQLStatus, _ settings: JSONObject = [:], _ memory: Memory = Memory(),
        boundFor bound: Duration? = nil
    ) -> StatusRecord? {
        keptStatus(
            me, view, DynamicConfiguration(document: settings) ?? DynamicConfiguration(), local, memory,
            othersBoundUntil: bound.map { Scene.now + $0 }, at: Scene.now)
    }

    private static func told(_ status: StatusRecord, in view: ClusterView = Scene.view(leader: "n1")) -> ClusterView {
        var view = view
        view.status = status
        return view
    }

    private static let before = StatusRecord(
        optime: WALPosition(5000), slots: ["n2": WALPosition(4000)], retainSlots: ["n1", "n2", "gone"],
        handedOverBy: "n3", failsafeTTL: .seconds(60), revision: 9)

    @Test func aLeaderTellsWhereItIs() throws {
        let local = SlotAndHistoryTests.with(Self.slots, Scene.primary())
        let status = try #require(Self.kept(Self.told(Self.before), local))
        #expect(status.optime == WALPosition(1000) && status.handedOverBy == nil && status.failsafeTTL == nil)
        #expect(Set(status.slots.keys) == ["n1", "n2", "gone"] && status.retainSlots == ["n1", "n2"])
        #expect(Self.kept(Self.told(Self.before), Scene.stopped()) == nil)
    }

    /// S8: what it has is not the cluster's, and who goes by its word keeps no slot for longer than that of any other.
    @Test func whoHasPartedTellsWhoseSlotsAreKeptAndNothingElse() throws {
        let view = Self.told(Self.before, in: StandbyClusterTests.parted)
        let local = SlotAndHistoryTests.with(Self.slots, Scene.standby(streaming: false))
        let status = try #require(Self.kept(view, local, StandbyClusterTests.settings))
        #expect(status.optime == Self.before.optime && status.slots == Self.before.slots)
        #expect(status.retainSlots == ["n1", "n2"] && status.failsafeTTL == .seconds(60))
        // By the revision of this write it would count as of this tenure.
        #expect(status.handedOverBy == nil)
        // It is none any more once the primary elsewhere sends.
        let streams = SlotAndHistoryTests.with(Self.slots, Scene.standby())
        #expect(Self.kept(view, streams, StandbyClusterTests.settings)?.optime == WALPosition(1000))
    }

    private static let on: JSONObject = ["failsafe_mode": true, "ttl": 30]

    /// What it says holds as long as what was promised by it.
    @Test(
        arguments: [
            (on, nil, nil, 30), ([:], nil, nil, nil), (on, 60, nil, 30), (on, 60, 5, 60), (on, 20, 5, 30),
            (["ttl": 30], 60, 5, 60), (["ttl": 30], 60, 0, nil), (["ttl": 30], 60, nil, nil),
            (["failsafe_mode": true, "ttl": 9000], nil, nil, 3600),
        ] as [(JSONObject, Int?, Int?, Int?)])
    func theTTLOfAPromiseIsTold(_ settings: JSONObject, before: Int?, boundFor: Int?, told: Int?) throws {
        let view = Self.told(StatusRecord(failsafeTTL: before.map { .seconds($0) }))
        let status = Self.kept(view, Scene.primary(), settings, boundFor: boundFor.map { .seconds($0) })
        #expect(try #require(status).failsafeTTL == told.map { .seconds($0) })
    }
}
