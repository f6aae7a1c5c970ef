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

    /// A ledger whose last look was `ago` before now, and what came of the slots.
    static func later(
        _ seconds: Int, _ before: ClusterView, _ after: ClusterView, _ local: PostgreSQLStatus,
        _ settings: JSONObject = [:]
    ) -> (actions: [SlotAction], retained: [String]) {
        let me = NodeIdentity(name: "n1")
        let settings = DynamicConfiguration(document: settings) ?? DynamicConfiguration()
        var ledger = SlotLedger()
        ledger.note(me, before, settings, local, at: Scene.now - .seconds(seconds))
        ledger.note(me, after, settings, local, at: Scene.now)
        let retained = local.facts.map { retainedSlots(me, after, $0, settings, ledger, at: Scene.now) } ?? []
        return (slotActions(me, after, settings, local, ledger, at: Scene.now), retained)
    }

    static func facts(_ local: PostgreSQLStatus) -> PostgreSQLStatus.Facts {
        local.facts ?? .init(inRecovery: true, timeline: nil)
    }

    static let three = Scene.view(leader: "n1")
    static let two = Scene.view(leader: "n1", members: [Scene.member("n1", role: "primary"), Scene.member("n2")])
    static let led = with([slot("n2"), slot("n3")], Scene.primary())

    @Test func theSlotOfAMemberThatWentAwayIsKeptAndThenDropped() {
        let kept = Self.later(1799, Self.three, Self.two, Self.led)
        #expect(kept.actions == [] && kept.retained == ["n1", "n2", "n3"])
        let dropped = Self.later(1800, Self.three, Self.two, Self.led)
        #expect(dropped.actions == [.drop("n3")] && dropped.retained == ["n1", "n2"])
        let short = Self.later(20, Self.three, Self.two, Self.led, ["member_slots_ttl": "20s"])
        #expect(short.actions == [.drop("n3")])
        let none = Self.later(0, Self.three, Self.two, Self.led, ["member_slots_ttl": 0])
        #expect(none.actions == [.drop("n3")] && none.retained == [])
    }

    @Test func whatSomebodyReadsOrNamesIsNotDropped() {
        let active = Self.with([Self.slot("n2"), Self.slot("n3", active: true)], Scene.primary())
        #expect(Self.later(4000, Self.three, Self.two, active).actions == [])
        for settings: JSONObject in [
            ["slots": ["n3": ["type": "physical"]]], ["ignore_slots": [["name": "n3", "type": "physical"]]],
            ["ignore_slots": [["name": "n3"]]], ["pause": true],
        ] {
            #expect(Self.later(4000, Self.three, Self.two, Self.led, settings).actions == [], "\(settings)")
        }
        let logical = Self.later(
            4000, Self.three, Self.two, Self.led, ["ignore_slots": [["name": "n3", "type": "logical"]]])
        #expect(logical.actions == [.drop("n3")])
        // Nobody leads, and nobody knows who is gone.
        let free = Scene.view(members: [Scene.member("n1")])
        #expect(Self.later(4000, Self.three, free, Self.led).actions == [])
    }

    /// What is configured does not grow old, and a slip of whoever edits it takes nothing from a reader.
    @Test func aPermanentSlotCountsFromWhenItIsConfiguredNoMore() {
        let me = NodeIdentity(name: "n1")
        let local = Self.with([Self.slot("n2"), Self.slot("p")], Scene.primary())
        func actions(_ now: JSONObject, _ seconds: [Int]) -> [[SlotAction]] {
            var ledger = SlotLedger()
            let before = DynamicConfiguration(document: ["slots": ["p": ["type": "physical"]]]) ?? .init()
            for seconds in [-4000, -10] {
                ledger.note(me, Self.two, before, local, at: Scene.now + .seconds(seconds))
            }
            let settings = DynamicConfiguration(document: now) ?? .init()
            return seconds.map { seconds in
                let now = Scene.now + .seconds(seconds)
                ledger.note(me, Self.two, settings, local, at: now)
                return slotActions(me, Self.two, settings, local, ledger, at: now)
            }
        }
        #expect(actions([:], [0, 1789, 1790]) == [[], [], [.drop("p")]])
        #expect(actions(["slots": ["p": ["type": "phisical"]]], [0, 4000]) == [[], []])
    }

    /// A slot that nobody knew is counted from when it was first seen: an empty store is not yet a reason.
    @Test func whoBeginsToLookBeginsToCount() {
        var ledger = SlotLedger()
        let me = NodeIdentity(name: "n1")
        let settings = DynamicConfiguration()
        let local = Self.with([Self.slot("other"), Self.slot("n2")], Scene.primary())
        ledger.note(me, Self.two, settings, local, at: Scene.now)
        #expect(slotActions(me, Self.two, settings, local, ledger, at: Scene.now) == [])
        #expect(retainedSlots(me, Self.two, Self.facts(local), settings, ledger, at: Scene.now) == ["n1", "n2"])
        let later = Scene.now + .seconds(1800)
        ledger.note(me, Self.two, settings, local, at: later)
        #expect(slotActions(me, Self.two, settings, local, ledger, at: later) == [.drop("other")])
    }

    /// The new leader keeps what the last one kept, and counts anew.
    @Test func aNewLeaderMakesTheRetainedSlots() {
        var view = Self.two
        view.status.retainSlots = ["n1", "n2", "n4"]
        var ledger = SlotLedger()
        let me = NodeIdentity(name: "n1")
        let settings = DynamicConfiguration()
        ledger.note(me, view, settings, Self.led, at: Scene.now)
        #expect(slotActions(me, view, settings, Self.led, ledger, at: Scene.now) == [.create("n4")])
        let full = Self.with([Self.slot("n2"), Self.slot("n4")], Scene.primary())
        #expect(retainedSlots(me, view, Self.facts(full), settings, ledger, at: Scene.now) == ["n1", "n2", "n4"])
        let late = Scene.now + .seconds(1800)
        ledger.note(me, view, settings, full, at: late)
        #expect(retainedSlots(me, view, Self.facts(full), settings, ledger, at: late) == ["n1", "n2"])
        #expect(slotActions(me, view, settings, full, ledger, at: late) == [.drop("n4")])
    }

    @Test func aStandbyGoesByTheLeadersWord() {
        var kept = Scene.view(leader: "n2", members: [Scene.member("n1"), Scene.member("n2", role: "primary")])
        kept.status.retainSlots = ["n1", "n2", "n3"]
        let local = Self.with([Self.slot("n2"), Self.slot("n3")], Scene.standby())
        #expect(Self.later(4000, kept, kept, local).actions == [])
        var gone = kept
        gone.status.retainSlots = ["n1", "n2"]
        // However long ago the last look was: what it says now may be a moment's.
        #expect(Self.later(4000, kept, gone, local).actions == [])
        let me = NodeIdentity(name: "n1")
        let settings = DynamicConfiguration()
        for (seconds, actions): (Int, [SlotAction]) in [(29, []), (30, [.drop("n3")])] {
            var ledger = SlotLedger()
            ledger.note(me, kept, settings, local, at: Scene.now - .seconds(100))
            ledger.note(me, gone, settings, local, at: Scene.now)
            let later = Scene.now + .seconds(seconds)
            ledger.note(me, gone, settings, local, at: later)
            #expect(slotActions(me, gone, settings, local, ledger, at: later) == actions)
        }
    }

    /// Rows are kept for a slot with an xmin that nobody moves here.
    @Test func anIdleSlotWithAnXminIsMadeAnew() {
        var idle = Self.slot("n3")
        idle.hasXmin = true
        let local = Self.with([Self.slot("n2"), idle], Scene.standby())
        #expect(actions(Scene.view(leader: "n2"), local) == [.drop("n3")])
        let led = Self.with([Self.slot("n2"), idle], Scene.primary())
        #expect(actions(Scene.view(leader: "n1"), led) == [])
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

    /// Timeline 3 was a branch that died: nobody has followed who promoted to it.
    @Test(arguments: [(1, []), (2, [1]), (3, [1, 2]), (4, nil), (9, nil)] as [(TimelineID, [TimelineID]?)])
    func whatTheOtherSiteDoesNotKnowIsCutOff(_ timeline: TimelineID, _ left: [TimelineID]?) {
        let stored = TimelineHistory(
            lines: (1...3).map { .init(timeline: $0, position: WALPosition(UInt64($0) * 100), reason: "no") })
        #expect(historyElsewhere(stored: stored, timeline: timeline)?.map(\.timeline) == left)
    }

    static let skipping: [TimelineHistory.Line] = [
        line, .init(timeline: 2, position: WALPosition(1900), reason: "no recovery target specified"),
    ]

    @Test func aSkippedTimelineHasARowSoThatTheHistoryIsUpToDateOnceItIsWritten() {
        let lines = historyLines(
            file: Self.skipping, writtenAt: "now", leader: "n1", timeline: 4, stored: TimelineHistory(), limit: 0)
        #expect(lines.map(\.timeline) == [1, 2, 3])
        #expect(lines.map(\.position) == [WALPosition(900), WALPosition(1900), .zero])
        #expect(lines.map(\.newLeader) == [nil, "n1", "n1"])
        let written = TimelineHistory(lines: lines)
        #expect(historyVerdict(stored: written, timeline: 4) == .upToDate)
        // The dead branch is not the current one, and what stands on it has parted.
        #expect(ClusterView(history: written).timeline == 4)
        #expect(written.left(3, before: WALPosition(1901)) == .zero)
        #expect(written.left(2, before: WALPosition(1900)) == nil)
        // The next leader keeps the row of the branch that its own file does not have either.
        let next = historyLines(
            file: Self.skipping + [.init(timeline: 4, position: WALPosition(2900), reason: "")], writtenAt: "later",
            leader: "n2", timeline: 5, stored: written, limit: 0)
        #expect(next.map(\.timeline) == [1, 2, 3, 4])
        #expect(next.map(\.timestamp) == [nil, "now", "now", "later"])
        #expect(historyVerdict(stored: TimelineHistory(lines: next), timeline: 5) == .upToDate)
    }

    @Test(arguments: [0, 1, 2]) func aCutHistoryThatSkipsIsUpToDateToo(_ limit: Int) {
        let lines = historyLines(
            file: Self.skipping, writtenAt: "now", leader: "n1", timeline: 4, stored: TimelineHistory(), limit: limit)
        #expect(historyVerdict(stored: TimelineHistory(lines: lines), timeline: 4) == .upToDate)
    }

    /// Numbers come from files that anybody may have put there.
    @Test(arguments: [
        ([1], TimelineID.max, 33), ([1, 1], 3, 3), ([5, 2], 6, 5), ([4], 4, 0), ([.max], .max, 0), ([], 9, 0),
    ]) func oddFilesMakeFewRows(_ file: [TimelineID], _ timeline: TimelineID, _ count: Int) {
        let lines = historyLines(
            file: file.map { .init(timeline: $0, position: WALPosition(900), reason: "") }, writtenAt: "now",
            leader: "n1", timeline: timeline, stored: TimelineHistory(), limit: 0)
        #expect(lines.count == count, "\(lines)")
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
