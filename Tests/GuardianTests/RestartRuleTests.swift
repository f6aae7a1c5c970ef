import Guardian
import Testing

@Suite struct RestartRuleTests {
    static let second: Int64 = 1_000_000_000

    @Test func pausesGrowAndEnd() {
        var rule = RestartRule()
        var now: Int64 = 0
        var pauses: [Double] = []
        while let pause = rule.ended(now), pauses.count < 100 {
            #expect(rule.startAt == now + pause)
            pauses.append(Double(pause) / Double(Self.second))
            now += pause
            rule.began(now)
            #expect(rule.startAt == nil)
        }
        #expect(pauses.count == 20)
        #expect(pauses.prefix(8) == [0.5, 1, 2, 4, 8, 16, 32, 60])
        #expect(pauses.last == 60)
    }

    @Test func aDaemonThatRanForLongBeginsAnew() {
        var rule = RestartRule()
        for _ in 0..<5 { _ = rule.ended(0) }
        rule.began(0)
        #expect(rule.ended(301 * Self.second) == Self.second / 2)
    }

    @Test func whatIsCancelledIsNotStarted() {
        var rule = RestartRule()
        _ = rule.ended(0)
        rule.cancel()
        #expect(rule.startAt == nil)
    }
}
