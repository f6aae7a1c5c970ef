import ClusterModel
import HighAvailability
import Ports

extension CycleMachine {
    /// Tells the guardian what changed, before anything else of this step happens: arming comes before PostgreSQL may
    /// become writable, disarming after it was seen to be none.
    mutating func tellGuardian(_ run: inout Run) {
        guard guardian != nil, !life.hasEnded else { return }
        replaceFrozenGuardian(&run)
        if let due = unledRenewal, run.now >= due { plans.running?.moveGuard(to: run.now) }
        if mayBecomeWritable(local, progress?.running) { guardian?.mayBeWritable(at: run.now) }
        guard let order = guardOrder,
            guardian?.tells(order, opensTheDoor: run.opensTheDoor, at: run.now) == true
        else { return }
        let patience = LeaseArithmetic.guardianPatience(ttl: settings.timings.ttl)
        run.before.append(.guardian(order, deadline: run.now + patience))
    }

    /// When an order that failed is given again; nil where it is owed no more.
    var guardianRetry: BootInstant? {
        guard let retryAt = guardian?.retryAt, let order = guardOrder, order != guardian?.told else { return nil }
        return retryAt
    }

    /// Nil where the last order stands.
    private var guardOrder: GuardOrder? {
        guard let notWritableSince = guardian?.notWritableSince else { return nil }
        if settings.isPaused { return .disarm }
        if lease == nil, let since = progress?.guardedSince {
            return .enforce(tenure.unled(since: since, ttl: settings.timings.ttl), postmaster: local.postmaster)
        }
        if mayBecomeWritable(local, progress?.running) {
            // Without a lease of ours the one before runs out, and the guardian stops PostgreSQL in time.
            return lease.map { .enforce($0, postmaster: local.postmaster) }
        }
        return sight.isFresh(since: notWritableSince) ? .disarm : nil
    }

    /// When the guardian is to be told again that a cluster is being made here. Not once the identifier was sent:
    /// whoever reads it may lead when a ttl is over (`unseenPrimary`), and the server has the key by then, or ends.
    var unledRenewal: BootInstant? {
        guard guardian != nil, let progress, let since = progress.guardedSince,
            progress.publication?.isUnknownToOthers == true
        else { return nil }
        return since + LeaseArithmetic.renewalInterval(settings.timings)
    }

    mutating func guarded(
        _ order: GuardOrder, _ result: Result<GuardianStatus, GuardianError>, _ run: inout Run
    ) {
        guard guardian?.isAnswered(order) == true, let facts = guardian?.facts else { return }
        switch result {
        case .success(let status):
            if let stop = status.lastStop, stop != facts.status?.lastStop {
                let ago = (run.now - stop.at).inSeconds
                run.log(.warning, "the guardian stopped PostgreSQL \(ago) s ago, before the lease ended")
            }
            if facts.failure != nil { run.log(.info, "the guardian \(status.pid) answers") }
            guardian?.acknowledges(order, status)
            if tenure.sessionTTL > settings.timings.ttl { adoptTimings(&run) }
        case .failure(let error):
            if facts.failure != error.description { run.log(.error, "guardian: \(error)") }
            let ttl = settings.timings.ttl
            guardian?.fails(error.description, at: run.now, ttl: ttl)
        }
        run.isNews = true
    }

    private mutating func replaceFrozenGuardian(_ run: inout Run) {
        guard guardian?.failures ?? 0 > 0, let link = guardian, progress == nil, !life.isShuttingDown,
            let plan = guardianReplacement(
                local, settings, lease: lease, acknowledged: link.facts.acknowledged, failures: link.failures,
                at: run.now)
        else { return }
        run.log(.error, "the guardian does not answer: PostgreSQL is restarted under another one")
        guardian?.isReplaced()
        begin(plan, &run)
    }
}
