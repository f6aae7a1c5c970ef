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
