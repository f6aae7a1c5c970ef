public import ClusterModel

/// The leader lease, as its holder counts it: from the moment before the request that won or renewed it was sent, on a
/// clock that neither steps nor stops (S4).
public struct Lease: Sendable, Hashable {
    /// Before the request was sent.
    public var since: BootInstant
    public var ttl: Duration
    /// The store's name for the session.
    public var session: String

    public init(since: BootInstant, ttl: Duration, session: String = "") {
        self.since = since
        self.ttl = ttl
        self.session = session
    }

    /// From here on the key may be gone and another node may lead. The store counts from when it received the request,
    /// so its own end is never before this one.
    public var deadline: BootInstant { since + ttl }

    /// Whether the node may still call itself leader.
    public func isValid(at now: BootInstant) -> Bool { now < deadline }
}

/// The one place where the arithmetic of lease and demotion stands.
///
///     since ............ renewBy ........ stopBy ......... haltBy ...... deadline
///       |  renewals, every cycle  | retries  | fast stop     | SIGQUIT    | another may lead
///
/// Writes must have ended when the lease ends. `halt` (SIGQUIT, then SIGKILL) is bounded by the kernel and needs the
/// margin only; a fast stop waits for sessions and for a checkpoint, so it begins earlier and is overtaken by the halt.
public enum LeaseArithmetic {
    /// Kept free before the deadline for killing PostgreSQL: a tenth of the ttl, at least 1 s.
    public static func margin(ttl: Duration) -> Duration { max(.seconds(1), ttl / 10) }

    /// Kept free before `haltBy` for a clean stop: a sixth of the ttl, at least 500 ms.
    public static func stopBudget(ttl: Duration) -> Duration { max(.milliseconds(500), ttl / 6) }

    /// When a leader that cannot renew must begin to stop PostgreSQL cleanly.
    public static func stopBy(_ lease: Lease) -> BootInstant { haltBy(lease) - stopBudget(ttl: lease.ttl) }

    /// When PostgreSQL must be killed if it still accepts writes.
    public static func haltBy(_ lease: Lease) -> BootInstant { lease.deadline - margin(ttl: lease.ttl) }

    /// How often a leader renews: at least four times in a ttl, so that one lost renewal leaves half of it for retries.
    public static func renewalInterval(_ timings: ClusterTimings) -> Duration { min(timings.loopWait, timings.ttl / 4) }

    /// Whether enough of the lease is left to begin a promotion.
    public static func allowsPromotion(_ lease: Lease, at now: BootInstant) -> Bool { now < stopBy(lease) }
}
