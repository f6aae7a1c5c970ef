import ClusterModel
import HighAvailability
import Testing

/// A leader wrote a `/failsafe` that names itself alone, and lost its directory: whoever it does not name never leads.
@Suite struct LostFailsafeTests {
    /// This node streamed from `n2`, which has not led for so long, and is what it is now.
    private static func seen(
        failsafe: [String: String] = ["n2": "x"], now leader: Member? = Scene.member("n2", role: "uninitialized"),
        others: [Member] = [], settings: JSONObject = ["failsafe_mode": true], local: PostgreSQLStatus = Scene.standby()
    ) -> Observation {
        let members = [Scene.member("n1")] + (leader.map { [$0] } ?? []) + others
        return Scene.seen(Scene.view(members: members, failsafe: failsafe), local, peers: [:], settings: settings)
    }

    private static func leaderless(for time: Duration) -> Memory {
        var memory = Memory()
        memory.lastLeader = "n2"
        memory.leaderlessSince = Scene.now - time
        return memory
    }

    static let rows: [Row] = [
        Row(
            description: "its directory is empty", seen: seen(), memory: leaderless(for: .seconds(30)),
            expected: .action(.wait), because: ["not-in-failsafe", "failsafe-nobody-can-lead"]),
        Row(
            description: "it is no member any more", seen: seen(now: nil), memory: leaderless(for: .seconds(30)),
            expected: .action(.wait), because: ["not-in-failsafe", "failsafe-nobody-can-lead"]),
        Row(
            description: "the only other one may not be promoted",
            seen: seen(
                failsafe: ["n2": "x", "n3": "x"], others: [Scene.member("n3", tags: ["nofailover": true])]),
            memory: leaderless(for: .seconds(30)), expected: .action(.wait),
            because: ["not-in-failsafe", "failsafe-nobody-can-lead"]),
        Row(
            description: "it is this node that has lost its directory: the operator is told here, too",
            seen: seen(failsafe: ["n1": "x"], now: nil, others: [Scene.member("n3")], local: Scene.empty),
            memory: leaderless(for: .seconds(30)), expected: .action(.wait),
            because: ["data-directory-empty", "waiting-for-leader", "failsafe-nobody-can-lead"]),
        Row(
            description: "unless somebody who is named may lead",
            seen: seen(failsafe: ["n1": "x", "n3": "x"], now: nil, others: [Scene.member("n3")], local: Scene.empty),
            memory: leaderless(for: .seconds(30)), expected: .action(.wait),
            because: ["data-directory-empty", "waiting-for-leader"]),
        Row(
            description: "a moment after a leader has gone it may be back",
            seen: seen(now: nil), memory: leaderless(for: .seconds(29)), expected: .action(.wait),
            because: ["not-in-failsafe"]),
        Row(
            description: "what has data may come up", seen: seen(now: Scene.member("n2", state: "crashed")),
            memory: leaderless(for: .seconds(300)), expected: .action(.wait), because: ["not-in-failsafe"]),
        Row(
            description: "another one that is named may lead",
            seen: seen(failsafe: ["n2": "x", "n3": "x"], others: [Scene.member("n3")]),
            memory: leaderless(for: .seconds(300)), expected: .action(.wait), because: ["not-in-failsafe"]),
        Row(
            description: "who is named waits for nobody", seen: seen(failsafe: ["n1": "x"]),
            memory: leaderless(for: .seconds(300)), expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "with the mode off anybody may, which is what the operator is told",
            seen: seen(settings: [:]), memory: leaderless(for: .seconds(300)), expected: .action(.acquireLeader),
            because: ["healthiest"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    @Test func theOperatorIsToldWhatToDo() {
        let needed = Scene.decided(Self.seen(), Self.leaderless(for: .seconds(30))).0.needsOperator
        #expect(needed?.contains("only n2") == true && needed?.contains("failsafe_mode") == true, "\(needed ?? "")")
        #expect(Scene.decided(Self.seen(), Self.leaderless(for: .seconds(29))).0.needsOperator == nil)
    }
}
