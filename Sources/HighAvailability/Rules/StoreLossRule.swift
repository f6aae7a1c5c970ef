import ClusterModel

/// The store does not answer (ha-loop.md §16.1). Patroni gives up after retry_timeout; here the lease decides: as long
/// as nobody else can have taken the key, a healthy primary goes on, and it stops in time before somebody can. In
/// failsafe mode the other members may grant it another (FailsafeRule.swift).
func storeLossRule(_ seen: Observation, _ failure: String, _ memory: inout Memory) -> Decision {
    let remaining = seen.lease.map { $0.deadline - seen.now }
    let busy = seen.running.map { [Reason.plan(.running($0.plan.kind, for: seen.now - $0.since))] } ?? []
    let unreachable = Reason.store(.unreachable(failure, leaseRemaining: remaining))
    let failsafe: [Reason]
    switch failsafeStep(seen) {
    case .ask(let members): return Decision(.ask(.failsafe(members)), busy + [unreachable])
    case .told(let reasons): failsafe = reasons
    }
    let isOver = seen.lease.map { seen.now >= LeaseArithmetic.stopBy($0) } ?? true
    // A plan that leaves PostgreSQL writable must not outlive the lease; one that takes it down goes on.
    if isOver {
        let plan = seen.running == nil ? DemotionPlans.offline(seen) : DemotionPlans.lost(seen)
        let tooLong = Reason.store(.unreachableTooLong(failure, leaseRemaining: remaining))
        if let decision = giveUpWrites(seen, &memory, by: plan, because: busy + [tooLong] + failsafe) {
            return decision
        }
    }
    return Decision(.wait, busy + [unreachable] + failsafe)
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
