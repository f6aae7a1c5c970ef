import ClusterModel
import HighAvailability
import Testing

/// What becomes of each slot of `n1` (dcs.md §3.1, postgresql.md §22).
@Suite struct SlotRuleTests {
    typealias Slot = PostgreSQLStatus.ReplicationSlot

    struct Case: Sendable, CustomStringConvertible {
        let description: String
        var view = SlotRuleTests.following
        var settings: JSONObject = [:]
        var slots: [Slot] = []
        var isPrimary = false
        var tags: JSONObject = [:]
        var actions: [SlotAction] = []
        var copies: [String] = []
        let because: [String]
    }

    /// `n1` alone with the leader `n2`.
    static let following = view([Scene.member("n1"), Scene.member("n2", role: "primary")], leader: "n2")
    static let leading = view([Scene.member("n1", role: "primary"), Scene.member("n2")], leader: "n1")
    static let logical: JSONObject = ["slots": ["l": ["type": "logical", "database": "d", "plugin": "pgoutput"]]]
    static let physical: JSONObject = ["slots": ["p": ["type": "physical"]]]

    static func view(_ members: [Member], leader: String, slots: [String: UInt64] = [:]) -> ClusterView {
        var view = Scene.view(leader: leader, members: members)
        view.status.slots = slots.mapValues { WALPosition($0) }
        return view
    }

    static func published(_ slots: [String: UInt64]) -> ClusterView {
        var view = following
        view.status.slots = slots.mapValues { WALPosition($0) }
        return view
    }

    static func copy(
        at position: UInt64 = 500, database: String? = "d", ready: Bool = true, active: Bool = false
    ) -> Slot {
        var slot = Slot(
            name: "l", isLogical: true, isActive: active, restartPosition: WALPosition(400), database: database,
            plugin: "pgoutput", confirmedPosition: WALPosition(position))
        slot.isReady = ready
        return slot
    }

    static func slot(_ name: String, at position: UInt64? = 500, _ change: (inout Slot) -> Void = { _ in }) -> Slot {
        var slot = Slot(
            name: name, isLogical: false, isActive: false, restartPosition: position.map { WALPosition($0) })
        change(&slot)
        return slot
    }

    static let n2 = slot("n2") { $0.isActive = true }

    /// A logical slot where a physical one is to be.
    static let otherKind = slot("p") {
        $0.isLogical = true; $0.isReady = true
    }

    /// A failover slot that was made here.
    static let left = slot("f") {
        $0.isLogical = true; $0.isFailover = true; $0.isReady = true
    }

    static let physicalCases: [Case] = [
        Case(
            description: "a permanent slot is made on a standby", settings: physical, slots: [n2],
            actions: [.create("p")], because: []),
        Case(
            description: "and on the leader, where nobody moves it", view: leading, settings: physical,
            slots: [n2, slot("p")], isPrimary: true, because: []),
        Case(
            description: "on a standby it follows the leader's", view: published(["p": 700]), settings: physical,
            slots: [n2, slot("p")], actions: [.advance("p", to: WALPosition(700))], because: []),
        Case(
            description: "one with this node's own name is none", settings: ["slots": ["n1": .null]], slots: [n2],
            because: []),
        Case(
            description: "nor has who may not lead", settings: physical, slots: [], tags: ["nofailover": true],
            because: []),
        Case(
            description: "who leads all the same has them for the others", view: leading, settings: physical,
            isPrimary: true, tags: ["nofailover": true], actions: [.create("n2"), .create("p")], because: []),
        Case(
            description: "an entry that means nothing is told", settings: ["slots": ["P": .null, "q": .null]],
            slots: [n2], actions: [.create("q")], because: ["slot-invalid"]),
        Case(
            description: "a logical slot stands where a physical one is to be", settings: physical,
            slots: [n2, otherKind], actions: [.drop("p")],
            because: ["slot-other-definition"]),
        Case(
            description: "not while somebody reads it", settings: physical,
            slots: [
                n2,
                slot("p") {
                    $0.isLogical = true; $0.isReady = true; $0.isActive = true
                },
            ],
            because: ["slot-in-use"]),
        Case(
            description: "nor in pause", settings: ["slots": ["p": .null], "pause": true],
            slots: [n2, otherKind], because: []),
        Case(
            description: "nor where it is somebody else's",
            settings: ["slots": ["p": .null], "ignore_slots": [["name": "p", "type": "logical"]]],
            slots: [n2, otherKind], because: []),
        Case(
            description: "in pause slots are made all the same", settings: ["slots": ["p": .null], "pause": true],
            slots: [n2], actions: [.create("p")], because: []),
        Case(
            description: "a slot whose WAL is gone is made anew", settings: physical,
            slots: [n2, slot("p", at: nil) { $0.isLost = true }], actions: [.drop("p")], because: ["slot-lost"]),
        Case(
            description: "so is one that reserves nothing", settings: physical, slots: [n2, slot("p", at: nil)],
            actions: [.drop("p")], because: ["slot-lost"]),
        Case(
            description: "and one that keeps rows", settings: physical, slots: [n2, slot("p") { $0.hasXmin = true }],
            actions: [.drop("p")], because: ["slot-held-back-rows"]),
        Case(
            description: "two members share a slot, which nobody moves",
            view: view(
                [Scene.member("n1"), Scene.member("n2", role: "primary"), Scene.member("a-b"), Scene.member("a.b")],
                leader: "n2", slots: ["a_b": 900]),
            slots: [n2, slot("a_b")], because: ["slot-name-shared"]),
        Case(
            description: "or share this node's, which it does not have",
            view: view([Scene.member("n1"), Scene.member("n2", role: "primary"), Scene.member("N1")], leader: "n2"),
            slots: [n2], because: ["slot-name-shared"]),
        Case(
            description: "the leader moves the slot of who streams from another",
            view: view(
                [
                    Scene.member("n1", role: "primary"), Scene.member("n2"),
                    Member(
                        name: "n3", data: ["xlog_location": 800, "tags": ["replicatefrom": "n2"], "state": "running"]),
                ], leader: "n1", slots: ["n3": 500]),
            slots: [n2, slot("n3")], isPrimary: true, actions: [.advance("n3", to: WALPosition(800))], because: []),
        Case(
            description: "in a circle everybody streams from the leader, who moves nobody's slot",
            view: view(
                [
                    Scene.member("n1", role: "primary"), Scene.member("n2", tags: ["replicatefrom": "n3"]),
                    Member(
                        name: "n3", data: ["xlog_location": 800, "tags": ["replicatefrom": "n2"], "state": "running"]),
                ], leader: "n1", slots: ["n3": 500]),
            slots: [n2, slot("n3")], isPrimary: true, because: []),
        Case(
            description: "a leader reads no slot here, whatever its tag says",
            view: view(
                [
                    Scene.member("n1"),
                    Member(
                        name: "n2",
                        data: [
                            "xlog_location": 900, "tags": ["replicatefrom": "n1"], "state": "running",
                            "role": "primary",
                        ]),
                ], leader: "n2", slots: ["n2": 900]),
            slots: [slot("n2")], actions: [.advance("n2", to: WALPosition(900))], because: []),
    ]

    static let logicalCases: [Case] = [
        Case(
            description: "the leader makes a logical slot", view: leading, settings: logical, slots: [n2],
            isPrimary: true, actions: [.createLogical("l", database: "d", plugin: "pgoutput")],
            because: ["slot-begins"]),
        Case(
            description: "after everything else: it waits until all transactions of now have ended",
            view: view([Scene.member("n1", role: "primary"), Scene.member("n2"), Scene.member("n4")], leader: "n1"),
            settings: logical, slots: [n2], isPrimary: true,
            actions: [.create("n4"), .createLogical("l", database: "d", plugin: "pgoutput")], because: ["slot-begins"]),
        Case(
            description: "a primary that does not lead does not", settings: logical, slots: [n2], isPrimary: true,
            because: []),
        Case(description: "nor a standby, before the leader has it", settings: logical, slots: [n2], because: []),
        Case(
            description: "which it copies then", view: published(["l": 600]), settings: logical, slots: [n2],
            copies: ["l"], because: ["slots-must-be-copied"]),
        Case(
            description: "a copy follows what the reader has confirmed", view: published(["l": 700]),
            settings: logical, slots: [n2, copy()],
            actions: [.advanceLogical("l", database: "d", to: WALPosition(700))], because: []),
        Case(
            description: "as far as WAL is replayed here", view: published(["l": 7000]), settings: logical,
            slots: [n2, copy()], actions: [.advanceLogical("l", database: "d", to: WALPosition(1000))], because: []),
        Case(
            description: "never back", view: published(["l": 400]), settings: logical, slots: [n2, copy()], because: []),
        Case(
            description: "the leader moves none", view: leading, settings: logical, slots: [n2, copy()],
            isPrimary: true, because: []),
        Case(
            description: "a copy is not safe before the primary is known to keep its rows", settings: logical,
            slots: [n2, copy(ready: false)],
            actions: [.verifyLogical(["l"], at: Scene.upstream("n2"), through: "n1")], because: ["slots-not-ready"]),
        Case(
            description: "in a cascade it is the next one's slot that counts",
            view: view(
                [
                    Scene.member("n1", tags: ["replicatefrom": "n3"]), Scene.member("n2", role: "primary"),
                    Scene.member("n3"),
                ], leader: "n2"),
            settings: logical, slots: [n2, slot("n3") { $0.isActive = true }, copy(ready: false)],
            tags: ["replicatefrom": "n3"],
            actions: [.verifyLogical(["l"], at: Scene.upstream("n2"), through: "n3")], because: ["slots-not-ready"]),
        Case(
            description: "in a circle its own counts",
            view: view(
                [
                    Scene.member("n1", tags: ["replicatefrom": "n3"]), Scene.member("n2", role: "primary"),
                    Scene.member("n3", tags: ["replicatefrom": "n1"]),
                ], leader: "n2"),
            settings: logical, slots: [n2, slot("n3"), copy(ready: false)], tags: ["replicatefrom": "n3"],
            actions: [.verifyLogical(["l"], at: Scene.upstream("n2"), through: "n1")], because: ["slots-not-ready"]),
        Case(
            description: "a slot of another database is dropped", settings: logical, slots: [n2, copy(database: "e")],
            actions: [.drop("l")], because: ["slot-other-definition"]),
        Case(
            description: "so is one whose database is gone", settings: logical, slots: [n2, copy(database: nil)],
            actions: [.drop("l")], because: ["slot-other-definition"]),
        Case(
            description: "a member's name is no logical slot's",
            settings: ["slots": ["n2": ["type": "logical", "database": "d", "plugin": "x"]]], slots: [n2],
            because: ["slot-named-as-member"]),
        Case(
            description: "who has no way to the leader copies none", view: published(["l": 600]), settings: logical,
            slots: [n2], tags: ["nostream": true], because: []),
        Case(
            description: "a failover slot that PostgreSQL has brought is its own", view: published(["l": 900]),
            settings: logical,
            slots: [
                n2,
                slot("l") {
                    $0.isLogical = true; $0.isFailover = true; $0.isSynced = true
                },
            ], because: []),
        Case(
            description: "one that a demoted primary has left is dropped",
            slots: [n2, left], actions: [.drop("f")], because: ["slot-not-synced"]),
        Case(
            description: "whether or not the configuration names it", settings: logical,
            slots: [
                n2,
                slot("l") {
                    $0.isLogical = true; $0.isFailover = true; $0.isReady = true
                    ($0.database, $0.plugin) = ("d", "pgoutput")
                },
            ],
            actions: [.drop("l")], because: ["slot-not-synced"]),
        Case(
            description: "on the primary it is PostgreSQL's", view: leading,
            slots: [n2, left], isPrimary: true, because: []),
        Case(
            description: "who is being promoted again has it to go on with", view: leading, slots: [n2, left],
            because: []),
    ]

    @Test(arguments: physicalCases + logicalCases) func decides(_ row: Case) {
        var local = row.isPrimary ? Scene.primary() : Scene.standby()
        local.facts?.slots = row.slots
        let plan = slotRule(
            NodeIdentity(name: "n1", tags: Tags(row.tags)), row.view,
            DynamicConfiguration(document: row.settings) ?? DynamicConfiguration(), local)
        #expect(plan.actions == row.actions, "\(row)")
        #expect(plan.copies.map(\.name) == row.copies, "\(row)")
        #expect(plan.reasons.map { Reason.slot($0).code } == row.because, "\(row)")
    }

    @Test func whatIsKnownNoMoreIsOnlyMade() {
        let me = NodeIdentity(name: "n1")
        var ledger = SlotLedger()
        var local = Scene.primary()
        local.facts?.slots = [Self.copy(), Self.slot("x")]
        ledger.note(me, Self.leading, DynamicConfiguration(), local, at: Scene.now)
        let later = Scene.now + .seconds(1800)
        #expect(
            slotActions(me, Self.leading, DynamicConfiguration(), local, ledger, at: later)
                == [.create("n2"), .drop("l"), .drop("x")])
        local.facts?.isDetailStale = true
        let plan = slotRule(me, Self.leading, DynamicConfiguration(), local, ledger, at: later)
        #expect(plan.actions == [.create("n2")])
        #expect(plan.copies.isEmpty && plan.reasons.isEmpty)
    }

    @Test func whatIsNobodysIsDroppedWhenItsTimeIsUp() {
        let me = NodeIdentity(name: "n1")
        var ledger = SlotLedger()
        var local = Scene.primary()
        local.facts?.slots = [Self.n2, Self.copy(), Self.slot("x")]
        let settings = DynamicConfiguration()
        ledger.note(me, Self.leading, settings, local, at: Scene.now)
        #expect(slotRule(me, Self.leading, settings, local, ledger, at: Scene.now).actions == [])
        let later = Scene.now + .seconds(1800)
        ledger.note(me, Self.leading, settings, local, at: later)
        let plan = slotRule(me, Self.leading, settings, local, ledger, at: later)
        #expect(plan.actions == [.drop("l"), .drop("x")])
        let row = (plan: plan, because: ["slot-nobodys", "slot-nobodys"])
        #expect(row.plan.reasons.map { Reason.slot($0).code } == row.because)
    }

    /// By the setting, a text with a unit too; else by a tenth of the file system; not where that is not known.
    static let warnings: [(JSONObject, space: Int64?, because: [String])] = [
        (["slot_wal_warning": 499], nil, because: ["slot-holds-back-wal"]),
        (["slot_wal_warning": 500], nil, because: []),
        (["slot_wal_warning": "1kB"], 10, because: []),
        ([:], 4990, because: ["slot-holds-back-wal"]),
        ([:], 5000, because: []),
        ([:], nil, because: []),
    ]

    @Test(arguments: warnings) func whatHoldsBackWALIsTold(
        _ settings: JSONObject, _ space: Int64?, _ because: [String]
    ) {
        var local = Scene.primary()
        local.facts?.slots = [Self.n2]
        local.facts?.walSpace = space
        let plan = slotRule(
            NodeIdentity(name: "n1"), Self.leading, DynamicConfiguration(document: settings) ?? DynamicConfiguration(),
            local)
        #expect(plan.reasons.map { Reason.slot($0).code } == because)
    }

    /// Each try costs a restart, so the next one waits.
    @Test func copiesAreMadeByARestart() {
        var local = Scene.standby()
        local.facts?.slots = [Self.n2]
        let seen = Scene.seen(Self.published(["l": 600]), local, settings: Self.logical)
        let row = Row(
            description: "copied", seen: seen, memory: LeaderAndFollowerTests.told("n2"), expected: .plan(.copySlots),
            because: ["following", "slots-must-be-copied"])
        row.check()
        let (_, memory) = Scene.decided(seen, row.memory)
        Row(
            description: "not at once again", seen: seen, memory: memory, expected: .action(.wait),
            because: ["following", "slot-copy-tried-again"]
        ).check()
        var paused = seen
        paused.settings =
            DynamicConfiguration(document: ["slots": Self.logical["slots"] ?? .null, "pause": true])
            ?? DynamicConfiguration()
        Row(
            description: "not in pause", seen: paused, memory: row.memory, expected: .action(.wait),
            because: ["following"]
        ).check()
    }

    /// As Patroni writes it: by name, what a reader has confirmed of a logical slot, where it begins of a physical one.
    @Test func theLeaderPublishesWhereSlotsStand() {
        var local = Scene.primary()
        local.facts?.slots = [Self.n2, Self.copy(at: 650), Self.slot("p")]
        let me = NodeIdentity(name: "n1")
        let facts = SlotAndHistoryTests.facts(local)
        #expect(
            publishedSlots(me, facts)
                == ["n1": WALPosition(1000), "n2": WALPosition(500), "l": WALPosition(650), "p": WALPosition(500)])
        let permanent = DynamicConfiguration(document: ["member_slots_ttl": 0, "slots": ["p": .null]])
        #expect(publishedSlots(me, facts, permanent ?? DynamicConfiguration()) == ["p": WALPosition(500)])
        let named = DynamicConfiguration(document: ["slots": ["n2": .null]]) ?? DynamicConfiguration()
        #expect(retainedSlots(me, Self.leading, facts, named) == ["n1"])
    }
}
