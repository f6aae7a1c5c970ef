import ClusterModel
import HighAvailability
import JSON
import Ports
import Testing

@testable import Node

/// What the machine tells the guardian, and when.
@Suite struct GuardianOrderTests {
    static let start = BootInstant(nanoseconds: 1_000_000_000_000)
    static let lease = Lease(since: start, ttl: .seconds(30), session: "s")

    struct Scene {
        var machine: CycleMachine
        var now = GuardianOrderTests.start

        init(adopted: Lease? = nil) {
            var setup = CycleMachine.Setup(
                scope: "test", me: NodeIdentity(name: "n1"),
                addresses: MemberKey.Addresses(
                    connectionURL: "postgres://a:1/p", apiURL: "http://a:2/patroni", version: "4.1.4"),
                document: ["ttl": 30])
            setup.hasGuardian = true
            setup.adoptedLease = adopted
            machine = CycleMachine(setup, now: now)
        }

        mutating func step(_ event: CycleEvent, after: Duration = .milliseconds(10)) -> [CycleEffect] {
            now = now + after
            return machine.step(event, now: now, wallTime: 0)
        }

        func status(writable: Bool) -> PostgreSQLStatus {
            var status = PostgreSQLStatus(
                dataDirectory: .initialized, state: .running, postmaster: 42, observedAt: now)
            status.readiness = .accepting
            status.systemIdentifier = "7000000000000000001"
            status.hasStandbySignal = !writable
            status.facts = PostgreSQLStatus.Facts(inRecovery: !writable, timeline: 1)
            return status
        }
    }

    static func orders(_ effects: [CycleEffect]) -> [GuardOrder] {
        effects.compactMap { if case .guardLease(let order, _) = $0 { order } else { nil } }
    }

    @Test func aWritableServerIsArmedWithTheLeaseThatAnEarlierDaemonHad() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        let effects = scene.step(.observed(scene.status(writable: true)))
        #expect(Self.orders(effects) == [.enforce(Self.lease, postmaster: 42)])
    }

    @Test func aStoreThatIsAwayAtTheStartLeavesPostgreSQLAloneWhileTheLeaseLasts() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        _ = scene.step(.observed(scene.status(writable: true)))
        let effects = scene.step(.loaded(.failure(.unreachable("down"))))
        #expect(!effects.contains { if case .perform = $0 { true } else { false } })
    }

    /// Found by the simulation (seed 23532): a daemon that was frozen as it started took its data directory for empty
    /// and gave the leader key away under a primary.
    @Test func aLeaderThatHasNotSeenPostgreSQLYetDecidesNothing() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        var effects = scene.step(.loaded(.success(ShortLeaseTests.view(["n1"], config: ["ttl": 30]))))
        effects += scene.step(.timer, after: .seconds(14))
        #expect(
            !effects.contains {
                switch $0 {
                case .release, .perform, .renew: true
                default: false
                }
            })
    }

    /// Found by the simulation (seed 2016565): the renewal with a shorter ttl was done and its answer lost.
    @Test func aLeaseEndsNoLaterThanARenewalWithAShorterTTLMayMakeIt() {
        let lease = Self.lease
        #expect(lease.shortened(to: lease.deadline + .seconds(1)) == lease)
        let shorter = lease.shortened(to: Self.start + .seconds(18))
        #expect(shorter.deadline == Self.start + .seconds(18) && shorter.since == lease.since)
    }

    @Test func aStandbyDisarmsAndWhatWasSeenBeforeTheStartDoesNot() {
        var scene = Scene()
        let early = scene.status(writable: false)
        _ = scene.step(.timer)
        #expect(Self.orders(scene.step(.observed(early))).isEmpty)
        #expect(Self.orders(scene.step(.observed(scene.status(writable: false)))) == [.disarm])
    }

    @Test func whatIsNotAcknowledgedIsToldAgainAfterAPause() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        let order = Self.orders(scene.step(.observed(scene.status(writable: true))))
        let failed = scene.step(.guarded(order[0], .failure(GuardianError("silent"))))
        #expect(Self.orders(failed).isEmpty)
        #expect(Self.orders(scene.step(.timer, after: .milliseconds(600))) == order)
        #expect(scene.machine.snapshot().guarding?.failure == "silent")
    }
}

/// What a short ttl needs of the machine.
@Suite struct ShortLeaseTests {
    static func view(_ members: [String], config: JSONObject, revision: Int64 = 5) -> ClusterView {
        let keys = members.map { entry in
            let parts = entry.split(separator: ":").map(String.init)
            let mark = parts.count > 1 ? ", \"matriarch\": \"\(parts[1])\"" : ""
            return StoredEntry(
                leaf: "members/\(parts[0])", value: "{\"state\": \"running\"\(mark)}", revision: 1, session: "s")
        }
        let others = [
            StoredEntry(leaf: "config", value: JSON.text(.object(config)), revision: 2),
            StoredEntry(leaf: "initialize", value: "7000000000000000001", revision: 1),
            StoredEntry(leaf: "leader", value: "n1", revision: 3, session: "s"),
        ]
        return ClusterView(entries: keys + others, revision: revision) { try? JSON.parse($0) }
    }

    static func ttls(_ effects: [CycleEffect]) -> [Duration] {
        effects.compactMap { if case .adoptTimings(let timings) = $0 { timings.ttl } else { nil } }
    }

    static func load(_ scene: inout GuardianOrderTests.Scene, _ view: ClusterView) -> [CycleEffect] {
        var effects = scene.step(.woken("test"), after: .seconds(40))
        effects += scene.step(.loaded(.success(view)))
        return effects + scene.step(.observed(scene.status(writable: false)))
    }

    @Test func aMemberOfThePeersRaisesTheTtlForAsLongAsItIsThere() {
        var scene = GuardianOrderTests.Scene()
        let config: JSONObject = ["ttl": 5]
        #expect(Self.ttls(Self.load(&scene, Self.view(["n2:0.1"], config: config))) == [.seconds(5)])
        #expect(scene.machine.settings.timings.retryTimeout == .seconds(2))
        scene.machine.phase = .idle
        let raised = Self.load(&scene, Self.view(["n2:0.1", "n3"], config: config, revision: 6))
        #expect(Self.ttls(raised) == [.seconds(20)])
        let warned = raised.contains { effect in
            if case .log(.warning, let text) = effect { text.contains("n3 runs Patroni") } else { false }
        }
        #expect(warned)
        scene.machine.phase = .idle
        #expect(Self.ttls(Self.load(&scene, Self.view(["n2:0.1"], config: config, revision: 7))) == [.seconds(5)])
    }

    @Test func aLeaderRenewsThoughItsPostgreSQLIsSlowToAnswer() {
        let lease = Lease(since: GuardianOrderTests.start, ttl: .seconds(3), session: "s")
        var scene = GuardianOrderTests.Scene(adopted: lease)
        _ = scene.step(.timer)
        _ = scene.step(.observed(scene.status(writable: true)))
        _ = scene.step(.loaded(.success(Self.view(["n2:0.1"], config: ["ttl": 3]))))
        _ = scene.step(.renewed(.success(.held(since: scene.now, ttl: .seconds(3), session: "s"))))
        _ = scene.step(.woken("the next cycle"), after: .milliseconds(750))
        let waiting = scene.step(.loaded(.success(Self.view(["n2:0.1"], config: ["ttl": 3], revision: 6))))
        #expect(!Self.renews(waiting))
        #expect(Self.renews(scene.step(.timer, after: .milliseconds(500))))
    }

    private static func renews(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .renew = $0 { true } else { false } }
    }
}

/// Time by injection: what a stepped clock, a suspended host and a slow reply do to a leader.
@Suite struct HonestTimeTests {
    static let config: JSONObject = ["ttl": 30]

    /// A leader whose lease was just renewed.
    static func leader() -> GuardianOrderTests.Scene {
        var scene = GuardianOrderTests.Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        let armed = scene.step(.observed(scene.status(writable: true)))
        acknowledge(armed, &scene)
        _ = scene.step(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: config))))
        let renewed = scene.step(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s"))))
        acknowledge(renewed, &scene)
        return scene
    }

    static func acknowledge(_ effects: [CycleEffect], _ scene: inout GuardianOrderTests.Scene) {
        for order in GuardianOrderTests.orders(effects) {
            let next = scene.step(.guarded(order, .success(GuardianStatus(pid: 1))))
            acknowledge(next, &scene)
        }
    }

    static func stops(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .perform(.stop, _, _) = $0 { true } else { false } }
    }

    @Test(arguments: [Int64.min, -1, 0, 86_400_000_000_000, Int64.max / 2])
    func aWallClockThatStepsChangesNothing(wallTime: Int64) {
        var scene = Self.leader()
        let deadline = scene.machine.snapshot().lease?.deadline
        scene.now = scene.now + .seconds(1)
        let effects = scene.machine.step(.timer, now: scene.now, wallTime: wallTime)
        #expect(!Self.stops(effects))
        #expect(scene.machine.snapshot().lease?.deadline == deadline)
        #expect(scene.machine.snapshot().isLeader(at: scene.now))
    }

    @Test func aHostThatWasSuspendedIsNoLeaderBeforeItsFirstStep() {
        let scene = Self.leader()
        let snapshot = scene.machine.snapshot()
        #expect(snapshot.isLeader(at: scene.now))
        // CLOCK_BOOTTIME has gone on: what was published before ends by itself, and whatever event comes first, the
        // machine stops PostgreSQL with it.
        #expect(!snapshot.isLeader(at: scene.now + .seconds(60)))
        var asleep = scene
        #expect(
            Self.stops(asleep.step(.timer, after: .seconds(60)) + asleep.step(.loaded(.failure(.unreachable("x"))))))
    }

    @Test func aReplyThatWasSlowCountsFromBeforeItsRequest() {
        var scene = Self.leader()
        _ = scene.step(.woken("the next cycle"), after: .seconds(7))
        let sent = scene.now
        _ = scene.step(.observed(scene.status(writable: true)))
        _ = scene.step(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: Self.config, revision: 6))))
        let effects = scene.step(
            .renewed(.success(.held(since: sent, ttl: .seconds(30), session: "s"))), after: .seconds(9))
        #expect(scene.machine.snapshot().lease?.deadline == sent + .seconds(30))
        #expect(
            GuardianOrderTests.orders(effects).first
                == .enforce(Lease(since: sent, ttl: .seconds(30), session: "s"), postmaster: 42))
    }

    @Test func aReplyThatComesAfterTheLeaseRenewsNothing() {
        var scene = Self.leader()
        _ = scene.step(.woken("the next cycle"), after: .seconds(7))
        let sent = scene.now
        _ = scene.step(.observed(scene.status(writable: true)))
        _ = scene.step(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: Self.config, revision: 6))))
        _ = scene.step(.renewed(.success(.held(since: sent, ttl: .seconds(30), session: "s"))), after: .seconds(31))
        #expect(!scene.machine.snapshot().isLeader(at: scene.now))
    }

    /// Seed 5006378 of the simulation: a daemon was frozen between its first look and its renewal, while another led.
    @Test func onlyWhoseClaimHasNotEndedPutsAKeyThatIsGoneAgain() {
        func renewal(_ adopted: Lease?, frozenFor pause: Duration) -> Bool? {
            var scene = GuardianOrderTests.Scene(adopted: adopted)
            _ = scene.step(.timer)
            Self.acknowledge(scene.step(.observed(scene.status(writable: true))), &scene)
            let looked = ShortLeaseTests.view(["n2:0.1"], config: Self.config)
            for case .renew(_, let replacingGone, _) in scene.step(.loaded(.success(looked)), after: pause) {
                return replacingGone
            }
            return nil
        }
        #expect(renewal(GuardianOrderTests.lease, frozenFor: .zero) == true)
        #expect(renewal(nil, frozenFor: .zero) == false)
        #expect(renewal(GuardianOrderTests.lease, frozenFor: .seconds(40)) != true)
    }

    @Test func aDaemonThatLeavesStopsNothing() {
        var scene = Self.leader()
        let effects = scene.step(.leaveRequested)
        #expect(effects.contains { if case .exit(code: 0) = $0 { true } else { false } })
        #expect(!Self.stops(effects))
    }
}
