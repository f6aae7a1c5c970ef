import ClusterModel

/// The store does not answer (ha-loop.md §16.1). The peer gives up after retry_timeout; here the lease decides: as long
/// as nobody else can have taken the key, a healthy primary goes on, and it stops in time before somebody can.
func storeLossRule(_ seen: Observation, _ failure: String) -> Decision {
    let remaining = seen.lease.map { $0.deadline - seen.now }
    let unreachable = Reason.store(.unreachable(failure, leaseRemaining: remaining))
    if let running = seen.running { return whileRunning(seen, running, failure) }
    guard seen.local.mayAcceptWrites else { return Decision(.wait, unreachable) }
    if seen.settings.isPaused { return Decision(.wait, unreachable, .paused) }
    if let lease = seen.lease, seen.now < LeaseArithmetic.stopBy(lease) { return Decision(.wait, unreachable) }
    return Decision(
        .carryOut(DemotionPlans.offline(seen)), .store(.unreachableTooLong(failure, leaseRemaining: remaining)))
}

/// A plan that leaves PostgreSQL writable must not outlive the lease; one that takes it down goes on.
private func whileRunning(_ seen: Observation, _ running: RunningPlan, _ failure: String) -> Decision {
    let remaining = seen.lease.map { $0.deadline - seen.now }
    let unreachable = Reason.store(.unreachable(failure, leaseRemaining: remaining))
    let busy = Reason.plan(.running(running.plan.kind, for: seen.now - running.since))
    // In pause PostgreSQL goes on without a lease, and so does what an operator does to it.
    guard running.plan.kind.mayLeaveWritable, !seen.settings.isPaused, needsLease(seen, running),
        seen.lease.map({ seen.now >= LeaseArithmetic.stopBy($0) }) ?? true
    else {
        return Decision(.wait, busy, unreachable)
    }
    return Decision(
        .breakOff(DemotionPlans.lost(seen)), busy, .store(.unreachableTooLong(failure, leaseRemaining: remaining)))
}

extension Plan.Kind {
    /// Whether PostgreSQL may accept writes while the plan runs or when it is done, which only the holder of the lease
    /// may allow.
    var mayLeaveWritable: Bool {
        switch self {
        case .startPrimary, .promote, .restart, .handOver, .shutdown: true
        // A bootstrap has no leader key to lose yet; the others take PostgreSQL down or keep it in recovery.
        case .bootstrap, .clone, .startStandby, .follow, .demote, .demoteOffline, .resumeReplay, .rewind, .stopParted,
            .reclone, .reinitialize,
            .recoverSingleUser:
            false
        }
    }
}

/// The ways to take a primary down (ha-loop.md §13).
enum DemotionPlans {
    /// The lease is gone or somebody else's: nothing may wait.
    static func lost(_ seen: Observation) -> Plan {
        Plan(.demote, [.postgreSQL(.stop(.immediate, timeout: .seconds(5)))])
    }

    /// The lease still runs: a clean stop until `haltBy`, then read-only and following nobody.
    static func offline(_ seen: Observation) -> Plan {
        let left = seen.lease.map { LeaseArithmetic.haltBy($0) - seen.now } ?? .zero
        let stop: PostgreSQLOperation =
            left > .zero ? .stop(.fast, timeout: left) : .stop(.immediate, timeout: .seconds(5))
        return Plan(
            .demoteOffline,
            [.postgreSQL(stop), .postgreSQL(.startStandby(of: nil, timeout: seen.settings.startPatience))])
    }
}

/// What the store did not say.
public enum StoreReason: Sendable, Hashable {
    case unreachable(String, leaseRemaining: Duration?)
    case unreachableTooLong(String, leaseRemaining: Duration?)
    case neverLoaded

    var explanation: Explanation {
        switch self {
        case .unreachable(let why, let left):
            Explanation(
                "store-unreachable", ["why": .fact(why), "lease_remaining_seconds": .fact(left)],
                why + (left.map { "; my lease ends in \(seconds($0))" } ?? ""))
        case .unreachableTooLong(let why, let left):
            Explanation(
                "store-unreachable-too-long", ["why": .fact(why), "lease_remaining_seconds": .fact(left)],
                why
                    + (left.map { "; too little is left of my lease: \(seconds($0))" }
                        ?? "; I know of no lease of mine"))
        case .neverLoaded: Explanation("never-loaded", "the cluster was not read yet")
        }
    }
}
