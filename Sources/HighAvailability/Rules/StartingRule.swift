import ClusterModel

/// A postmaster that does not accept connections yet (ha-loop.md §8.4). Nil where the ordinary rules go on.
func startingRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    if seen.settings.isPaused { return nil }
    if let decision = removedLabelRule(seen, view, &memory) { return decision }
    guard seen.isNamedLeader else {
        // Without a standby signal it will accept writes as soon as it is up: that is the leader's alone.
        if !view.isUnlocked,
            let decision = giveUpWrites(seen, &memory, because: [.writes(.runningAsPrimaryWithoutLease)])
        {
            return decision
        }
        if let decision = laterUpstreamRule(seen, view, memory) { return decision }
        return stuckStartRule(seen, view, memory, because: [.server(.notRunningYet)])
            ?? Decision(.wait, .server(.notRunningYet))
    }
    switch seen.renewal {
    case nil: return Decision(.ask(.renewal), .server(.notRunningYet))
    case .held?:
        // A standby leader's start takes nobody the writes.
        if seen.settings.isStandbyCluster, let decision = laterUpstreamRule(seen, view, memory) { return decision }
        return slowStartRule(seen, view, memory)
    case .refused?:
        // A standby that starts writes nothing, and goes on.
        let reasons: [Reason] = [.server(.notRunningYet), .lease(.leaseRefused)]
        return giveUpWrites(seen, &memory, because: reasons) ?? Decision(.wait, reasons)
    }
}

/// A standby that was started for somebody else, or for nobody, goes over to who leads before it is up: the WAL without
/// which it never comes up may be there. Nil where it was told already.
private func laterUpstreamRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision? {
    guard seen.local.hasStandbySignal, seen.local.finish == nil,
        view.leaderMember != nil || seen.settings.isStandbyCluster,
        let upstream = followTarget(seen.me, view, seen.settings).upstream, memory.following != .upstream(upstream)
    else { return nil }
    return Decision(
        .carryOut(Plan(.follow, [.postgreSQL(.follow(upstream))])), .server(.notRunningYet),
        .follow(.mustFollow(upstream.name)))
}

/// A leader that starts for longer than `primary_start_timeout`, or than whoever had it restarted allowed, gives way,
/// if there is somebody to give way to.
private func slowStartRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision {
    let limit = memory.askedPatience ?? seen.settings.primaryStartTimeout
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
