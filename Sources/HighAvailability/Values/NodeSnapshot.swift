public import ClusterModel

/// What the node knows, published after every change: whoever answers a request reads this and nothing else.
public struct NodeSnapshot: Sendable {
    /// Grows with every publication, so that a rendering can be kept until the next.
    public var serial: UInt64 = 0
    public var scope: String
    /// The version of Patroni that we are a peer of.
    public var version: String
    public var me: NodeIdentity
    @Boxed public var settings: DynamicConfiguration
    /// The last view of the cluster, and the instant before it was asked for; nil before the first.
    @Boxed public var view: ClusterView?
    public var viewAt: BootInstant?
    /// Why the store did not answer last time; nil where it did.
    public var storeFailure: String?
    /// Seconds since the epoch of the last successful load; 0 before the first.
    public var storeLastSeen: Int64
    @Boxed public var local: PostgreSQLStatus
    public var role: NodeRole
    public var lease: Lease?
    public var running: RunningPlan?
    public var decision: Decision?
    /// The last 256 decisions that said something new.
    public var decisions: DecisionLog
    /// A restart that an operator asked for and whose time has not come.
    public var scheduledRestart: RestartRequest?
    /// What is known of the guardian; nil where none is used.
    public var guarding: Guarding?
    /// Until when failsafe mode counts as active here: this node leads by the others' promises, or has given one.
    public var failsafeUntil: BootInstant?
    /// When the next cycle is planned.
    public var nextCycle: BootInstant

    /// Shares what is large with whoever else has it.
    public init(
        scope: String, version: String, me: NodeIdentity, settings: Boxed<DynamicConfiguration>,
        view: Boxed<ClusterView?>, viewAt: BootInstant?, storeFailure: String?, storeLastSeen: Int64,
        local: Boxed<PostgreSQLStatus>, role: NodeRole, lease: Lease?, running: RunningPlan?, decision: Decision?,
        decisions: DecisionLog = DecisionLog(), scheduledRestart: RestartRequest? = nil, guarding: Guarding? = nil,
        failsafeUntil: BootInstant? = nil, nextCycle: BootInstant
    ) {
        self.scope = scope
        self.version = version
        self.me = me
        _settings = settings
        _view = view
        self.viewAt = viewAt
        self.storeFailure = storeFailure
        self.storeLastSeen = storeLastSeen
        _local = local
        self.role = role
        self.lease = lease
        self.running = running
        self.decision = decision
        self.decisions = decisions
        self.scheduledRestart = scheduledRestart
        self.guarding = guarding
        self.failsafeUntil = failsafeUntil
        self.nextCycle = nextCycle
    }

    public init(
        scope: String, version: String, me: NodeIdentity, settings: DynamicConfiguration, view: ClusterView?,
        viewAt: BootInstant?, storeFailure: String?, storeLastSeen: Int64, local: PostgreSQLStatus, role: NodeRole,
        lease: Lease?, running: RunningPlan?, decision: Decision?, nextCycle: BootInstant
    ) {
        self.init(
            scope: scope, version: version, me: me, settings: Boxed(wrappedValue: settings),
            view: Boxed(wrappedValue: view), viewAt: viewAt, storeFailure: storeFailure, storeLastSeen: storeLastSeen,
            local: Boxed(wrappedValue: local), role: role, lease: lease, running: running, decision: decision,
            nextCycle: nextCycle)
    }

    /// The leader role ends by itself with the lease (S4), whatever else the snapshot says.
    public func isLeader(at now: BootInstant) -> Bool { lease?.isValid(at: now) ?? false }

    /// Whether the primary goes on, or went on lately, without the store (rest-api.md §8.1).
    public func isFailsafeActive(at now: BootInstant) -> Bool { failsafeUntil.map { now < $0 } ?? false }

    /// The view while it may be trusted: for one ttl, and not after a load that failed (rest-api.md §5).
    public func cachedView(at now: BootInstant) -> ClusterView? { hasCachedView(at: now) ? view : nil }

    /// Whether the last view may still be answered by.
    public func hasCachedView(at now: BootInstant) -> Bool {
        guard view != nil, storeFailure == nil, let viewAt else { return false }
        return now - viewAt < settings.timings.ttl
    }
}

/// A snapshot as it was published. Probes answer by it many thousand times a second and copy nothing of it: each copy
/// counts every reference in it twice.
public final class PublishedSnapshot: Sendable {
    public let snapshot: NodeSnapshot

    public init(_ snapshot: NodeSnapshot) { self.snapshot = snapshot }
}
