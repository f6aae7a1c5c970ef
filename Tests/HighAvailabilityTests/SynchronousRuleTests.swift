import ClusterModel
import HighAvailability
import Testing

/// What the leader does for its synchronous standbys, as tables: `n1` leads, `n2`, `n3` and `n4` follow.
@Suite struct SynchronousRuleTests {
    static let me = NodeIdentity(name: "n1")

    /// One standby as `pg_stat_replication` has it.
    static func sender(
        _ name: String, at position: UInt64? = 1000, state: String = "streaming", as syncState: String = "async",
        priority: Int = 0
    ) -> PostgreSQLStatus.WALSender {
        var sender = PostgreSQLStatus.WALSender(
            userName: "replicator", applicationName: name, clientAddress: nil, state: state, syncState: syncState,
            syncPriority: priority)
        sender.flushed = position.map { WALPosition($0) }
        sender.written = sender.flushed
        sender.replayed = sender.flushed
        return sender
    }

    static func primary(
        _ names: String, written: String? = nil, _ senders: [PostgreSQLStatus.WALSender], at seconds: Int64 = 0,
        position: UInt64 = 1000, listens: Bool = true
    ) -> PostgreSQLStatus {
        var status = Scene.primary(at: position)
        status.facts?.walSenders = senders
        status.facts?.synchronous = .init(inForce: names, written: written, checkpointerListens: listens)
        status.observedAt = Scene.now + .seconds(seconds)
        return status
    }

    /// What was seen of `status` again and again, until whatever may be confirmed is.
    static func ledger(_ status: PostgreSQLStatus) -> SynchronousLedger {
        var ledger = SynchronousLedger()
        for second in 1...4 {
            var look = status
            look.observedAt = Scene.now + .seconds(second)
            ledger.note(look)
        }
        return ledger
    }

    struct Case: Sendable, CustomStringConvertible {
        let description: String
        var mode: JSONValue = true
        var settings: JSONObject = [:]
        var sync = SyncState(leader: "n1", revision: 7)
        var names = ""
        var written: String?
        var senders: [PostgreSQLStatus.WALSender] = []
        var members: [Member]?
        /// Nobody is known to have everything.
        var isNew = false
        var handed: SynchronousSetting?
        var step: SynchronousStep?
        var because: [String] = []
    }

    static func named(_ names: SynchronousNames) -> SynchronousStep { .setNames(.names(names)) }

    static let one = sender("n2", as: "sync", priority: 1)

    static let priority: [Case] = [
        Case(
            description: "mode on, /sync absent: it is written, with nobody", sync: SyncState(),
            step: .writeSync(SyncState(leader: "n1")), because: ["sync-nobody"]),
        Case(
            description: "a standby streams: it is named", senders: [sender("n2")],
            step: named(.init(.priority, 1, ["n2"])), because: ["sync-waits-for"]),
        Case(
            description: "it has not everything yet: /sync waits", names: "n2", senders: [one], isNew: true,
            because: ["sync-waits-for"]),
        Case(
            description: "it has: /sync has it", names: "n2", senders: [one],
            step: .writeSync(SyncState(leader: "n1", voters: ["n2"]))),
        Case(
            description: "all is as wanted", sync: SyncState(leader: "n1", voters: ["n2"], revision: 7), names: "n2",
            senders: [one, sender("n3")]),
        Case(
            description: "names compare without case", sync: SyncState(leader: "N1", voters: ["N2"], revision: 7),
            names: "N2", senders: [sender("N2", as: "sync", priority: 1)]),
        Case(
            description: "it is gone: it leaves /sync first",
            sync: SyncState(leader: "n1", voters: ["n2"], revision: 7),
            names: "n2", senders: [], step: .writeSync(SyncState(leader: "n1")),
            because: ["sync-leaves", "sync-nobody"]),
        Case(
            description: "then PostgreSQL forgets it", names: "n2", senders: [],
            step: named(.nobody), because: ["sync-nobody"]),
        Case(
            description: "in strict mode both stay, and commits wait",
            settings: ["synchronous_mode_strict": true], sync: SyncState(leader: "n1", voters: ["n2"], revision: 7),
            names: "n2", senders: [], because: ["sync-leaves", "sync-nobody-strict"]),
        Case(
            description: "in strict mode commits wait before there is anybody",
            settings: ["synchronous_mode_strict": true], names: "",
            step: named(.waiting(.priority)), because: ["sync-nobody-strict"]),
        Case(
            description: "another is there: it is named, and not the one that went",
            names: "n2", senders: [sender("n3")], step: named(.init(.priority, 1, ["n3"])),
            because: ["sync-waits-for"]),
        Case(
            description: "a second one is wanted", settings: ["synchronous_node_count": 2],
            sync: SyncState(leader: "n1", voters: ["n2"], revision: 7), names: "n2", senders: [one, sender("n3")],
            step: named(.init(.priority, 2, ["n2", "n3"])), because: ["sync-waits-for"]),
        Case(
            description: "and no more: it leaves /sync first",
            sync: SyncState(leader: "n1", voters: ["n2", "n3"], revision: 7), names: "2 (n2,n3)",
            senders: [one, sender("n3", as: "sync", priority: 2)],
            step: .writeSync(SyncState(leader: "n1", voters: ["n2"])), because: ["sync-leaves"]),
        Case(
            description: "a higher sync_priority takes the place, after it has everything",
            sync: SyncState(leader: "n1", voters: ["n2"], revision: 7), names: "n2", senders: [one, sender("n3")],
            members: members(["n3": ["sync_priority": 2]]), step: named(.init(.priority, 2, ["n2", "n3"])),
            because: ["sync-leaves", "sync-waits-for"]),
        Case(
            description: "a former leader's /sync is not believed",
            sync: SyncState(leader: "n3", voters: ["n2"], revision: 7),
            names: "n2", senders: [one], step: .writeSync(SyncState(leader: "n1")), because: []),
        Case(
            description: "names that somebody has changed cover nobody",
            sync: SyncState(leader: "n1", voters: ["n2"], revision: 7), names: "n3", senders: [sender("n2")],
            step: .writeSync(SyncState(leader: "n1")), because: []),
        Case(
            description: "what stands in the file comes first", names: "n2", written: "n3", senders: [one],
            step: named(.init(.priority, 1, ["n3"])), because: ["sync-not-in-force"]),
        Case(
            description: "where PostgreSQL has read that, something overrides it: nothing is set again",
            names: "n3", written: "n2", senders: [one], handed: .names(.init(.priority, 1, ["n2"])),
            because: ["sync-overridden"]),
        Case(
            description: "and /sync lets nobody lead whom that does not cover",
            sync: SyncState(leader: "n1", voters: ["n2"], revision: 7), names: "n3", written: "n2", senders: [one],
            handed: .names(.init(.priority, 1, ["n2"])), step: .writeSync(SyncState(leader: "n1")),
            because: ["sync-overridden"]),
        Case(
            description: "nobody, written while the mode was off, is not written again in strict mode",
            settings: ["synchronous_mode_strict": true], sync: SyncState(), names: "2 (n2,n3)", written: "",
            senders: [one], step: named(.waiting(.priority)), because: ["sync-not-in-force"]),
        Case(
            description: "it is where the mode is not strict", sync: SyncState(), names: "2 (n2,n3)", written: "",
            senders: [one], step: named(.nobody), because: ["sync-not-in-force"]),
    ]

    static let quorum: [Case] = [
        Case(
            description: "all that stream are named", mode: "quorum", senders: [sender("n2"), sender("n3")],
            step: named(.init(.quorum, 1, ["n2", "n3"])), because: ["sync-waits-for"]),
        Case(
            description: "with one of two that has everything no vote is spared", mode: "quorum",
            names: "ANY 1 (n2,n3)",
            senders: [sender("n2", as: "quorum", priority: 1), sender("n3", at: nil, as: "quorum", priority: 1)],
            step: named(.init(.quorum, 1, ["n2"]))),
        Case(
            description: "both have it: one vote beside the winner's", mode: "quorum", names: "ANY 1 (n2,n3)",
            senders: [sender("n2", as: "quorum", priority: 1), sender("n3", as: "quorum", priority: 1)],
            step: .writeSync(SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1))),
        Case(
            description: "one goes: the names follow, /sync covers both", mode: "quorum",
            sync: SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1, revision: 7), names: "ANY 1 (n2,n3)",
            senders: [sender("n2", as: "quorum", priority: 1)],
            step: named(.init(.quorum, 1, ["n2"])), because: ["sync-leaves"]),
        Case(
            description: "a third comes: first /sync", mode: "quorum",
            sync: SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1, revision: 7), names: "ANY 1 (n2,n3)",
            senders: [
                sender("n2", as: "quorum", priority: 1), sender("n3", as: "quorum", priority: 1), sender("n4"),
            ], members: members([:]),
            step: .writeSync(SyncState(leader: "n1", voters: ["n2", "n3", "n4"], quorum: 2)),
            because: ["sync-waits-for"]),
        Case(
            description: "from priority mode: the same in other words", mode: "quorum",
            sync: SyncState(leader: "n1", voters: ["n2"], revision: 7), names: "n2", senders: [one],
            step: named(.init(.quorum, 1, ["n2"]))),
        Case(
            description: "to priority mode: those that are wanted are named, and the votes stay",
            sync: SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1, revision: 7), names: "ANY 1 (n2,n3)",
            senders: [sender("n2", as: "quorum", priority: 1), sender("n3", as: "quorum", priority: 1)],
            step: named(.init(.priority, 1, ["n2"])), because: ["sync-leaves"]),
        Case(
            description: "until that one has everything",
            sync: SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1, revision: 7), names: "n2",
            senders: [one, sender("n3")], step: .writeSync(SyncState(leader: "n1", voters: ["n2"])),
            because: ["sync-leaves"]),
    ]

    static let off: [Case] = [
        Case(
            description: "off: /sync goes first", mode: false,
            sync: SyncState(leader: "n1", voters: ["n2"], revision: 7), names: "n2", senders: [one], step: .deleteSync,
            because: ["sync-turned-off"]),
        Case(
            description: "then the names", mode: false, sync: SyncState(), names: "n2", senders: [one],
            handed: .names(.init(.priority, 1, ["n2"])), step: .setNames(.configured)),
        Case(description: "off and done", mode: false, sync: SyncState(), names: "", handed: .configured),
    ]

    @Test(arguments: priority + quorum + off + zones) func theStepAndWhy(_ row: Case) {
        var settings = row.settings
        settings["synchronous_mode"] = row.mode
        let view = Scene.view(leader: "n1", members: row.members, sync: row.sync)
        let local = Self.primary(row.names, written: row.written, row.senders)
        let zone = view.member("n1")?.tags ?? Tags([:])
        let plan = synchronousRule(
            NodeIdentity(name: "n1", tags: zone), view,
            DynamicConfiguration(document: settings) ?? DynamicConfiguration(), local,
            row.isNew ? SynchronousLedger() : Self.ledger(local), handed: row.handed)
        #expect(plan.step == row.step, "\(row)")
        #expect(plan.reasons.map { Reason.synchronous($0).code } == row.because, "\(row)")
    }

    static let zones: [Case] = [
        Case(
            description: "distinct zones: the standby elsewhere goes first",
            settings: ["synchronous_zones": "distinct"], senders: [sender("n2"), sender("n3")],
            members: members(["n1": ["zone": "a"], "n2": ["zone": "a"], "n3": ["zone": "b"]]),
            step: named(.init(.priority, 1, ["n3"])), because: ["sync-waits-for"]),
        Case(
            description: "and the one that is there is taken where nobody is",
            settings: ["synchronous_zones": "distinct"], sync: SyncState(leader: "n1", voters: ["n2"], revision: 7),
            names: "n2", senders: [one], members: members(["n1": ["zone": "a"], "n2": ["zone": "a"]]),
            because: ["sync-zones-shared"]),
        Case(
            description: "a quorum is of those elsewhere, where there are enough", mode: "quorum",
            settings: ["synchronous_zones": "distinct"], senders: [sender("n2"), sender("n3"), sender("n4")],
            members: members([
                "n1": ["zone": "a"], "n2": ["zone": "a"], "n3": ["zone": "b"], "n4": ["zone": "c"],
            ]), step: named(.init(.quorum, 1, ["n3", "n4"])), because: ["sync-waits-for"]),
        Case(
            description: "and of all where there are not", mode: "quorum",
            settings: ["synchronous_zones": "distinct", "synchronous_node_count": 2],
            senders: [sender("n2"), sender("n3")],
            members: members(["n1": ["zone": "a"], "n2": ["zone": "a"], "n3": ["zone": "b"]]),
            step: named(.init(.quorum, 2, ["n2", "n3"])), because: ["sync-waits-for"]),
    ]

    static func members(_ tags: [String: JSONObject]) -> [Member] {
        ["n1", "n2", "n3", "n4"].map { Scene.member($0, tags: tags[$0] ?? [:]) }
    }

    // MARK: Who has everything

    /// Whatever was acknowledged by other names is before the mark, which a look after they were settled has set.
    @Test func nobodyIsConfirmedTooEarly() {
        func confirmed(_ looks: [PostgreSQLStatus]) -> Bool {
            var ledger = SynchronousLedger()
            for look in looks { ledger.note(look) }
            let settings = DynamicConfiguration(document: ["synchronous_mode": true]) ?? DynamicConfiguration()
            let view = Scene.view(leader: "n1", sync: SyncState(leader: "n1", revision: 7))
            let plan = synchronousRule(Self.me, view, settings, looks[looks.count - 1], ledger, handed: nil)
            return plan.step == .writeSync(SyncState(leader: "n1", voters: ["n2"]))
        }
        let unheard = Self.sender("n2", at: 1000)
        let named = Self.sender("n2", at: 1000, as: "sync", priority: 1)
        let looks = (1...4).map { Self.primary("n2", [named], at: Int64($0)) }
        #expect(confirmed(looks))
        #expect(!confirmed(Array(looks.prefix(2))))
        // A sender has not read the names yet.
        #expect(!confirmed((1...4).map { Self.primary("n2", [unheard], at: Int64($0)) }))
        // The checkpointer has not turned the waiting on yet.
        #expect(!confirmed((1...4).map { Self.primary("n2", [named], at: Int64($0), listens: false) }))
        // Other names are set before it has: these do not begin with commits that waited.
        func others(_ listens: Bool) -> [PostgreSQLStatus] {
            [Self.primary("n2", [named], at: 1, listens: false)]
                + (2...5).map { Self.primary("2 (n2,n3)", [named], at: Int64($0), listens: listens) }
        }
        #expect(!confirmed(others(false)))
        #expect(confirmed(others(true)))
        // It lacks what was written before.
        #expect(!confirmed((1...4).map { Self.primary("n2", [named], at: Int64($0), position: 1001) }))
        // Looks that come late tell nothing new.
        #expect(!confirmed((1...4).map { _ in Self.primary("n2", [named], at: 1) }))
    }
}
