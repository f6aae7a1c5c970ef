import ClusterModel
import HighAvailability
import Testing

@Suite struct SlotAndHistoryTests {
    static func with(_ slots: [PostgreSQLStatus.ReplicationSlot], _ local: PostgreSQLStatus) -> PostgreSQLStatus {
        var local = local
        local.facts?.slots = slots
        return local
    }

    static func slot(_ name: String, at position: UInt64 = 500, active: Bool = false)
        -> PostgreSQLStatus.ReplicationSlot
    {
        .init(name: name, isLogical: false, isActive: active, restartPosition: WALPosition(position))
    }

    func actions(_ view: ClusterView, _ local: PostgreSQLStatus, _ settings: JSONObject = [:], tags: JSONObject = [:])
        -> [SlotAction]
    {
        slotActions(
            NodeIdentity(name: "n1", tags: Tags(tags)), view,
            DynamicConfiguration(document: settings) ?? DynamicConfiguration(), local)
    }

    @Test func theLeaderMakesASlotForEachMember() {
        #expect(actions(Scene.view(leader: "n1"), Scene.primary()) == [.create("n2"), .create("n3")])
        #expect(
            actions(Scene.view(leader: "n1"), Self.with([Self.slot("n2"), Self.slot("n3")], Scene.primary())) == [])
    }

    @Test func aStandbyMakesThemToo() {
        #expect(actions(Scene.view(leader: "n2"), Scene.standby()) == [.create("n2"), .create("n3")])
    }

    @Test func aStandbyMovesIdleSlotsForwardButNotPastItsOwnReplay() {
        var view = Scene.view(leader: "n2")
        view.status.slots = ["n2": WALPosition(800), "n3": WALPosition(2000)]
        let local = Self.with([Self.slot("n2"), Self.slot("n3")], Scene.standby())
        #expect(actions(view, local) == [.advance("n2", to: WALPosition(800)), .advance("n3", to: WALPosition(1000))])
    }

    @Test func theLeaderNeverMovesASlotForward() {
        var view = Scene.view(leader: "n1")
        view.status.slots = ["n2": WALPosition(800), "n3": WALPosition(800)]
        #expect(actions(view, Self.with([Self.slot("n2"), Self.slot("n3")], Scene.primary())) == [])
    }

    @Test func slotsOfOthersAreLeftAlone() {
        let local = Self.with([Self.slot("n2"), Self.slot("n3"), Self.slot("backup")], Scene.primary())
        #expect(actions(Scene.view(leader: "n1"), local) == [])
    }

    @Test func slotsCanBeSwitchedOff() {
        #expect(actions(Scene.view(leader: "n1"), Scene.primary(), ["postgresql": ["use_slots": false]]) == [])
    }

    @Test func aMemberThatDoesNotStreamHasNoSlot() {
        let view = Scene.view(
            leader: "n1", members: [Scene.member("n1"), Scene.member("n2", tags: ["nostream": true])])
        #expect(actions(view, Scene.primary()) == [])
    }

    @Test(arguments: [
        ("Node-1.Foo_é@", "node_1_foo_u0233u0064"), ("n1", "n1"),
        (String(repeating: "a", count: 70), String(repeating: "a", count: 63)),
    ]) func namesSlots(_ member: String, _ slot: String) {
        #expect(SlotName.of(member: member) == slot)
    }

    static let line = TimelineHistory.Line(
        timeline: 1, position: WALPosition(900), reason: "no recovery target specified")
    static let full = TimelineHistory.Line(
        timeline: 1, position: WALPosition(900), reason: "no recovery target specified", timestamp: "then",
        newLeader: "n2")

    static let verdicts: [(TimelineHistory, TimelineID, HistoryVerdict)] = [
        (TimelineHistory(), 1, .upToDate),
        (TimelineHistory(lines: [full]), 1, .writeEmpty),
        (TimelineHistory(), 2, .rebuild),
        (TimelineHistory(lines: [full]), 2, .upToDate),
        (TimelineHistory(lines: [line]), 2, .rebuild),
        (TimelineHistory(lines: [full]), 3, .rebuild),
    ]

    @Test(arguments: verdicts) func judgesHistory(
        _ stored: TimelineHistory, _ timeline: TimelineID, _ verdict: HistoryVerdict
    ) {
        #expect(historyVerdict(stored: stored, timeline: timeline) == verdict)
    }

    @Test func historyKeepsWhatWasKnownAndNamesTheNewLeader() {
        let second = TimelineHistory.Line(
            timeline: 2, position: WALPosition(1900), reason: "no recovery target specified")
        let lines = historyLines(
            file: [Self.line, second], writtenAt: "now", leader: "n1", timeline: 3,
            stored: TimelineHistory(lines: [Self.full]), limit: 0)
        #expect(lines.map(\.timestamp) == ["then", "now"])
        #expect(lines.map(\.newLeader) == ["n2", "n1"])
        let cut = historyLines(
            file: [Self.line, second], writtenAt: "now", leader: "n1", timeline: 3, stored: TimelineHistory(), limit: 1)
        #expect(cut.map(\.timeline) == [2])
    }
}
