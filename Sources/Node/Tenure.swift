import ClusterModel
import HighAvailability

/// The right to lead: the lease, and what is on its way about it.
struct Tenure: Sendable {
    private(set) var lease: Lease?
    /// The lease of an earlier daemon, which the guardian enforces, until our own first renewal is answered.
    private var adopted: Lease?
    /// A renewal is on its way. The key must not be released before it is answered: it would put the key again.
    private(set) var isRenewing = false

    init(adopted: Lease?) {
        lease = adopted
        self.adopted = adopted
    }

    /// Nobody but the guardian has vouched for the lease yet.
    var isUnproven: Bool { adopted != nil && adopted == lease }

    /// A renewal goes out, from whose sending a shorter ttl counts. True where the lease covers that moment.
    mutating func renews(ttl: Duration, at now: BootInstant) -> Bool {
        isRenewing = true
        defer { lease = lease?.shortened(to: ttl, at: now) }
        return lease?.isValid(at: now) ?? false
    }

    /// The store has answered the renewal, whatever it said.
    mutating func renewalAnswered() {
        isRenewing = false
        adopted = nil
    }

    mutating func holds(_ lease: Lease) { self.lease = lease }

    /// Refused, lost to another one, or about to be given away: nobody here leads from now on.
    mutating func ends() { lease = nil }
}
