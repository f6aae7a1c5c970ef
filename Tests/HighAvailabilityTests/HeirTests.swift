import ClusterModel
import HighAvailability
import Testing

/// A pause that comes with a hand-over, or right after it, does not leave the key free until somebody resumes.
@Suite struct HeirTests {
    private static func view(leader: String? = nil) -> ClusterView {
        var view = Scene.view(leader: leader)
        view.status.handedOverBy = "n2"
        view.status.revision = 9
        return view
    }

    /// In pause, with both others asked.
    private static func seen(
        _ view: ClusterView = view(), at position: UInt64 = 1000, peers: [String: PeerAnswer]? = RaceTests.bothEqual
    ) -> Observation {
        Scene.seen(view, Scene.standby(at: position), peers: peers, settings: ["pause": true])
    }

    private static func memory(of leader: String? = "n2", leaderless: Duration = .seconds(1)) -> Memory {
        var memory = Memory()
        memory.lastLeader = leader
        memory.leaderlessSince = Scene.now - leaderless
        return memory
    }

    static let rows: [Row] = [
        Row(
            description: "who has everything takes what was handed over", seen: seen(), memory: memory(),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "by a race, as ever", seen: seen(peers: nil), memory: memory(),
            expected: .asks(["n2", "n3"]), because: ["leader-key-free"]),
        Row(
            description: "and not beside a primary",
            seen: seen(peers: ["n2": Scene.peer(0, primary: true), "n3": Scene.peer(1000)]), memory: memory(),
            expected: .action(.wait), because: ["peer-is-primary"]),
        Row(
            description: "who lacks some of it waits in pause", seen: seen(at: 999), memory: memory(),
            expected: .action(.wait), because: ["paused"]),
        Row(
            description: "so does who comes later: an operator may have started the server again", seen: seen(),
            memory: memory(leaderless: .seconds(30)), expected: .action(.wait),
            because: ["paused", "primary-serves"]),
        Row(
            description: "and who has not seen that one lead", seen: seen(), memory: memory(of: nil),
            expected: .action(.wait), because: ["paused"]),
        Row(
            description: "and who has given it away", seen: handedOver(by: "n1"), memory: memory(of: "n1"),
            expected: .action(.wait), because: ["paused"]),
        Row(
            description: "a key that nobody has handed over stays free in pause",
            seen: seen(Scene.view()), memory: memory(), expected: .action(.wait),
            because: ["paused", "primary-serves"]),
    ]

    private static func handedOver(by name: String) -> Observation {
        var view = view()
        view.status.handedOverBy = name
        return seen(view)
    }

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    /// The pause is seen only when the key is there, or right after it was claimed.
    @Test(arguments: [false, true]) func whoHasTheKeyIsPromotedInPause(_ claimsInPause: Bool) {
        var claiming = Self.seen()
        if !claimsInPause { claiming.settings = DynamicConfiguration() }
        let (claim, memory) = Scene.decided(claiming, Self.memory())
        #expect(claim.action == .acquireLeader && memory.isHeir)
        var leading = Self.seen(Self.view(leader: "n1"))
        leading.lease = Scene.lease()
        leading.renewal = .held
        var won = memory
        won.hasWonKey = true
        guard case .carryOut(let plan) = Scene.decided(leading, won).0.action else {
            Issue.record("\(Scene.decided(leading, won).0)")
            return
        }
        #expect(plan.kind == .promote)
        won.isHeir = false
        #expect(Scene.decided(leading, won).0.action == .releaseLeader)
        // Somebody else was first.
        #expect(!Scene.decided(Self.seen(Self.view(leader: "n3")), memory).1.isHeir)
    }
}
