import ClusterModel
import HighAvailability
import Ports

/// What the dynamic configuration makes of this node, and who is given it.
extension CycleMachine {
    mutating func adoptConfiguration(of view: ClusterView, _ run: inout Run) {
        switch configuration.read(view.config) {
        case .nothing: break
        case .unfit: run.log(.error, "/config has timings that are no numbers; the last good configuration goes on")
        case .adopted(let warnings):
            for warning in warnings { run.log(.warning, warning) }
            adopt(settings.document, &run)
        }
    }

    /// In a pause a lease may end, and PostgreSQL goes on. Whoever goes by one that is over ends PostgreSQL at once: so
    /// where this very look says that the pause is over and the key still ours, the key is renewed first. The next look
    /// brings the end of the pause, whatever became of that.
    mutating func renewsBeforeResuming(_ view: ClusterView, _ run: inout Run) -> Bool {
        guard !configuration.resumeWaits, settings.isPaused, view.leaderName == me.name, let lease,
            run.now >= LeaseArithmetic.stopBy(lease), configuration.resumes(view.config)
        else {
            configuration.resumeWaits = false
            return false
        }
        configuration.resumeWaits = true
        schedule.cycle?.again = true
        return true
    }

    /// The store does not answer any more: the pause is over all the same.
    mutating func resumeAtLast(_ run: inout Run) {
        guard configuration.resumeWaits, let view else { return }
        configuration.resumeWaits = false
        adoptConfiguration(of: view, &run)
    }

    mutating func adoptSharing(_ view: ClusterView, _ run: inout Run) {
        let foreign = view.members.first { $0.name != me.name && $0.ownVersion == nil }
        let before = settings.timings
        guard let warnings = configuration.share(foreign != nil) else { return }
        for warning in warnings { run.log(.warning, warning) }
        guard settings.timings != before else { return }
        let change = "ttl goes from \(before.ttl.components.seconds) to \(settings.timings.ttl.components.seconds) s"
        if let foreign {
            run.log(.warning, "\(change): member \(foreign.name) runs Patroni, whose minimum it is")
        } else {
            run.log(.info, "\(change): no member runs Patroni any more")
        }
        adoptTimings(&run)
    }

    /// The key may go by a shorter ttl only after the guardian has acknowledged that its lease ends as early (S1): it
    /// may not hear, and this daemon may stand still in the next moment. Until then the key outlives our lease.
    mutating func adoptTimings(_ run: inout Run) {
        var timings = settings.timings
        timings.ttl = tenure.session(ttl: timings.ttl, mayShorten: guardian?.hasHeard(of: timings.ttl) ?? true)
        run.emit(.local(.adoptTimings(timings)))
    }

    /// Hands a document to the store and to PostgreSQL; to the latter only while no operation runs.
    mutating func adopt(_ document: JSONObject, _ run: inout Run) {
        adoptTimings(&run)
        if let document = configuration.hand(document, duringPlan: progress != nil) {
            run.emit(.node(.adoptConfiguration(document)))
        }
    }

    /// A plan has ended: PostgreSQL is given what has waited for that.
    mutating func handWaitingConfiguration(_ run: inout Run) {
        guard let document = configuration.takeWaiting() else { return }
        run.emit(.node(.adoptConfiguration(document)))
    }
}
