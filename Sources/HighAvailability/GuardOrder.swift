public import ClusterModel

/// What the guardian is to enforce.
public enum GuardOrder: Sendable, Hashable {
    /// PostgreSQL may accept writes until the end of this lease and no longer; the postmaster where one runs.
    case enforce(Lease, postmaster: Int32?)
    /// PostgreSQL is down or a standby, or the cluster is paused.
    case disarm
}

/// What a node knows of its guardian.
public struct Guarding: Sendable, Hashable {
    /// Its last answer; nil before the first.
    public var status: GuardianStatus?
    /// The lease that it has acknowledged; nil for none.
    public var acknowledged: Lease?
    /// Why it did not answer last time; nil where it did.
    public var failure: String?

    public init(status: GuardianStatus? = nil, acknowledged: Lease? = nil, failure: String? = nil) {
        self.status = status
        self.acknowledged = acknowledged
        self.failure = failure
    }
}

/// Whether PostgreSQL accepts writes, or may before the running plan ends.
public func mayBecomeWritable(_ local: PostgreSQLStatus, _ running: RunningPlan?) -> Bool {
    if local.mayAcceptWrites { return true }
    switch running?.plan.kind {
    case .promote?, .startPrimary?: return true
    case .restart?: return !local.hasStandbySignal
    // These only take it down: what was seen of it decides.
    case .handOver?, .shutdown?, .bootstrap?, .clone?, .startStandby?, .follow?, .resumeReplay?, .demote?,
        .demoteOffline?,
        .rewind?, .stopParted?,
        .reclone?, .reinitialize?, .recoverSingleUser?, nil:
        return false
    }
}
