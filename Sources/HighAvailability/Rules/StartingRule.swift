import ClusterModel

/// A postmaster that does not accept connections yet (ha-loop.md §8.4). Nil where the ordinary rules go on.
func startingRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    if seen.settings.isPaused { return nil }
    guard seen.isNamedLeader else {
        // Without a standby signal it will accept writes as soon as it is up: that is the leader's alone.
        if !view.isUnlocked,
            let decision = giveUpWrites(seen, &memory, because: [.writes(.runningAsPrimaryWithoutLease)])
        {
            return decision
        }
        return Decision(.wait, .server(.notRunningYet))
    }
    switch seen.renewal {
    case nil: return Decision(.ask(.renewal), .server(.notRunningYet))
    case .held?: return slowStartRule(seen, view, memory)
    case .refused?: return Decision(.carryOut(DemotionPlans.lost(seen)), .server(.notRunningYet), .lease(.leaseRefused))
    }
}

/// A leader that starts for longer than `primary_start_timeout` gives way, if there is somebody to give way to.
private func slowStartRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision {
    let limit = seen.settings.primaryStartTimeout
    guard let since = memory.startingSince, seen.now - since >= limit else {
        return Decision(.wait, .server(.notRunningYet))
    }
    let starting = Reason.server(.starting(for: seen.now - since, limit: limit))
    let candidates = failoverCandidates(seen, view)
    guard let peers = seen.peers else { return Decision(.ask(.peers(candidates)), starting) }
    let verdicts = judge(candidates, peers, seen, view)
    guard verdicts.contains(where: { $0.verdict == .good }) else {
        return Decision(.wait, starting, .request(.noHealthyCandidate(action: "failover", verdicts: verdicts)))
    }
    return giveUpKey(seen, because: starting)
}
