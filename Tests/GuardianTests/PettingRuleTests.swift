import Testing

@testable import Guardian

@Suite("When the watchdog is petted")
struct PettingRuleTests {
    private static func lease(since: Int64 = 0, ttl: Int64 = 30_000, margin: Int64 = 3_000) -> GuardedLease {
        GuardedLease(since: since, ttl: ttl, margin: margin, session: "s")
    }

    /// All pets of a lease that nobody renews, looked at whenever the rule asks for it.
    private func pets(_ rule: inout PettingRule, from: Int64) -> [Int64] {
        var found: [Int64] = []
        var now = from
        for _ in 0..<100 {
            let (pets, wake) = rule.next(now: now)
            if pets { found.append(now) }
            guard let wake else { return found }
            #expect(wake > now)
            now = wake
        }
        Issue.record("it is asked for without end")
        return found
    }

    /// Milliseconds: the guardian kills half a margin before the lease ends, and only then the watchdog resets.
    @Test(
        "The reset comes after SIGKILL and before another node may lead, whatever the timeout",
        arguments: [25_000, 15_000, 8_000, 29_000, 1_000] as [Int64])
    func ends(_ timeout: Int64) throws {
        let lease = Self.lease()
        var rule = PettingRule()
        rule.renewed(lease, timeout: timeout)
        let pets = pets(&rule, from: 100)
        let last = try #require(pets.last)
        #expect(pets.first == 100)
        #expect(last + timeout > lease.deadline - lease.margin / 2 || pets == [100])
        #expect(last + timeout < lease.deadline)
        // It is never left alone for longer than it waits.
        for (earlier, later) in zip(pets, pets.dropFirst()) { #expect(later - earlier <= timeout / 2) }
    }

    @Test("A renewal pets again, and one that comes late does not")
    func renewals() {
        var rule = PettingRule()
        rule.renewed(Self.lease(), timeout: 25_000)
        #expect(rule.next(now: 100).pets)
        #expect(!rule.next(now: 200).pets)
        rule.renewed(Self.lease(), timeout: 25_000)
        #expect(!rule.next(now: 300).pets, "the same lease is no renewal")
        rule.renewed(Self.lease(since: 7_500), timeout: 25_000)
        #expect(rule.next(now: 7_600).pets)
        // A guardian that was frozen: a pet now would let the watchdog wait beyond the lease.
        rule.renewed(Self.lease(since: 15_000), timeout: 25_000)
        #expect(rule.next(now: 21_000) == (false, nil))
    }

    @Test("One that waits longer than a lease lasts is petted with each renewal; none is, while it is off")
    func long() {
        var rule = PettingRule()
        rule.renewed(Self.lease(), timeout: 60_000)
        #expect(rule.next(now: 100) == (true, nil))
        #expect(rule.next(now: 200) == (false, nil))
        rule.renewed(Self.lease(since: 7_500), timeout: 60_000)
        #expect(rule.next(now: 7_600) == (true, nil))
        rule.rest()
        #expect(rule.next(now: 7_700) == (false, nil))
        rule.renewed(Self.lease(since: 8_000), timeout: 0)
        #expect(rule.next(now: 8_100) == (false, nil))
    }
}
