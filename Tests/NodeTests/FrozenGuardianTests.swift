import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// A guardian that has taken a lease, and does not come round any more (docs/time.md, case 6).
@Suite struct FrozenGuardianTests {
    static let ttls = [3, 4, 5, 7, 10, 12, 20, 25, 30, 60]

    @Test(arguments: ttls) func twoOrdersFitIntoWhatIsLeftOfALease(_ seconds: Int) throws {
        let ttl = Duration.seconds(seconds)
        let timings = try ClusterTimings.adjusted(document: ["ttl": .int(Int64(seconds))]).timings
        for margin in [nil, Duration.milliseconds(100), ttl / 4] {
            let lease = Lease(since: GuardianOrderTests.start, ttl: ttl, session: "s", safetyMargin: margin)
            let renewed = lease.since + LeaseArithmetic.renewalInterval(timings, safetyMargin: margin)
            let known =
                renewed + LeaseArithmetic.guardianPatience(ttl: ttl) * 2 + LeaseArithmetic.guardianPause(ttl: ttl)
            // A renewal has time for its own answer, but where the margin is as wide as can be.
            let answer = margin == nil ? ttl / 15 : .zero
            #expect(known + answer <= LeaseArithmetic.stopBy(lease))
        }
    }

    /// From the moment on at which it has acknowledged a lease.
    @Test(arguments: ttls) func anotherTakesItsPlaceInTime(_ seconds: Int) throws {
        var story = Story(ttl: seconds)
        let lease = try #require(story.acknowledged)
        let replaced = story.run(until: lease.deadline)
        let begun = try #require(replaced)
        #expect(begun <= LeaseArithmetic.stopBy(lease) + .milliseconds(50))
        #expect(story.silent >= 2)
    }

    /// A healthy leader whose every question but those to the guardian is answered within ten milliseconds.
    private struct Story {
        private var machine: CycleMachine
        private var now = GuardianOrderTests.start
        private var events: [(at: BootInstant, event: CycleEvent)] = []
        private let config: JSONObject
        private var revision: Int64 = 5
        /// What the guardian knew before it stood still.
        private(set) var acknowledged: Lease?
        /// Orders that it has not answered.
        private(set) var silent = 0

        init(ttl: Int) {
            config = ["ttl": .int(Int64(ttl))]
            let lease = Lease(since: now, ttl: .seconds(ttl), session: "s")
            var setup = CycleMachine.Setup(
                scope: "test", me: NodeIdentity(name: "n1"),
                addresses: MemberKey.Addresses(
                    connectionURL: "postgres://a:1/p", apiURL: "http://a:2/patroni", version: "4.1.5"),
                document: config)
            setup.hasGuardian = true
            setup.inheritedLease = lease
            acknowledged = lease
            machine = CycleMachine(setup, now: now)
            events = [(now + .milliseconds(1), .timer)]
        }

        /// When PostgreSQL is restarted under another guardian; nil where it is not.
        mutating func run(until end: BootInstant) -> BootInstant? {
            while let index = events.indices.min(by: { events[$0].at < events[$1].at }) {
                let next = events.remove(at: index)
                now = max(now, next.at)
                if now > end { return nil }
                let effects = machine.step(next.event, now: now, wallTime: 0)
                if StartStepTests.operations(effects).contains("restart") { return now }
                for effect in effects { answer(effect) }
            }
            return nil
        }

        private mutating func answer(_ effect: CycleEffect) {
            let soon = now + .milliseconds(10)
            switch effect {
            case .guardian(let order, let deadline):
                if case .enforce(let lease, _) = order, lease.since == acknowledged?.since {
                    return events.append((soon, .guardian(order, .success(GuardianStatus(pid: 1)))))
                }
                silent += 1
                events.append((deadline, .guardian(order, .failure(GuardianError("no answer")))))
            case .node(.observe):
                var status = PostgreSQLStatus(
                    dataDirectory: .initialized, state: .running, postmaster: 42, observedAt: now)
                status.readiness = .accepting
                status.systemIdentifier = "7000000000000000001"
                status.facts = PostgreSQLStatus.Facts(inRecovery: false, timeline: 1)
                events.append((soon, .node(.observed(status))))
            case .store(.load, _), .store(.refresh, _):
                revision += 1
                let view = ShortLeaseTests.view(["n1:0.1", "n2:0.1"], config: config, revision: revision)
                events.append((soon, .store(.loaded(.success(view)))))
            case .store(.renew, _):
                let ttl = machine.settings.timings.ttl
                events.append((soon, .store(.renewed(.success(.held(since: now, ttl: ttl, session: "s"))))))
            case .store(.touch, _): events.append((soon, .store(.touched(.success(())))))
            case .store(.write(_, _, _, let purpose), _):
                events.append((soon, .store(.wrote(purpose, .success(.written(Revision(revision)))))))
            case .local(.setTimer(let at)): events.append((at, .timer))
            case .store, .node, .peers, .failsafe, .local: break
            }
        }
    }
}
