import ClusterModel
import HighAvailability
import Ports

/// What the machine knows of the guardian, and what it has told it.
struct GuardianLink: Sendable {
    var facts: Guarding
    /// The last order, acknowledged or under way; nil where it must be given again.
    var told: GuardOrder?
    var isTelling = false
    /// Orders in a row that were not acknowledged.
    var failures = 0
    /// After a failure: when to try again.
    var retryAt: BootInstant?
    /// PostgreSQL may have accepted writes before: only what was observed since disarms the guardian.
    var notWritableSince: BootInstant

    init(acknowledged: Lease?, now: BootInstant) {
        facts = Guarding(acknowledged: acknowledged)
        notWritableSince = now + .nanoseconds(1)
    }
}

extension CycleMachine {
    /// How long the guardian may take to answer; it does nothing but answer.
    static let guardianPatience = Duration.seconds(2)
    static let guardianRetryInterval = Duration.milliseconds(500)

    /// The pause after an order that was not acknowledged: it doubles, but a guardian that is back must be told of the
    /// lease long before that ends.
    private var guardianPause: Duration {
        let doublings = 1 << min(max(0, (guardian?.failures ?? 0) - 1), 4)
        let bound = max(Self.guardianRetryInterval, min(.seconds(5), settings.timings.ttl / 6))
        return min(Self.guardianRetryInterval * doublings, bound)
    }

    /// Tells the guardian what changed, before anything else of this step happens: arming comes before PostgreSQL may
    /// become writable, disarming after it was seen to be none.
    mutating func tellGuardian(_ run: inout Run) {
        guard guardian != nil, !life.hasEnded else { return }
        replaceFrozenGuardian(&run)
        if mayBecomeWritable(local, progress?.running) { guardian?.notWritableSince = run.now + .nanoseconds(1) }
        guard let order = guardOrder, let link = guardian else { return }
        if order == link.told { return }
        // The lease must be known before PostgreSQL is let write under it, whatever the guardian is still being told: a
        // primary that is started under a guardian that disarms is guarded by nobody if the daemon dies in that moment.
        if order == .disarm || !run.opensTheDoor {
            if link.isTelling { return }
            if let retryAt = link.retryAt, run.now < retryAt { return }
        }
        guardian?.told = order
        guardian?.isTelling = true
        guardian?.retryAt = nil
        run.before.append(.guardian(order, deadline: run.now + Self.guardianPatience))
    }

    /// Nil where the last order stands.
    private var guardOrder: GuardOrder? {
        guard let guardian else { return nil }
        if settings.isPaused { return .disarm }
        if mayBecomeWritable(local, progress?.running) {
            // Without a lease of ours the one before runs out, and the guardian stops PostgreSQL in time.
            return lease.map { .enforce($0, postmaster: local.postmaster) }
        }
        return sight.isFresh(since: guardian.notWritableSince) ? .disarm : nil
    }

    mutating func guarded(
        _ order: GuardOrder, _ result: Result<GuardianStatus, GuardianError>, _ run: inout Run
    ) {
        // The answer to an order that another one has overtaken says nothing of the one that stands.
        if let told = guardian?.told, told != order { return }
        guardian?.isTelling = false
        switch result {
        case .success(let status):
            if let stop = status.lastStop, stop != guardian?.facts.status?.lastStop {
                let ago = (run.now - stop.at).inSeconds
                run.log(.warning, "the guardian stopped PostgreSQL \(ago) s ago, before the lease ended")
            }
            if guardian?.facts.failure != nil { run.log(.info, "the guardian \(status.pid) answers") }
            guardian?.failures = 0
            guardian?.facts.failure = nil
            guardian?.facts.status = status
            guardian?.facts.acknowledged = if case .enforce(let lease, _) = order { lease } else { nil }
        case .failure(let error):
            if guardian?.facts.failure != error.description { run.log(.error, "guardian: \(error)") }
            guardian?.failures += 1
            guardian?.facts.failure = error.description
            guardian?.told = nil
            let pause = guardianPause
            guardian?.retryAt = run.now + pause
        }
        run.isNews = true
    }

    private mutating func replaceFrozenGuardian(_ run: inout Run) {
        guard let link = guardian, progress == nil, !life.isShuttingDown,
            let plan = guardianReplacement(
                local, settings, lease: lease, acknowledged: link.facts.acknowledged, failures: link.failures,
                at: run.now)
        else { return }
        run.log(.error, "the guardian does not answer: PostgreSQL is restarted under another one")
        guardian?.failures = 0
        begin(plan, &run)
    }
}
