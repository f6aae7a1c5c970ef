public import ClusterModel

/// `primary_race_backoff` (ha-loop.md §10.1): a key that has ended does not say that its primary has. Whoever led may
/// have lost the store alone, or the store its key, and takes it back as soon as it can; while WAL comes from it, it
/// lives. Nil where nobody is waited for.
///
/// A standby waits for a turn of the loop, in which it sees whether WAL comes, and then for as long as it does, up to
/// the configured time. A primary that runs claims its key at once: it is the one that is waited for. One that handed
/// over has ended, and a candidate that an operator names takes over.
func raceBackoff(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> BackoffReason? {
    let limit = seen.settings.primaryRaceBackoff
    guard limit > .zero, !seen.settings.isStandbyCluster, let since = memory.leaderlessSince,
        view.status.handedOverBy == nil
    else { return nil }
    if let request = view.failover, request.candidate != nil, isUnderWay(request, view, wallTime: seen.wallTime) {
        return nil
    }
    let loopWait = seen.settings.timings.loopWait
    let waited = seen.now - since
    if waited < limit, let inflow = memory.inflow, let grewAt = inflow.grewAt, seen.now - grewAt < loopWait {
        return .walArrives(position: inflow.position, limit: max(.zero, limit - waited))
    }
    return waited < loopWait ? .leaderMayReturn(wait: loopWait - waited) : nil
}

extension Memory {
    /// When a node that waits because of `primary_race_backoff` has to think of it again; nil where nobody waits.
    public func raceBackoffEnds(_ settings: DynamicConfiguration, after now: BootInstant) -> BootInstant? {
        guard settings.primaryRaceBackoff > .zero, let since = leaderlessSince else { return nil }
        return [settings.timings.loopWait, settings.primaryRaceBackoff].map { since + $0 }.filter { $0 > now }.min()
    }

    /// What a receiver that starts anew begins with may be less than it had: only growth is a sign of life.
    mutating func noteInflow(_ seen: Observation) {
        guard seen.settings.primaryRaceBackoff > .zero, let facts = seen.local.facts, facts.inRecovery,
            facts.receiver?.isStreaming == true
        else { return inflow = nil }
        let position = facts.receivedPosition
        let hasGrown = inflow.map { position > $0.position } ?? false
        inflow = Inflow(position: position, grewAt: hasGrown ? seen.local.observedAt : inflow?.grewAt)
    }
}

/// For whom a race waits that could begin.
public enum BackoffReason: Sendable, Hashable {
    case leaderMayReturn(wait: Duration)
    case walArrives(position: WALPosition, limit: Duration)

    var explanation: Explanation {
        switch self {
        case .leaderMayReturn(let wait):
            Explanation(
                "leader-may-return", ["remaining_seconds": .fact(wait)],
                "whoever led may take the key back (primary_race_backoff): \(seconds(wait)) are waited")
        // Patroni's words (observable-text.md).
        case .walArrives(let position, let limit):
            Explanation(
                "wal-arrives", ["position": .fact(position), "limit_seconds": .fact(limit)],
                "wal position moved since last heart beat loop, to \(position): whoever led lives, and is waited for, "
                    + "\(seconds(limit)) at most (primary_race_backoff)")
        }
    }
}
