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
