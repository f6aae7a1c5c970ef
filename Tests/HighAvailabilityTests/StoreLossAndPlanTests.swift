import ClusterModel
import HighAvailability
import Testing

@Suite struct StoreLossAndPlanTests {
    static let leading = Scene.view(leader: "n1")
    static let down = "no endpoint answers"

    static let rows: [Row] = [
        Row(
            description: "a primary with a fresh lease goes on without the store",
            seen: Scene.seen(leading, Scene.primary(), lease: Scene.lease(heldFor: .seconds(15)), storeFailure: down),
            expected: .action(.wait), because: ["store-unreachable"]),
        Row(
            description: "it stops in time before the lease can be taken",
            seen: Scene.seen(leading, Scene.primary(), lease: Scene.lease(heldFor: .seconds(22)), storeFailure: down),
            expected: .plan(.demoteOffline), because: ["store-unreachable-too-long"]),
        Row(
            description: "a primary that never held a lease stops",
            seen: Scene.seen(leading, Scene.primary(), storeFailure: down), expected: .plan(.demoteOffline),
            because: ["store-unreachable-too-long"]),
        Row(
            description: "a primary found running before the first view stops when the store stays away",
            seen: Scene.seen(nil, Scene.primary(), storeFailure: down), expected: .plan(.demoteOffline),
            because: ["store-unreachable-too-long"]),
        Row(
            description: "before the first answer nothing is touched",
            seen: Scene.seen(nil, Scene.primary()), expected: .action(.wait), because: ["never-loaded"]),
        Row(
            description: "a standby goes on",
            seen: Scene.seen(leading, Scene.standby(), storeFailure: down), expected: .action(.wait),
            because: ["store-unreachable"]),
        Row(
            description: "in pause a primary goes on",
            seen: Scene.seen(leading, Scene.primary(), settings: ["pause": true], storeFailure: down),
            expected: .action(.wait), because: ["store-unreachable-too-long", "paused"]),
        Row(
            description: "in pause a restart goes on, too",
            seen: Scene.seen(
                leading, Scene.primary(), lease: Scene.lease(heldFor: .seconds(29)), running: running(.restart),
                settings: ["pause": true], storeFailure: down), expected: .action(.wait),
            because: ["operation-running", "store-unreachable-too-long", "paused"]),
        Row(
            description: "and a promotion",
            seen: Scene.seen(
                leading, Scene.standby(), running: running(.promote), settings: ["pause": true], storeFailure: down),
            expected: .action(.wait), because: ["operation-running", "store-unreachable-too-long", "paused"]),
        Row(
            description: "a promotion does not outlive the lease",
            seen: Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(heldFor: .seconds(23)), running: running(.promote),
                storeFailure: down), expected: .breakOff(.demote),
            because: ["operation-running", "store-unreachable-too-long"]),
        Row(
            description: "a promotion goes on while the lease lasts",
            seen: Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(heldFor: .seconds(5)), running: running(.promote),
                storeFailure: down), expected: .action(.wait), because: ["operation-running", "store-unreachable"]),
        Row(
            description: "a base backup does not need the store",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.empty, running: running(.clone), storeFailure: down),
            expected: .action(.wait), because: ["operation-running", "store-unreachable"]),
        Row(
            description: "the leader renews while a plan runs",
            seen: Scene.seen(leading, Scene.stopped(), lease: Scene.lease(), running: running(.startPrimary)),
            expected: .action(.ask(.renewal)), because: ["operation-running"]),
        Row(
            description: "and lets it run",
            seen: Scene.seen(
                leading, Scene.stopped(), lease: Scene.lease(), renewal: .held, running: running(.startPrimary)),
            expected: .action(.wait), because: ["operation-running"]),
        Row(
            description: "a start as primary ends with the lease",
            seen: Scene.seen(leading, Scene.stopped(), renewal: .refused, running: running(.startPrimary)),
            expected: .breakOff(.demote), because: ["operation-running", "lease-refused"]),
        Row(
            description: "a promotion ends when the key is somebody else's",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.standby(), running: running(.promote)),
            expected: .breakOff(.demote), because: ["operation-running", "leader-key-held-by"]),
        Row(
            description: "a promotion ends when the key is gone",
            seen: Scene.seen(Scene.view(), Scene.standby(), running: running(.promote)), expected: .breakOff(.demote),
            because: ["operation-running", "leader-key-free"]),
        Row(
            description: "a bootstrap has no key yet",
            seen: Scene.seen(Scene.view(initialize: .inProgress), Scene.empty, running: running(.bootstrap)),
            expected: .action(.wait), because: ["operation-running", "leader-key-free"]),
        Row(
            description: "a bootstrap ends where another leads meanwhile",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.empty, running: running(.bootstrap)),
            expected: .breakOff(.demote), because: ["operation-running", "leader-key-held-by"]),
        Row(
            description: "who has shut down for somebody who does not come archives no longer than retry_timeout",
            seen: Scene.seen(Scene.view(), LeaderKeyTests.finished(.shutDown), running: running(.handOver)),
            memory: RequestCandidacyTests.leaderless(for: .seconds(10)), expected: .breakOff(.demote),
            because: ["operation-running", "leader-key-free", "finished-shut-down"]),
        Row(
            description: "likewise who was taken down because the store was away",
            seen: Scene.seen(Scene.view(), LeaderKeyTests.finished(.shutDown), running: running(.demoteOffline)),
            memory: RequestCandidacyTests.leaderless(for: .seconds(10)), expected: .breakOff(.demote),
            because: ["operation-running", "leader-key-free", "finished-shut-down"]),
        Row(
            description: "but not who goes for good",
            seen: Scene.seen(Scene.view(), LeaderKeyTests.finished(.shutDown), running: running(.demoteCluster)),
            memory: RequestCandidacyTests.leaderless(for: .seconds(10)), expected: .action(.wait),
            because: ["operation-running", "leader-key-free"]),
        Row(
            description: "for a moment nobody leads after each hand-over",
            seen: Scene.seen(Scene.view(), LeaderKeyTests.finished(.shutDown), running: running(.handOver)),
            memory: RequestCandidacyTests.leaderless(for: .milliseconds(9_999)), expected: .action(.wait),
            because: ["operation-running", "leader-key-free"]),
        Row(
            description: "a restart of a standby needs no lease",
            seen: Scene.seen(Scene.view(leader: "n2"), Scene.standby(), running: running(.restart)),
            expected: .action(.wait), because: ["operation-running", "leader-key-held-by"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) {
        row.check()
    }

    @Test func theCleanStopEndsBeforeTheMargin() throws {
        let lease = Scene.lease(heldFor: .seconds(22))
        let (decision, _) = Scene.decided(
            Scene.seen(Self.leading, Scene.primary(), lease: lease, storeFailure: Self.down))
        guard case .carryOut(let plan) = decision.action,
            case .postgreSQL(.stop(.fast, let timeout, _))? = plan.steps.first
        else {
            Issue.record("no clean stop: \(decision)")
            return
        }
        #expect(Scene.now + timeout == LeaseArithmetic.haltBy(lease))
        #expect(LeaseArithmetic.haltBy(lease) < lease.deadline)
        #expect(plan.steps.last == .postgreSQL(.startStandby(of: nil, timeout: .seconds(300))))
    }

    /// Daemon and guardian end PostgreSQL at the same instant, whatever margin is configured.
    @Test func aConfiguredMarginHoldsForTheDaemonToo() {
        var lease = Lease(since: Scene.now, ttl: .seconds(30), safetyMargin: .seconds(5))
        #expect(lease.margin == .seconds(5))
        #expect(LeaseArithmetic.haltBy(lease) == lease.deadline - .seconds(5))
        #expect(lease.shortened(to: .seconds(20), at: Scene.now + .seconds(1)).margin == .seconds(5))
        lease.safetyMargin = .seconds(20)
        #expect(lease.margin == .milliseconds(7500))
        lease.safetyMargin = nil
        #expect(lease.margin == .seconds(3))
    }

    @Test(arguments: [3, 5, 10, 20, 30, 300], [nil, 1, 60] as [Int?])
    func everyTtlLeavesRoomToRenewAndToStop(_ seconds: Int, margin: Int?) {
        let ttl = Duration.seconds(seconds)
        let lease = Lease(since: Scene.now, ttl: ttl, safetyMargin: margin.map { .seconds($0) })
        let timings = ClusterTimings(ttl: ttl, loopWait: .seconds(10), retryTimeout: .seconds(10))
        let renewal = LeaseArithmetic.renewalInterval(timings, safetyMargin: lease.safetyMargin)
        #expect(renewal * 2 <= LeaseArithmetic.stopBy(lease) - lease.since)
        #expect(LeaseArithmetic.lookInterval(timings) <= renewal)
        #expect(LeaseArithmetic.looksProlong(timings) <= ttl / 2)
        #expect(LeaseArithmetic.stopBy(lease) < LeaseArithmetic.haltBy(lease))
        #expect(lease.deadline - LeaseArithmetic.haltBy(lease) >= .milliseconds(500))
        // Two cycles in a row may each lose an observation and still renew in time.
        let slowest = renewal + LeaseArithmetic.observationPatience(ttl: ttl)
        #expect(lease.since + slowest + LeaseArithmetic.retryInterval(timings) < LeaseArithmetic.stopBy(lease))
        #expect(lease.isValid(at: lease.deadline - .nanoseconds(1)))
        #expect(!lease.isValid(at: lease.deadline))
    }

    /// The stall of an arbitrary part that a healthy leader outlasts: docs/time.md says how much of it each ttl leaves.
    @Test(arguments: [(3, 1, 750), (5, 1, 1500), (10, 10, 3166), (20, 10, 6000), (24, 10, 6000), (30, 10, 7000)])
    func aStallIsOutlasted(_ seconds: Int, loopWait: Int, least: Int) {
        let ttl = Duration.seconds(seconds)
        let lease = Lease(since: Scene.now, ttl: ttl)
        let timings = ClusterTimings(ttl: ttl, loopWait: .seconds(loopWait), retryTimeout: .seconds(1))
        let slowest = LeaseArithmetic.renewalInterval(timings) + LeaseArithmetic.observationPatience(ttl: ttl)
        #expect(LeaseArithmetic.stopBy(lease) - (lease.since + slowest) >= .milliseconds(least))
    }

    /// At the default times the store is asked no more often than Patroni asks it: once in loop_wait.
    @Test func theDefaultIsRenewedOnceInLoopWait() {
        #expect(LeaseArithmetic.renewalInterval(ClusterTimings()) == .seconds(10))
        #expect(LeaseArithmetic.lookInterval(ClusterTimings()) == .milliseconds(7500))
    }

    static func running(_ kind: Plan.Kind) -> RunningPlan {
        RunningPlan(plan: Plan(kind, []), since: Scene.now - .seconds(3))
    }
}
