import ClusterModel
import HighAvailability

/// The right to lead: the lease, and what is on its way about it.
struct Tenure: Sendable {
    /// Of every lease that is won; nil is the margin of `LeaseArithmetic`.
    private let safetyMargin: Duration?
    private(set) var lease: Lease?
    /// The lease of an earlier daemon, which the guardian enforces, until our own first renewal is answered.
    private var inherited: Lease?
    /// The lease is made of these members' promises (failsafe mode); nil where the store has granted it.
    private(set) var granted: [String]?
    /// Of a leader, whom it would ask for these promises; of a member, what it has promised.
    var failsafe: FailsafeStanding
    /// Of a leader: how far its synchronous standbys are.
    var synchronous = SynchronousStanding()
    /// A renewal is on its way. The key must not be released before it is answered: it would put the key again.
    private(set) var isRenewing = false
    /// `/status` as it was in the view by which the key was won, until the view that shows the key has come; nil where
    /// none is awaited.
    private var racedBy: Revision??
    /// This daemon has held the key by a session of its own.
    private(set) var hasHeld = false
    /// The ttl by which the store was told to make sessions.
    private(set) var sessionTTL = ClusterTimings().ttl

    init(inherited: Lease?, safetyMargin: Duration? = nil, failsafe: FailsafeStanding) {
        self.failsafe = failsafe
        self.safetyMargin = safetyMargin
        lease = inherited
        self.inherited = inherited
    }

    /// The key was won by a race that was judged by this view.
    mutating func raced(by view: ClusterView?) { racedBy = .some(view?.status.revision) }

    /// Whether somebody has led since that race: a leader writes `/status`, and whoever waits for a processor between
    /// the answers of a race and its claim finds a key that is free once more (S3). Asked of the first view after it.
    mutating func hasRacedInVain(_ view: ClusterView) -> Bool {
        guard let before = racedBy else { return false }
        racedBy = nil
        return view.status.revision != before
    }

    /// Nobody but the guardian has vouched for the lease yet.
    var isUnproven: Bool { inherited != nil && inherited == lease }

    /// By which ttl the store makes sessions from now on, where `ttl` is configured.
    mutating func session(ttl: Duration, mayShorten: Bool) -> Duration {
        if ttl >= sessionTTL || mayShorten { sessionTTL = ttl }
        return sessionTTL
    }

    /// A renewal goes out, from whose sending a shorter ttl counts. True where the lease covers that moment.
    mutating func renews(ttl: Duration, at now: BootInstant) -> Bool {
        isRenewing = true
        defer { lease = lease?.shortened(to: ttl, at: now) }
        return lease?.isValid(at: now) ?? false
    }

    /// The store has answered the renewal, whatever it said.
    mutating func renewalAnswered() {
        isRenewing = false
        inherited = nil
    }

    /// The store says that the key is ours.
    mutating func holds(since: BootInstant, ttl: Duration, session: String) {
        lease = Lease(since: since, ttl: ttl, session: session, safetyMargin: safetyMargin)
        hasHeld = true
        granted = nil
    }

    /// The store is away, and the others let this node go on.
    mutating func isGranted(_ lease: Lease, by members: [String]) {
        self.lease = lease
        granted = members
    }

    /// What the guardian goes by while a cluster is made, which nobody leads yet.
    func unled(since: BootInstant, ttl: Duration) -> Lease {
        Lease(since: since, ttl: ttl, session: "", safetyMargin: safetyMargin)
    }

    /// Refused, lost to another one, or about to be given away: nobody here leads from now on.
    mutating func ends() {
        lease = nil
        granted = nil
    }
}
