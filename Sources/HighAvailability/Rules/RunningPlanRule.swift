import ClusterModel

/// A plan runs (ha-loop.md §14): the leader renews meanwhile, and a plan that needs the lease ends with it.
func runningPlanRule(_ seen: Observation, _ view: ClusterView, _ running: RunningPlan, _ memory: inout Memory)
    -> Decision
{
    func lost(_ reasons: [Reason]) -> Decision {
        giveUpWrites(seen, &memory, because: reasons) ?? Decision(.wait, reasons)
    }
    let busy = Reason.plan(.running(running.plan.kind, for: seen.now - running.since))
    if seen.isNamedLeader {
        if running.plan.givesKeyUp { return Decision(.wait, busy) }
        switch seen.renewal {
        case nil: return Decision(.ask(.renewal), busy)
        case .held?: return Decision(.wait, busy)
        case .refused?: return lost([busy, .lease(.leaseRefused)])
        }
    }
    guard let leader = view.leaderName else {
        // The bootstrap of a new cluster comes before its leader key.
        return lost([busy, .lease(.leaderKeyFree)])
    }
    return lost([busy, .lease(.leaderKeyHeldBy(leader))])
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
