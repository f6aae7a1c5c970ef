import ClusterModel

/// A plan runs (ha-loop.md §14): the leader renews meanwhile, and a plan that needs the lease ends with it.
func runningPlanRule(_ seen: Observation, _ view: ClusterView, _ running: RunningPlan, _ memory: inout Memory)
    -> Decision
{
    func lost(_ reasons: [Reason]) -> Decision {
        giveUpWrites(seen, &memory, because: reasons) ?? Decision(.wait, reasons)
    }
    if let decision = removedLabelRule(seen, view, &memory) { return decision }
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
        // Who may have to lead itself does not wait for its archive.
        let mayLeadAgain: Bool =
            switch running.plan.kind.traits.takesDown {
            case .toHandOver?, .forLackOfLease?: true
            case .forGood?, nil: false
            }
        if seen.local.finish == .shutDown, mayLeadAgain, isNobodyComing(seen, memory) {
            return Decision(
                .breakOff(DemotionPlans.lost(seen)), busy, .lease(.leaderKeyFree), .writes(.finished(.shutDown)))
        }
        // The key of a leader that outlived the store is won back when the plan has ended.
        if seen.leadsByPromises {
            if case .ask(let members) = failsafeStep(seen) { return Decision(.ask(.failsafe(members)), busy) }
            return Decision(.wait, busy, .lease(.leaderKeyFree))
        }
        // The bootstrap of a new cluster comes before its leader key.
        return lost([busy, .lease(.leaderKeyFree)])
    }
    // A cluster beside that one is not made: its server would accept writes before it could be published.
    if running.plan.kind == .bootstrap {
        return Decision(.breakOff(DemotionPlans.lost(seen)), busy, .lease(.leaderKeyHeldBy(leader)))
    }
    let decision = lost([busy, .lease(.leaderKeyHeldBy(leader))])
    guard case .wait = decision.action else { return decision }
    return stuckStartRule(seen, view, memory, because: decision.reasons) ?? decision
}

/// Nobody has led for so long that whoever was to take over does not.
private func isNobodyComing(_ seen: Observation, _ memory: Memory) -> Bool {
    guard !seen.settings.isPaused, let since = memory.leaderlessSince else { return false }
    return seen.now - since >= seen.settings.timings.retryTimeout
}

/// What is under way.
public enum PlanReason: Sendable, Hashable {
    case running(Plan.Kind, for: Duration)

    var explanation: Explanation {
        switch self {
        case .running(let kind, let passed):
            Explanation(
                "operation-running", ["operation": .fact(kind.name), "passed_seconds": .fact(passed)],
                "\(kind.name) in progress for \(seconds(passed))")
        }
    }

    /// So long a repair takes at most where nothing is wrong, on the usual machine. It may go on all the same.
    private static let usualRepair = Duration.seconds(30 * 60)

    var needsOperator: String? {
        switch self {
        case .running(let kind, let passed) where passed >= Self.usualRepair && kind.isRepair:
            "\(kind.name) has been in progress for \(Int(passed.inSeconds) / 60) minutes: see what the log says that it "
                + "waits for. Where it comes no further, a new copy breaks it off (matriarchctl reinit --force)"
        case .running: nil
        }
    }
}

extension Plan.Kind {
    /// It mends a directory in its place, and takes as long as its programs take.
    fileprivate var isRepair: Bool { self == .rewind || self == .recoverSingleUser }
}
