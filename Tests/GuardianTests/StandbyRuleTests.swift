import Guardian
import Testing

@Suite struct StandbyRuleTests {
    private static func parts(_ titles: [Int32: String]) -> [StandbyRule.Part] {
        titles.map { StandbyRule.Part(pid: $0.key, title: $0.value) }
    }

    private static let standby = parts([
        10: "postgres: demo: checkpointer", 11: "postgres: demo: startup recovering 0A",
    ])

    @Test(
        "What a standby has become",
        arguments: [
            // It recovers, as it did.
            (standby, false),
            // Promoted: its checkpointer is at work as before.
            (parts([10: "postgres: demo: checkpointer", 20: "postgres: demo: walwriter"]), false),
            // After a crash, still a standby.
            (parts([20: "postgres: checkpointer", 21: "postgres: startup waiting for 0B"]), false),
            // After a crash, and no standby any more.
            (parts([20: "postgres: demo: checkpointer", 22: "postgres: demo: walwriter"]), true),
            // Between the end of its processes and the first of the new ones.
            ([], false),
            (parts([22: "postgres: demo: logger"]), false),
            // Sessions of users of those names are no such processes as long as the old ones live.
            (parts([10: "postgres: demo: checkpointer", 30: "postgres: demo: checkpointer db [local] idle"]), false),
        ])
    func judged(_ later: [StandbyRule.Part], isPrimary: Bool) {
        var rule = StandbyRule()
        // One look is none.
        let looks = [Self.standby, later, later].map { rule.isPrimary($0) }
        #expect(looks == [false, false, isPrimary])
    }

    @Test func whatWasNeverSeenIsNotMissed() {
        var rule = StandbyRule()
        let looks = (0..<3).map { _ in rule.isPrimary(Self.parts([10: "postgres: checkpointer"])) }
        #expect(looks == [false, false, false])
    }
}

@Suite struct KillPaceTests {
    static let second: Int64 = 1_000_000_000

    @Test func whatDoesNotEndIsKilledMoreSeldom() {
        var pace = KillPace()
        let pauses = [0, 1, 2, 3, 60].map { pace.pause(100 * Self.second + $0 * Self.second) }
        #expect(pauses == [20, 20, 20, 500, 500].map { $0 * 1_000_000 })
        pace.end()
        let again = pace.pause(200 * Self.second)
        #expect(again == 20_000_000)
    }
}
