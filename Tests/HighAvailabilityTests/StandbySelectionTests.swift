import ClusterModel
import HighAvailability
import Testing

/// Who may be a synchronous standby (ha-loop.md §17.3).
@Suite struct StandbySelectionTests {
    private typealias Rules = SynchronousRuleTests

    static let obstacles: [(String, [String: JSONObject], PostgreSQLStatus.WALSender, JSONObject, Bool)] = [
        ("it streams", [:], Rules.sender("n2"), [:], true),
        ("it catches up", [:], Rules.sender("n2", state: "catchup"), [:], false),
        ("its position is not known", [:], Rules.sender("n2", at: nil), [:], false),
        ("nosync", ["n2": ["nosync": true]], Rules.sender("n2"), [:], false),
        ("sync_priority 0", ["n2": ["sync_priority": 0]], Rules.sender("n2"), [:], false),
        ("it belongs behind another", ["n2": ["replicatefrom": "n3"]], Rules.sender("n2"), [:], false),
        ("that is not there", ["n2": ["replicatefrom": "n9"]], Rules.sender("n2"), [:], true),
        (
            "behind one that is behind another", ["n2": ["replicatefrom": "n4"], "n4": ["replicatefrom": "n3"]],
            Rules.sender("n2"), [:], false
        ),
        ("in a circle", ["n2": ["replicatefrom": "n3"], "n3": ["replicatefrom": "n2"]], Rules.sender("n2"), [:], true),
        ("nofailover is no reason", ["n2": ["nofailover": true]], Rules.sender("n2"), [:], true),
        ("it is far behind", [:], Rules.sender("n2", at: 799), ["maximum_lag_on_syncnode": 200], false),
        ("and may be by one byte less", [:], Rules.sender("n2", at: 800), ["maximum_lag_on_syncnode": 200], true),
    ]

    @Test(arguments: obstacles)
    func whoMayBe(
        _ what: String, _ tags: [String: JSONObject], _ sender: PostgreSQLStatus.WALSender, _ settings: JSONObject,
        _ may: Bool
    ) throws {
        let facts = try #require(Rules.primary("", [sender, Rules.sender("n3")]).facts)
        let selection = StandbySelection(
            Rules.me, Scene.view(leader: "n1", members: Rules.members(tags)),
            DynamicConfiguration(document: settings) ?? DynamicConfiguration(), facts)
        #expect(selection.active.contains("n2") == may, "\(what)")
    }

    /// PostgreSQL cuts and replaces what it does not take, and `/sync` is read from comma to comma.
    @Test(
        arguments: [
            (["n2"], true), (["n 2"], true), (["a,b"], false), ([" n2"], false), (["n2 "], false), (["é"], false),
            ([String(repeating: "a", count: 63)], true), ([String(repeating: "a", count: 64)], false),
            (["n2", "N2"], false), (["N1"], false),
        ] as [([String], Bool)])
    func whoCanBeNamed(_ names: [String], _ can: Bool) throws {
        let facts = try #require(Rules.primary("", names.map { Rules.sender($0) }).facts)
        let selection = StandbySelection(
            Rules.me, Scene.view(leader: "n1", members: (["n1"] + names).map { Scene.member($0) }),
            DynamicConfiguration(), facts)
        #expect(selection.active == (can ? Set(names) : []))
        #expect(Set(selection.obstacles.keys) == (can ? [] : Set(names)))
    }

    /// A standby elsewhere that may not lead is none that the cluster goes on with.
    static let distinct: [SynchronousRuleTests.Case] = [
        .init(
            description: "distinct zones: who may lead goes first, wherever it stands",
            settings: ["synchronous_zones": "distinct"], senders: [Rules.sender("n2"), Rules.sender("n3")],
            members: Rules.members(elsewhere), step: Rules.named(.init(.priority, 1, ["n2"])),
            because: ["sync-waits-for"]),
        .init(
            description: "then who may not, elsewhere first",
            settings: ["synchronous_zones": "distinct", "synchronous_node_count": 2],
            senders: [Rules.sender("n2"), Rules.sender("n3"), Rules.sender("n4")],
            members: Rules.members(elsewhere), step: Rules.named(.init(.priority, 2, ["n2", "n3"])),
            because: ["sync-waits-for"]),
        .init(
            description: "it makes no quorum of those elsewhere", mode: "quorum",
            settings: ["synchronous_zones": "distinct"], senders: [Rules.sender("n2"), Rules.sender("n3")],
            members: Rules.members(elsewhere), step: Rules.named(.init(.quorum, 1, ["n2"])),
            because: ["sync-waits-for"]),
    ]

    private static let elsewhere: [String: JSONObject] = [
        "n1": ["zone": "a"], "n2": ["zone": "a"], "n3": ["zone": "b", "nofailover": true],
        "n4": ["zone": "a", "nofailover": true],
    ]

    @Test(arguments: distinct) func theStepAndWhy(_ row: SynchronousRuleTests.Case) { Rules().theStepAndWhy(row) }

    /// Until then the leader looks again and again: nobody else tells when it has caught up.
    @Test func whoCatchesUpIsAwaited() throws {
        func awaits(_ state: String, _ tags: JSONObject = [:], at position: UInt64? = 1000) throws -> Bool {
            let coming = Rules.sender("N2", at: position, state: state)
            let facts = try #require(Rules.primary("", [coming, Rules.sender("n3")]).facts)
            return StandbySelection(
                Rules.me, Scene.view(leader: "n1", members: Rules.members(["n2": tags])), DynamicConfiguration(), facts
            ).isAwaitingSomebody
        }
        #expect(try awaits("catchup") && awaits("startup"))
        // Nothing has come since it connected, and its first word is on its way.
        #expect(try awaits("streaming", at: nil) && !awaits("streaming", ["nosync": true], at: nil))
        #expect(try !awaits("streaming") && !awaits("backup") && !awaits("catchup", ["nosync": true]))
    }
}
