import ClusterModel
import HighAvailability
import Ports

/// What this node knows of its guardian, and what it has told it.
struct GuardianLink: Sendable {
    private(set) var facts: Guarding
    /// The last order, acknowledged or under way; nil where it must be given again.
    private(set) var told: GuardOrder?
    private var isTelling = false
    /// The longest ttl of a lease that it may go by: it may have taken an order that it did not acknowledge.
    private var longest: Duration?
    /// Orders in a row that were not acknowledged.
    private(set) var failures = 0
    /// After a failure: when to try again.
    private(set) var retryAt: BootInstant?
    /// PostgreSQL may have accepted writes before: only what was observed since disarms the guardian.
    private(set) var notWritableSince: BootInstant

    /// Not what only pets the watchdog of the host.
    let isReal: Bool

    init(acknowledged: Lease?, now: BootInstant, isReal: Bool = true) {
        self.isReal = isReal
        facts = Guarding(acknowledged: acknowledged)
        longest = acknowledged?.ttl
        notWritableSince = now + .nanoseconds(1)
    }

    mutating func mayBeWritable(at now: BootInstant) { notWritableSince = now + .nanoseconds(1) }

    /// Whether an order is given now. One that is under way, or has failed, is waited for; but the lease must be known
    /// before PostgreSQL is let write under it (`opensTheDoor`), whatever the guardian is still being told: a primary
    /// that is started under a guardian that disarms is guarded by nobody if the daemon dies in that moment.
    mutating func tells(_ order: GuardOrder, opensTheDoor: Bool, at now: BootInstant) -> Bool {
        if order == told { return false }
        if order == .disarm || !opensTheDoor {
            if isTelling { return false }
            if let retryAt, now < retryAt { return false }
        }
        told = order
        isTelling = true
        if case .enforce(let lease, _) = order { longest = max(longest ?? .zero, lease.ttl) }
        retryAt = nil
        return true
    }

    /// False for the answer to an order that another one has overtaken: it says nothing of the one that stands.
    mutating func isAnswered(_ order: GuardOrder) -> Bool {
        if let told, told != order { return false }
        isTelling = false
        return true
    }

    mutating func acknowledges(_ order: GuardOrder, _ status: GuardianStatus) {
        failures = 0
        facts.failure = nil
        facts.status = status
        facts.acknowledged = if case .enforce(let lease, _) = order { lease } else { nil }
        longest = facts.acknowledged?.ttl
    }

    mutating func fails(_ why: String, at now: BootInstant, ttl: Duration) {
        failures += 1
        facts.failure = why
        told = nil
        retryAt = now + pause(ttl)
    }

    /// It doubles, but a guardian that is back must be told of the lease long before that ends.
    private func pause(_ ttl: Duration) -> Duration {
        let doublings = 1 << min(max(0, failures - 1), 4)
        let least = LeaseArithmetic.guardianPause(ttl: ttl)
        return min(least * doublings, max(least, min(.seconds(5), ttl / 6)))
    }

    /// Whether no lease that it may go by is longer than `ttl`.
    func hasHeard(of ttl: Duration) -> Bool { longest.map { $0 <= ttl } ?? true }

    /// Why the watchdog that is required is off under the lease that was acknowledged.
    var watchdogFailure: String? {
        guard facts.acknowledged != nil, case .failed(let why, isRequired: true)? = facts.status?.watchdog else {
            return nil
        }
        return why
    }

    /// Another one takes its place.
    mutating func isReplaced() { failures = 0 }
}
