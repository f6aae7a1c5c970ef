public import ClusterModel

/// A guardian that hangs neither protects nor lets go: what it acknowledged last runs out, and when it wakes it stops
/// PostgreSQL. A restart in good time gives PostgreSQL another one; so does a standby that is to be promoted. One that
/// has acknowledged nothing since the daemon began protects by a lease that nobody here knows, or not at all: it gets a
/// few chances more, and is replaced then. Nil where it is not time.
public func guardianReplacement(
    _ local: PostgreSQLStatus, _ settings: DynamicConfiguration, lease: Lease?, acknowledged: Lease?, failures: Int,
    at now: BootInstant
) -> Plan? {
    guard failures >= 2, !settings.isPaused, local.postmaster != nil, let lease, lease.isValid(at: now) else {
        return nil
    }
    if local.mayAcceptWrites {
        let isTime = acknowledged.map { now >= LeaseArithmetic.stopBy($0) } ?? (failures >= 4)
        guard isTime else { return nil }
    }
    return Plan(
        .restart,
        [.postgreSQL(.stopToRestart(timeout: settings.stopTimeout)), .start(timeout: settings.startPatience)])
}
