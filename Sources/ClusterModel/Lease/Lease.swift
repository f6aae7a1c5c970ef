/// The leader lease, as its holder counts it: from the moment before the request that won or renewed it was sent, on a
/// clock that neither steps nor stops (S4).
public struct Lease: Sendable, Hashable {
    /// Before the request was sent.
    public var since: BootInstant
    public var ttl: Duration
    /// The store's name for the session.
    public var session: String
    /// `guardian.safety_margin` where it is configured: kept free before the end for killing PostgreSQL.
    public var safetyMargin: Duration?

    public init(since: BootInstant, ttl: Duration, session: String = "", safetyMargin: Duration? = nil) {
        self.since = since
        self.ttl = ttl
        self.session = session
        self.safetyMargin = safetyMargin
    }

    /// False of the one under which a cluster is made: nobody has the key by it.
    public var isOfSession: Bool { !session.isEmpty }

    /// What is kept free before the end, for the daemon and for its guardian alike.
    public var margin: Duration { LeaseArithmetic.margin(self) }

    /// From here on the key may be gone and another node may lead. The store counts from when it received the request,
    /// so its own end is never before this one.
    public var deadline: BootInstant { since + ttl }

    /// The lease as it stands once a renewal for `ttl` is sent at `now`. One with a shorter ttl may be done and its
    /// answer lost: from its sending on the key may hang on the shorter one (S4). What is kept free before the end goes
    /// by the shorter one, too: of the longer it would leave no time for the answer.
    public func shortened(to ttl: Duration, at now: BootInstant) -> Lease {
        now + ttl >= deadline ? self : Lease(since: now, ttl: ttl, session: session, safetyMargin: safetyMargin)
    }

    /// Whether the node may still call itself leader.
    public func isValid(at now: BootInstant) -> Bool { now < deadline }
}

/// The one place where the arithmetic of lease and demotion stands; docs/time.md has its proof in words.
///
///     since ............ renewBy ........ stopBy ......... haltBy ...... deadline
///       |  renewals, every cycle  | retries  | fast stop     | SIGQUIT    | another may lead
///
///     ttl    renewal   stopBy   haltBy   SIGKILL   (seconds after `since`; loop_wait 10)
///       3     0.75      2.00     2.50     2.75
///       5     1.25      3.33     4.17     4.58
///      10     2.50      7.33     9.00     9.50
///      20     5.33     14.67    18.00    19.00
///      30    10.00     22.00    27.00    28.50
///
/// Writes must have ended when the lease ends. `halt` (SIGQUIT, then SIGKILL) is bounded by the kernel and needs the
/// margin only; a fast stop waits for sessions and for a checkpoint, so it begins earlier and is overtaken by the halt.
///
/// What else derives from the ttl derives from it here, so that a short ttl shortens every wait on the way of a renewal
/// or of a failover; from 12 s on they all have the length that Patroni gives them.
public enum LeaseArithmetic {
    /// Kept free before the deadline for killing PostgreSQL: a tenth of the ttl, at least 1 s; below a ttl of 6 s a
    /// sixth of it.
    public static func margin(ttl: Duration) -> Duration { max(min(.seconds(1), ttl / 6), ttl / 10) }

    /// The margin of one lease: as configured, else by its ttl. Never more than a quarter of it: what is left must hold
    /// a lost renewal, and a clean stop after that.
    static func margin(_ lease: Lease) -> Duration { min(lease.safetyMargin ?? margin(ttl: lease.ttl), lease.ttl / 4) }

    /// Kept free before `haltBy` for a clean stop: a sixth of the ttl.
    public static func stopBudget(ttl: Duration) -> Duration { ttl / 6 }

    /// When a leader that cannot renew must begin to stop PostgreSQL cleanly.
    public static func stopBy(_ lease: Lease) -> BootInstant { haltBy(lease) - stopBudget(ttl: lease.ttl) }

    /// When PostgreSQL must be killed if it still accepts writes.
    public static func haltBy(_ lease: Lease) -> BootInstant { lease.deadline - margin(lease) }

    /// How often a leader renews, at least: four times in a ttl while that is short, so that one lost renewal leaves
    /// half of it for retries. Where a stall of an arbitrary part for 6 s is outlasted all the same it renews less
    /// often, which spares the store: three times at least, and so that two renewals come before `stopBy`.
    public static func renewalInterval(_ timings: ClusterTimings, safetyMargin: Duration? = nil) -> Duration {
        let ttl = timings.ttl
        let margin = margin(Lease(since: BootInstant(nanoseconds: 0), ttl: ttl, safetyMargin: safetyMargin))
        let outlasting = ttl - margin - stopBudget(ttl: ttl) - observationPatience(ttl: ttl) - .seconds(6)
        let twice = (ttl - margin - stopBudget(ttl: ttl)) / 2
        return min(timings.loopWait, max(ttl / 4, min(ttl / 3, outlasting, twice)))
    }

    /// How often a leader looks at its PostgreSQL, at least: what hangs is noticed as soon as ever, however seldom the
    /// lease is renewed.
    public static func lookInterval(_ timings: ClusterTimings) -> Duration { min(timings.loopWait, timings.ttl / 4) }

    /// For how long after the last renewal a routine look at the store may prolong a leader's session.
    public static func looksProlong(_ timings: ClusterTimings, safetyMargin: Duration? = nil) -> Duration {
        min(renewalInterval(timings, safetyMargin: safetyMargin) * 2, timings.ttl / 2)
    }

    /// Whether enough of the lease is left to begin a promotion.
    public static func allowsPromotion(_ lease: Lease, at now: BootInstant) -> Bool { now < stopBy(lease) }

    /// How long a leader waits for a PostgreSQL that is slow to answer before it renews by what it last knew.
    public static func observationPatience(ttl: Duration) -> Duration { ttl / 6 }

    /// By when a leader asks the other members in failsafe mode at the latest: their answers have to come before
    /// `stopBy`.
    public static func askBy(_ lease: Lease, _ timings: ClusterTimings) -> BootInstant {
        stopBy(lease) - failsafePatience(timings, ttl: lease.ttl)
    }

    /// When a leader's request to the store ends that would otherwise end by `deadline`. However late it comes it has a
    /// moment; but where the others are asked in the store's place half of what is left before `stopBy` is theirs.
    public static func requestEnds(
        _ deadline: BootInstant, _ lease: Lease, _ timings: ClusterTimings, asksOthers: Bool, at now: BootInstant
    ) -> BootInstant {
        let stopBy = stopBy(lease)
        let latest = min(deadline, asksOthers ? askBy(lease, timings) : stopBy)
        let moment = Duration.milliseconds(500)
        return max(latest, now + (asksOthers && now < stopBy ? min(moment, (stopBy - now) / 2) : moment))
    }

    /// The pause after a store that did not answer.
    public static func retryInterval(_ timings: ClusterTimings) -> Duration {
        min(.seconds(1), timings.loopWait, timings.ttl / 12)
    }

    /// How old a look at the store may be by which a node claims the key: every request of such a cycle has ended by
    /// then. Only a node that stood still comes later, and somebody may have led meanwhile; it looks again.
    public static func claimPatience(_ timings: ClusterTimings) -> Duration {
        timings.retryTimeout + peerPatience(ttl: timings.ttl) + .seconds(1)
    }

    /// When a connection to the store counts as dead: a peer that says nothing is noticed within a ttl (dcs.md §5.8).
    public static func keepalive(
        _ timings: ClusterTimings
    ) -> (idle: Duration, interval: Duration, count: Int, userTimeout: Duration) {
        let idle = timings.loopWait + timings.retryTimeout
        return (idle, max(.seconds(1), (timings.ttl - idle) / 3), 3, timings.ttl)
    }

    /// How long the list of the store's members is good for.
    public static func topologyLifetime(ttl: Duration) -> Duration { ttl * 10 }

    /// How late the next cycle may be before the daemon counts as hung (rest-api.md §7): a primary's lease ends after
    /// a ttl, the others have more time.
    public static func liveness(ttl: Duration, isPrimary: Bool) -> Duration { isPrimary ? ttl : ttl * 2 }

    /// How long the guardian may take to acknowledge an order, which asks nothing of it but to run: two orders that it
    /// does not answer, and the pause between them, end by `stopBy`, when another one takes its place.
    public static func guardianPatience(ttl: Duration) -> Duration { min(.seconds(2), ttl / 8) }

    /// The pause after an order that was not acknowledged.
    public static func guardianPause(ttl: Duration) -> Duration { min(.milliseconds(500), ttl / 12) }

    /// How long the members of a race are waited for: one that has gone with its host never answers.
    public static func peerPatience(ttl: Duration) -> Duration { min(.seconds(2), ttl / 5) }
}
