import ClusterModel

/// One decision: what this node does next, and why. Pure: the same observation and memory give the same decision.
///
/// The rules stand in the order of ha-loop.md §5; the first that has something to say ends the decision.
public func decide(_ seen: Observation, _ memory: inout Memory) -> Decision {
    var seen = seen.heedingPromise
    remember(seen, &memory)
    seen.forgetHandOver(before: memory.leaderSince)
    let ruled = leavingEarlierKey(ruling(seen, &memory), seen, memory)
    notePassedOver(ruled, seen, &memory)
    return rollingRestartRule(seen, ruled, &memory).noting(seen.health).noting(unlooked: seen)
        .noting(unobservable: seen.local).noting(archive: seen)
}

private func ruling(_ seen: Observation, _ memory: inout Memory) -> Decision {
    guard let view = seen.view else { return withoutView(seen, &memory) }
    if let failure = seen.storeFailure { return storeLossRule(seen, failure, &memory) }
    if let running = seen.running {
        return hungRule(seen, view, &memory) ?? runningPlanRule(seen, view, running, &memory)
    }
    if let decision = directoryTroubleRule(seen, memory) { return decision }
    switch seen.local.dataDirectory {
    case .empty: return emptyDirectoryRule(seen, view, memory)
    case .inaccessible(let reason): return inaccessibleDirectoryRule(seen, reason, &memory)
    case .unseen(let reason): return hungRule(seen, view, &memory) ?? unseenDirectoryRule(seen, reason, &memory)
    case .initialized: break
    }
    // Before anything that could start what stands there by halves (S11).
    if let decision = unfinishedBootstrapRule(seen, view) { return decision }
    if let decision = unfinishedRewindRule(seen, view, &memory) { return decision }
    if let decision = identityRule(seen, view, memory) { return decision }
    if let decision = finishedRule(seen, memory) { return decision }
    if seen.local.postmaster == nil { return stoppedRule(seen, view, &memory) }
    if let decision = hungRule(seen, view, &memory) { return decision }
    if seen.local.readiness != .accepting, let decision = startingRule(seen, view, &memory) { return decision }
    if view.isUnlocked { return noLeaderRule(seen, view, &memory) }
    return seen.isNamedLeader ? leaderRule(seen, view, &memory) : followerRule(seen, view, &memory)
}

/// Takes into memory what later cycles need of this observation.
private func remember(_ seen: Observation, _ memory: inout Memory) {
    if seen.settings.isPaused { memory.wasPaused = true } else if memory.wasPaused { memory.resume() }
    memory.note(judge: seen.settings.standbyCluster)
    memory.awaitsLook = false
    if seen.local.readiness == .accepting {
        memory.failedStarts = 0
        memory.starting = Memory.Retries()
        memory.startObstacle = nil
        memory.triedSingleUserRecovery = false
        memory.hasRun = true
        memory.isHandingOver = false
        // A restart begins with a server that runs.
        if seen.running == nil { memory.askedPatience = nil }
    }
    if seen.local.postmaster != nil, seen.local.finish == nil, seen.local.readiness == .rejecting {
        memory.startingSince = memory.startingSince ?? seen.now
    } else {
        memory.startingSince = nil
    }
    if seen.local.postmaster != nil || !seen.isNamedLeader { memory.received = nil }
    if seen.local.dataDirectory == .empty { memory.kept = nil }
    memory.noteDirectory(seen.local)
    memory.noteObstacles(seen)
    noteStarving(seen, &memory)
    memory.noteInflow(seen)
    noteLed(seen, &memory)
    // Until a view with a leader comes, the members of the last one are still asked in a race.
    if let view = seen.view {
        let isAlone = !view.members.contains { $0.name != seen.me.name }
        memory.aloneSince = isAlone ? memory.aloneSince ?? seen.now : nil
        if let leader = view.leaderName {
            memory.noteMembers(view.members, ttl: seen.settings.timings.ttl, at: seen.now)
            memory.lastLeader = leader
            // The others had the key, and one of them made use of it.
            if leader != seen.me.name, view.leaderMember?.role == .primary { memory.refusedPromotion = nil }
            // One that is kept as the leader by a promise has no key.
            if let key = view.leader, !key.session.isEmpty { memory.leaderSince = key.revision }
        }
        if let identifier = seen.local.systemIdentifier, view.initialize.systemIdentifier == identifier {
            memory.systemIdentifierInStore = identifier
        }
        memory.leaderlessSince = view.isUnlocked ? memory.leaderlessSince ?? seen.now : nil
        if view.leaderName != nil { memory.passedOverSince = nil }
        memory.noteUnled(view, at: seen.now)
        memory.noteHeir(view, seen)
    }
}

extension Observation {
    /// What was handed over before the last tenure began says nothing of what was written in that one, whoever led.
    fileprivate mutating func forgetHandOver(before leaderSince: Revision?) {
        guard let leaderSince, let status = view?.status, status.handedOverBy != nil, status.revision ?? 0 < leaderSince
        else { return }
        view?.status.handedOverBy = nil
    }
}

private func notePassedOver(_ decision: Decision, _ seen: Observation, _ memory: inout Memory) {
    let isPassedOver = decision.reasons.contains { reason in
        if case .race(.peerHasPriority) = reason { true } else { false }
    }
    if isPassedOver { memory.passedOverSince = memory.passedOverSince ?? seen.now }
}

/// The timeline on which this node has accepted writes, and how far it came.
private func noteLed(_ seen: Observation, _ memory: inout Memory) {
    if seen.local.isPrimary, let facts = seen.local.facts, let timeline = facts.timeline {
        memory.ledTimeline = timeline
        memory.ledPosition = facts.writePosition
    }
    // A promotion that failed has begun a timeline of its own. Another leader would have ended the count of them: one
    // that may be there unseen, or elsewhere, begins timelines as well.
    if let facts = seen.local.facts, facts.inRecovery, let timeline = facts.timeline,
        let from = memory.promotions.from, from.timeline > 0, timeline > from.timeline,
        memory.promotions.failed.failures > 0, seen.storeFailure == nil, !seen.settings.isStandbyCluster
    {
        memory.ledTimeline = timeline
        memory.ledPosition = facts.position
    }
}

/// Before the first successful load nothing is known of the cluster: a running PostgreSQL is left as it is, unless it
/// may accept writes and the store stays away (ha-loop.md §2 waits here without end; S1 does not allow that).
private func withoutView(_ seen: Observation, _ memory: inout Memory) -> Decision {
    guard let failure = seen.storeFailure else { return Decision(.wait, .store(.neverLoaded)) }
    return storeLossRule(seen, failure, &memory)
}
