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
                    connectionURL: "postgres://a:1/p", apiURL: "http://a:2/patroni", version: "4.1.5"),
                document: ["ttl": 30])
            setup.hasGuardian = true
            setup.inheritedLease = adopted
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
        effects.compactMap { if case .guardian(let order, _) = $0 { order } else { nil } }
    }

    @Test func aWritableServerIsArmedWithTheLeaseThatAnEarlierDaemonHad() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        let effects = scene.step(.node(.observed(scene.status(writable: true))))
        #expect(Self.orders(effects) == [.enforce(Self.lease, postmaster: 42)])
    }

    /// Found by the simulation (profile ground, seed 537): the timer of an order that was due no more went off without
    /// end.
    @Test func anOrderThatIsOwedNoMoreIsNotWaitedFor() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        let effects = scene.step(.node(.observed(scene.status(writable: true))))
        _ = scene.step(.store(.loaded(.failure(.unreachable("down")))))
        for order in Self.orders(effects) { _ = scene.step(.guardian(order, .failure(GuardianError("no answer")))) }
        _ = scene.step(.postmasterExited(42))
        var status = scene.status(writable: true)
        status.postmaster = nil
        status.facts = nil
        status.readiness = .down
        status.state = .crashed
        _ = scene.step(.node(.observed(status)))
        // What the machine asks for at the time that it has asked for lies later, each time.
        for _ in 0..<20 {
            let next = scene.step(.timer, after: .seconds(1)).compactMap { effect -> BootInstant? in
                if case .local(.setTimer(let instant)) = effect { instant } else { nil }
            }
            #expect(next.allSatisfy { $0 > scene.now })
        }
    }

    /// A guardian that has acknowledged nothing gets four chances; then PostgreSQL is restarted under another one.
    @Test(arguments: [3, 4]) func aGuardianThatHangsIsReplaced(_ failures: Int) {
        var scene = HonestTimeTests.leader()
        scene.machine.guardian = GuardianLink(acknowledged: nil, now: scene.now)
        for _ in 0..<failures { scene.machine.guardian?.fails("no answer", at: scene.now, ttl: .seconds(30)) }
        #expect(StartStepTests.operations(scene.step(.timer)) == (failures == 4 ? ["restart"] : []))
    }

    @Test func aStoreThatIsAwayAtTheStartLeavesPostgreSQLAloneWhileTheLeaseLasts() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        let effects = scene.step(.store(.loaded(.failure(.unreachable("down")))))
        #expect(!effects.contains { if case .node(.perform) = $0 { true } else { false } })
    }

    /// Found by the simulation (seed 23532): a daemon that was frozen as it started took its data directory for empty
    /// and gave the leader key away under a primary.
    @Test func aLeaderThatHasNotSeenPostgreSQLYetDecidesNothing() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        var effects = scene.step(.store(.loaded(.success(ShortLeaseTests.view(["n1"], config: ["ttl": 30])))))
        effects += scene.step(.timer, after: .seconds(14))
        #expect(
            !effects.contains {
                switch $0 {
                case .store(.release, _), .node(.perform), .store(.renew, _): true
                default: false
                }
            })
    }

    /// Found by the simulation (seed 2016565): the renewal with a shorter ttl was done and its answer lost.
    @Test func aLeaseEndsNoLaterThanARenewalWithAShorterTTLMayMakeIt() {
        let lease = Self.lease
        let sent = Self.start + .seconds(14)
        #expect(lease.shortened(to: .seconds(30), at: sent) == lease)
        #expect(lease.shortened(to: .seconds(16), at: sent) == lease)
        let shorter = lease.shortened(to: .seconds(4), at: sent)
        #expect(shorter.deadline == sent + .seconds(4))
        // Seed 9007974: of what is left, enough is for the answer.
        #expect(LeaseArithmetic.stopBy(shorter) > sent + .seconds(2))
    }

    @Test func aStandbyDisarmsAndWhatWasSeenBeforeTheStartDoesNot() {
        var scene = Scene()
        let early = scene.status(writable: false)
        _ = scene.step(.timer)
        #expect(Self.orders(scene.step(.node(.observed(early)))).isEmpty)
        #expect(Self.orders(scene.step(.node(.observed(scene.status(writable: false))))) == [.disarm])
    }

    /// The promotion was given up by whoever waits for it, and goes on in PostgreSQL: the guardian stays armed until
    /// that postmaster has ended.
    @Test func aPromotionThatIsPendingIsNotDisarmed() throws {
        var scene = HonestTimeTests.leader()
        scene.now = scene.now + .seconds(1)
        HonestTimeTests.acknowledge(scene.step(.node(.observed(scene.status(writable: false)))), &scene)
        var run = CycleMachine.Run(now: scene.now, wallTime: 0, writesLog: false)
        scene.machine.begin(Plan(.promote, [.postgreSQL(.promote)]), &run)
        let plan = try #require(scene.machine.progress?.number)
        HonestTimeTests.acknowledge(scene.step(.timer), &scene)
        _ = scene.step(.node(.performed(plan: plan, .failure(.timedOut("the promotion")))))
        for _ in 0..<5 {
            scene.now = scene.now + .seconds(1)
            var pending = scene.status(writable: false)
            pending.promotionWasAsked = true
            #expect(!Self.orders(scene.step(.node(.observed(pending)))).contains(.disarm))
        }
        var ended = scene.status(writable: false)
        ended.postmaster = nil
        ended.facts = nil
        scene.now = scene.now + .seconds(1)
        ended.observedAt = scene.now
        #expect(Self.orders(scene.step(.node(.observed(ended)))) == [.disarm])
    }

    /// So does that of an earlier daemon, whose guardian is armed over what looks like a standby.
    @Test func norIsOneThatAnEarlierDaemonAskedFor() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        for _ in 0..<3 {
            #expect(!Self.orders(scene.step(.node(.observed(scene.status(writable: false))))).contains(.disarm))
        }
    }

    @Test func whatIsNotAcknowledgedIsToldAgainAfterAPause() {
        var scene = Scene(adopted: Self.lease)
        _ = scene.step(.timer)
        let order = Self.orders(scene.step(.node(.observed(scene.status(writable: true)))))
        let failed = scene.step(.guardian(order[0], .failure(GuardianError("silent"))))
        #expect(Self.orders(failed).isEmpty)
        #expect(Self.orders(scene.step(.timer, after: .milliseconds(600))) == order)
        #expect(scene.machine.snapshot().guarding?.failure == "silent")
    }

    /// PostgreSQL was down, so the guardian is told to disarm; its answer is late, and PostgreSQL is started again.
    /// Whatever is still on its way, the lease is told before the start.
    @Test func aPrimaryIsStartedUnderAGuardianThatKnowsTheLease() {
        var scene = HonestTimeTests.leader()
        var waiting = scene.step(.postmasterExited(42))
        var told: [GuardOrder] = []
        var view = 10
        var isStarted = false
        for _ in 0..<60 where !isStarted {
            // A moment passes without anything new: the next cycle.
            if waiting.isEmpty { waiting = scene.step(.timer, after: .seconds(2)) }
            guard !waiting.isEmpty else { continue }
            switch waiting.removeFirst() {
            case .guardian(let order, _): told.append(order)
            case .node(.perform(.startPrimary, _, _)): isStarted = true
            case .node(.observe):
                var status = PostgreSQLStatus(
                    dataDirectory: .initialized, state: .crashed, observedAt: scene.now + .milliseconds(1))
                status.systemIdentifier = "7000000000000000001"
                status.control = ControlData(
                    state: .inProduction, systemIdentifier: "7000000000000000001", checkpoint: WALPosition(0x500_0000),
                    checkpointTimeline: 1)
                waiting += scene.step(.node(.observed(status)))
            case .store(.load, _), .store(.refresh, _):
                view += 1
                let seen = ShortLeaseTests.view(["n2:0.1"], config: ["ttl": 30], revision: Int64(view))
                waiting += scene.step(.store(.loaded(.success(seen))))
            case .store(.renew, _):
                let since = scene.now
                waiting += scene.step(.store(.renewed(.success(.held(since: since, ttl: .seconds(30), session: "s")))))
            default: break
            }
        }
        #expect(isStarted)
        // Nobody has answered the first order yet.
        #expect(told.first == .disarm)
        #expect(told.last.map { if case .enforce = $0 { true } else { false } } == true)
    }
}
