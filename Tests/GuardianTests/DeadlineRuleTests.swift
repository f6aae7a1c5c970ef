import Testing

@testable import Guardian

/// Seconds; a lease from 100 to 130 with a margin of 4: SIGQUIT at 126, SIGKILL at 128.
@Suite("When the guardian stops PostgreSQL")
struct DeadlineRuleTests {
    static func seconds(_ seconds: Int64) -> Int64 { seconds * 1_000_000_000 }

    static func lease(since: Int64 = 100) -> GuardedLease {
        GuardedLease(since: seconds(since), ttl: seconds(30), margin: seconds(4), session: "s")
    }

    static func armed() -> DeadlineRule {
        var rule = DeadlineRule()
        rule.enforce(lease())
        return rule
    }

    @Test(
        "At one look",
        arguments: [
            (Int64(100), DeadlineRule.Action.wait(until: seconds(126))),
            (125, .wait(until: seconds(126))), (126, .quit), (127, .quit), (128, .kill), (130, .kill), (500, .kill),
        ])
    func oneLook(now: Int64, action: DeadlineRule.Action) {
        var rule = Self.armed()
        #expect(rule.next(now: Self.seconds(now), isRunning: true) == action)
    }

    @Test("After SIGQUIT it waits half of the margin, then kills as often as it is asked")
    func quitThenKill() {
        var rule = Self.armed()
        #expect(rule.next(now: Self.seconds(126), isRunning: true) == .quit)
        #expect(rule.next(now: Self.seconds(126), isRunning: true) == .wait(until: Self.seconds(128)))
        #expect(rule.next(now: Self.seconds(128), isRunning: true) == .kill)
        #expect(rule.next(now: Self.seconds(129), isRunning: true) == .kill)
        #expect(rule.next(now: Self.seconds(129), isRunning: false) == .wait(until: nil))
    }

    @Test("A renewal moves everything; one that comes after SIGQUIT does not send it again")
    func renewals() {
        var rule = Self.armed()
        rule.enforce(Self.lease(since: 110))
        #expect(rule.next(now: Self.seconds(126), isRunning: true) == .wait(until: Self.seconds(136)))
        #expect(rule.next(now: Self.seconds(136), isRunning: true) == .quit)
        rule.enforce(Self.lease(since: 130))
        #expect(rule.next(now: Self.seconds(137), isRunning: true) == .wait(until: Self.seconds(158)))
        rule.postmasterChanged()
        #expect(rule.next(now: Self.seconds(137), isRunning: true) == .wait(until: Self.seconds(156)))
    }

    @Test("Nothing is enforced while disarmed or without PostgreSQL")
    func disarmed() {
        var rule = Self.armed()
        #expect(rule.next(now: Self.seconds(500), isRunning: false) == .wait(until: nil))
        rule.disarm()
        #expect(rule.next(now: Self.seconds(500), isRunning: true) == .wait(until: nil))
    }
}
