import ClusterModel
import HighAvailability
import Testing

@testable import Node

/// What the guardian is told when.
@Suite struct GuardianLinkTests {
    private let now = BootInstant(nanoseconds: 1_000_000_000)
    private var enforce: GuardOrder { .enforce(Lease(since: now, ttl: .seconds(30)), postmaster: 7) }

    @Test func anOrderIsGivenOnceAndOneAtATime() {
        var link = GuardianLink(acknowledged: nil, now: now)
        let given = [enforce, enforce, .disarm].map { link.tells($0, opensTheDoor: false, at: now) }
        #expect(given == [true, false, false])
        let answered = [link.isAnswered(.disarm), link.isAnswered(enforce)]
        let next = link.tells(.disarm, opensTheDoor: false, at: now)
        #expect(answered == [false, true] && next)
    }

    /// Nothing that the guardian is being told keeps it from knowing the lease before PostgreSQL may write.
    @Test func theLeaseComesBeforeTheDoorIsOpened() {
        var link = GuardianLink(acknowledged: nil, now: now)
        let given = [GuardOrder.disarm, enforce].map { link.tells($0, opensTheDoor: true, at: now) }
        #expect(given == [true, true] && link.told == enforce)
        link.fails("gone", at: now, ttl: .seconds(30))
        let again = link.tells(enforce, opensTheDoor: true, at: now)
        #expect(again)
    }

    @Test func theLeaseThatItKnowsIsTheOneThatItAcknowledged() {
        let lease = Lease(since: now, ttl: .seconds(30))
        var link = GuardianLink(acknowledged: lease, now: now)
        #expect(link.facts.acknowledged == lease)
        link.fails("gone", at: now, ttl: .seconds(30))
        #expect(link.facts.acknowledged == lease && link.facts.failure == "gone" && link.told == nil)
        link.acknowledges(.disarm, GuardianStatus(pid: 1))
        #expect(link.facts.acknowledged == nil && link.facts.failure == nil && link.failures == 0)
    }

    @Test func aShortLeaseAllowsShortPausesOnly() {
        var link = GuardianLink(acknowledged: nil, now: now)
        let pauses = (0..<5).map { _ in
            link.fails("gone", at: now, ttl: .seconds(12))
            return ((link.retryAt ?? now) - now).inSeconds
        }
        #expect(pauses == [0.5, 1, 2, 2, 2])
    }
}
