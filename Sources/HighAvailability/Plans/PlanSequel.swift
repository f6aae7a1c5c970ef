public import ClusterModel

/// What a daemon goes on with when a plan has ended.
public enum PlanSequel: Sendable, Hashable {
    /// The next cycle decides.
    case decide
    /// The daemon is to end, and PostgreSQL is not stopped yet.
    case shutDown
    case carryOut(Plan)
    /// The cluster that could not be made is cleared away; then the daemon ends.
    case cancelBootstrap
    /// Nothing is left to do: the daemon ends with this code, or with that of an earlier failure.
    case end(code: Int32)
}

/// What follows a plan that has done all its steps.
public func sequel(
    toFinished kind: Plan.Kind, _ local: PostgreSQLStatus, hasLease: Bool, isShuttingDown: Bool
) -> PlanSequel {
    if !isShuttingDown, kind != .shutdown { return .decide }
    // What the shutdown had to wait for may have left PostgreSQL running, and an operator may have started it.
    if isShuttingDown, local.postmaster != nil, kind != .shutdown || local.mayYetAcceptWrites { return .shutDown }
    // A claim that was on its way when the shutdown began may have won the key since.
    return hasLease ? .carryOut(Plan(.shutdown, [.releaseLeader])) : .end(code: 0)
}

/// What follows a plan of which a step has failed. Of a bootstrap: `isPublished`, whether the others know the cluster;
/// then it is theirs, too, and stays.
public func sequel(
    toFailed plan: Plan, _ local: PostgreSQLStatus, isPublished: Bool, isShuttingDown: Bool
) -> PlanSequel {
    if plan.kind == .shutdown {
        // Nobody renews the lease of a daemon that has ended: what may accept writes ends before.
        guard local.mayYetAcceptWrites, plan.stopsCleanly else { return .end(code: 1) }
        let stop = PostgreSQLOperation.stop(.byForce, timeout: PostgreSQLOperation.urgentStopTimeout)
        return .carryOut(Plan(.shutdown, [.postgreSQL(stop)]))
    }
    if plan.kind == .bootstrap, !isPublished { return .cancelBootstrap }
    return isShuttingDown ? .shutDown : .decide
}

extension Plan {
    fileprivate var stopsCleanly: Bool {
        steps.contains { if case .postgreSQL(.stop(let mode, _, _)) = $0 { mode.isClean } else { false } }
    }
}
