public import ClusterModel

/// The leader of a standby cluster (ha-loop.md §19): it holds the key, follows the primary elsewhere, and feeds the
/// other members. Nothing here promotes.
func standbyLeaderRule(
    _ seen: Observation, _ view: ClusterView, _ memory: inout Memory, _ holding: Reason
) -> Decision {
    if seen.local.mayAcceptWrites,
        let decision = giveUpWrites(
            seen, &memory, by: DemotionPlans.standbyCluster(seen), because: [holding, .follow(.mustFollowElsewhere)])
    {
        return decision
    }
    // An earlier daemon's doubts are not known.
    let leadsForWant = leadsForWantOfOthers(seen.local, view, seen.settings, memory)
    if leadsForWant, memory.rewind == .unsuspected { memory.rewind = .suspected }
    // When the cluster is let lead again, this is who leads it: there is nothing here that somebody could have more of.
    // But who has parted and leads only as long as the others are away leaves it to them.
    memory.hasWonKey = !leadsForWant
    // Commits wait for nobody any more, and whoever is promoted one day is not to be judged by who was named here.
    // A store that refuses that keeps nobody from following.
    if !view.sync.isEmpty, !seen.repairsWait {
        return Decision(.write(.sync(nil)), holding, .follow(.mustFollowElsewhere))
    }
    if let decision = standbyLeaderSuspicionRule(seen, view, &memory) ?? pausedReplayRule(seen) { return decision }
    let decision = followRule(seen, view, &memory)
    guard case .wait = decision.action else { return decision }
    return Decision(.wait, [holding] + decision.reasons)
}

/// Whether what stands here is not the cluster's: by `/history` the cluster went on without it, and the primary
/// elsewhere has not told otherwise. In a standby cluster such a one may lead, since nothing is lost by that; but
/// `/status` goes on to say what the cluster had, by which the next leader is chosen.
public func leadsForWantOfOthers(
    _ local: PostgreSQLStatus, _ view: ClusterView, _ settings: DynamicConfiguration, _ memory: Memory
) -> Bool {
    guard memory.rewind != .unsuspected || memory.following == .unknown, let facts = local.facts, facts.inRecovery,
        facts.receiver?.isStreaming != true, let timeline = facts.timeline,
        // An archive is never streamed from.
        settings.standbyCluster?.upstream(leads: true).hasAddress ?? true
    else { return false }
    return view.history.left(timeline, before: facts.replayedPosition) != nil
}

/// Who was a primary before, or gets nothing for a while, may have parted from the primary elsewhere; no member tells
/// of that one's timeline.
private func standbyLeaderSuspicionRule(
    _ seen: Observation, _ view: ClusterView, _ memory: inout Memory
) -> Decision? {
    guard !seen.settings.isPaused, let facts = seen.local.facts else { return nil }
    let isOnMyTimeline = facts.timeline != nil && facts.timeline == memory.ledTimeline
    if facts.receiver?.isStreaming == true, !isOnMyTimeline {
        // It streams: PostgreSQL itself has checked.
        memory.rewind = .unsuspected
        memory.kept = nil
        return nil
    }
    if starved(seen, memory) != nil, memory.rewind == .unsuspected { memory.rewind = .suspected }
    guard memory.rewind != .unsuspected else { return nil }
    return divergenceRule(seen, view, &memory)
}
