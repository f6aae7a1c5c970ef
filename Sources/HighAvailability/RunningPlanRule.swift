import ClusterModel

/// A plan runs (ha-loop.md §14): the leader renews meanwhile, and a plan that needs the lease ends with it.
func runningPlanRule(_ seen: Observation, _ view: ClusterView, _ running: RunningPlan) -> Decision {
    let busy = Reason.plan(.running(running.plan.kind, for: seen.now - running.since))
    if seen.isNamedLeader {
        if running.plan.givesKeyUp { return Decision(.wait, busy) }
        switch seen.renewal {
        case nil: return Decision(.ask(.renewal), busy)
        case .held?: return Decision(.wait, busy)
        case .refused?: return lostMeanwhile(seen, running, [busy, .lease(.leaseRefused)])
        }
    }
    guard let leader = view.leaderName else {
        // The bootstrap of a new cluster comes before its leader key.
        return lostMeanwhile(seen, running, [busy, .lease(.leaderKeyFree)])
    }
    return lostMeanwhile(seen, running, [busy, .lease(.leaderKeyHeldBy(leader))])
}

private func lostMeanwhile(_ seen: Observation, _ running: RunningPlan, _ reasons: [Reason]) -> Decision {
    if running.plan.kind.mayLeaveWritable && !seen.settings.isPaused && needsLease(seen, running) {
        return Decision(.breakOff(DemotionPlans.lost(seen)), reasons)
    }
    return Decision(.wait, reasons)
}

/// Whether PostgreSQL may accept writes by this plan, or does still: a restart happens on standbys too, and a hand-over
/// or shutdown that has stopped the server has nothing left to lose.
func needsLease(_ seen: Observation, _ running: RunningPlan) -> Bool {
    switch running.plan.kind {
    case .restart: !seen.local.hasStandbySignal
    case .handOver, .shutdown: seen.local.mayAcceptWrites
    case .startPrimary, .promote, .bootstrap, .clone, .startStandby, .follow, .demote, .demoteOffline, .resumeReplay,
        .rewind, .stopParted,
        .reclone, .reinitialize,
        .recoverSingleUser:
        true
    }
}

/// What is under way.
public enum PlanReason: Sendable, Hashable {
    case running(Plan.Kind, for: Duration)

    var explanation: Explanation {
        switch self {
        case .running(let kind, let passed):
            Explanation(
                "operation-running", ["operation": .fact(kind.rawValue), "passed_seconds": .fact(passed)],
                "\(kind.rawValue) in progress for \(seconds(passed))")
        }
    }
}
