import ClusterModel
import HighAvailability
import Testing

@testable import Node

/// Whom a leader would ask, whatever became of its writes and however old a view is; and what a member has promised.
@Suite struct FailsafeStandingTests {
    private static let now = BootInstant(nanoseconds: 1_000_000_000_000)

    private static func view(_ names: [String]?, revision: Revision, of key: Revision? = nil) -> ClusterView {
        var view = ClusterView(revision: revision)
        view.failsafe = names.map { Dictionary(uniqueKeysWithValues: $0.map { ($0, "x") }) }
        view.failsafeRevision = key ?? (names == nil ? nil : revision)
        return view
    }

    private static func leading(_ names: [String]?, revision: Revision = 10, of key: Revision? = nil)
        -> FailsafeStanding
    {
        var standing = FailsafeStanding(began: now)
        standing.see(view(names, revision: revision, of: key), isLeading: true, hasLease: true)
        return standing
    }

    private static func map(_ names: String...) -> [String: String] {
        Dictionary(uniqueKeysWithValues: names.map { ($0, "x") })
    }

    @Test func isKnownOnlyFromAViewOfThisLeadership() {
        var standing = FailsafeStanding(began: Self.now)
        standing.see(Self.view(["n1", "n2"], revision: 10), isLeading: false, hasLease: false)
        #expect(standing.members == nil)
        // It names us, but is of an earlier leadership of ours.
        standing.see(Self.view(["n1"], revision: 9), isLeading: true, hasLease: true)
        #expect(standing.members == nil)
        standing.see(Self.view(["n1", "n2"], revision: 11), isLeading: true, hasLease: true)
        #expect(standing.members == Self.map("n1", "n2"))
        standing.forgetMembers()
        #expect(standing.members == nil)
    }

    /// Its revisions are lower, and what it says counts.
    @Test func aViewOfTheStoresNextLifeCounts() {
        var standing = Self.leading(["n1"], revision: 1000)
        standing.storeBeganAnew()
        standing.see(Self.view(["n1", "n2"], revision: 7), isLeading: true, hasLease: true)
        #expect(standing.members == Self.map("n1", "n2"))
        #expect(standing.write(Self.map("n1"), seen: Self.view(["n1", "n2"], revision: 7)) == .some(7))
    }

    @Test func anOlderViewTakesNothingBack() {
        var standing = Self.leading(["n1"], revision: 10)
        let condition = standing.write(Self.map("n1", "n2"), seen: Self.view(["n1"], revision: 10))
        #expect(condition == .some(10))
        standing.wrote(at: 12)
        standing.see(Self.view(["n1"], revision: 11, of: 10), isLeading: true, hasLease: true)
        #expect(standing.members == Self.map("n1", "n2"))
    }

    /// It may have been done, or be done yet.
    @Test func aWriteWithoutAnAnswerCountsUntilItCannotBeDoneAnyMore() {
        var standing = Self.leading(["n1"], revision: 10)
        _ = standing.write(Self.map("n1", "n2"), seen: Self.view(["n1"], revision: 10))
        #expect(standing.members == Self.map("n1", "n2"))
        standing.see(Self.view(["n1"], revision: 14, of: 10), isLeading: true, hasLease: true)
        #expect(standing.members == Self.map("n1", "n2"))
        // n2 is gone meanwhile: it is written all the same, to make an end of the first.
        #expect(standing.write(Self.map("n1"), seen: Self.view(["n1"], revision: 14, of: 10)) == .some(10))
        standing.see(Self.view(["n1"], revision: 16, of: 15), isLeading: true, hasLease: true)
        #expect(standing.members == Self.map("n1"))
        #expect(standing.write(Self.map("n1"), seen: Self.view(["n1"], revision: 16, of: 15)) == nil)
    }

    @Test func aKeyThatIsNotThereIsMade() {
        var standing = Self.leading(nil)
        #expect(standing.members == nil)
        #expect(standing.write(Self.map("n1"), seen: Self.view(nil, revision: 10)) == .some(nil))
        standing.wrote(at: 11)
        #expect(standing.members == Self.map("n1"))
    }

    /// After an outage of the store all keys are gone but the leader's own.
    @Test func whoIsGoneIsNamedForATTL() {
        var standing = Self.leading(["n1", "n2"])
        func wanted(_ present: [String: String], _ after: Duration) -> [String: String] {
            standing.wanted(present, ttl: .seconds(30), at: Self.now + after)
        }
        #expect(wanted(Self.map("n1"), .zero) == Self.map("n1", "n2"))
        #expect(wanted(Self.map("n1", "n3"), .seconds(29)) == Self.map("n1", "n2", "n3"))
        #expect(wanted(Self.map("n1", "n3"), .seconds(30)) == Self.map("n1", "n3"))
        // It was back meanwhile.
        #expect(wanted(Self.map("n1", "n2"), .seconds(31)) == Self.map("n1", "n2"))
        #expect(wanted(Self.map("n1"), .seconds(40)) == Self.map("n1", "n2"))
    }

    /// Nothing was to be written while the member was there: its key counts as gone from its end on all the same.
    @Test func whoWasSeenMeanwhileIsGoneAnew() {
        var standing = Self.leading(["n1", "n2"])
        func wanted(_ after: Duration) -> [String: String] {
            standing.wanted(Self.map("n1"), ttl: .seconds(30), at: Self.now + after)
        }
        #expect(wanted(.zero) == Self.map("n1", "n2"))
        var view = Self.view(["n1", "n2"], revision: 20)
        view.members = [Member(name: "n1", data: [:]), Member(name: "n2", data: [:])]
        standing.see(view, isLeading: true, hasLease: true)
        #expect(wanted(.seconds(31)) == Self.map("n1", "n2"))
        #expect(wanted(.seconds(61)) == Self.map("n1"))
    }

    @Test func aPromiseIsNeverMadeShorter() throws {
        var standing = FailsafeStanding(began: Self.now)
        let ping = FailsafePing(name: "n2", connectionURL: "a", apiURL: "b", ttl: .seconds(60))
        standing.accept(ping, DynamicConfiguration(), at: Self.now)
        var second = ping
        second.ttl = nil
        standing.accept(second, DynamicConfiguration(), at: Self.now + .seconds(5))
        #expect(standing.promise?.until == Self.now + .seconds(60))
        #expect(standing.kept(at: Self.now + .seconds(59)) != nil && standing.kept(at: Self.now + .seconds(60)) == nil)
    }

    /// What it may have promised before it began can only have been promised to who is no primary any more.
    @Test(
        "A daemon that has begun lately need not keep back when who led hands over",
        arguments: [
            (NodeRole.primary, "n1", false, nil), (.primary, "n1", true, now), (.primary, "n3", false, now),
            (.primary, nil, false, now), (.replica, "n1", false, now),
        ] as [(NodeRole, String?, Bool, BootInstant?)])
    func aHandOverEndsWhatMayHaveBeenPromised(
        role: NodeRole, handedOverBy name: String?, beganLater: Bool, began: BootInstant?
    ) {
        var led = Self.view(["n1", "n2"], revision: 10)
        led.leader = LeaderRecord(name: "n1", session: "s", revision: 2)
        led.members = [Member(name: "n1", data: ["role": .string(role.rawValue)])]
        var free = led
        free.leader = nil
        free.status.handedOverBy = name
        var standing = FailsafeStanding(began: Self.now)
        if !beganLater { standing.heed(led) }
        standing.heed(free)
        #expect(standing.facts(granted: nil).began == began)
    }

    /// It has handed over before, leads again, and parts from the store before it has written `/status`.
    @Test func aHandOverOfBeforeSaysNothing() {
        var led = Self.view(["n1", "n2"], revision: 10)
        led.leader = LeaderRecord(name: "n1", session: "s", revision: 2)
        led.members = [Member(name: "n1", data: ["role": "primary"])]
        led.status.handedOverBy = "n1"
        var free = led
        free.leader = nil
        var standing = FailsafeStanding(began: Self.now)
        standing.heed(led)
        standing.heed(free)
        #expect(standing.facts(granted: nil).began == Self.now)
    }
}
