import ClusterModel

/// The view names us as leader (ha-loop.md §9.1).
func leaderRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision {
    switch seen.renewal {
    case nil: return Decision(.ask(.renewal))
    case .refused?: return refusedRule(seen)
    case .held?: break
    }
    guard let lease = seen.lease, lease.isValid(at: seen.now) else {
        return Decision(.wait, .lease(.leaseRefused))
    }
    if let decision = leaderRequestRule(seen, view, memory) { return decision }
    let holding = Reason.lease(.holdingLease(remaining: lease.deadline - seen.now))
    if seen.local.mayAcceptWrites { return Decision(.wait, holding) }
    if seen.settings.isPaused, view.failover?.candidate != seen.me.name {
        return giveUpKey(seen, because: .paused, .server(.notRunning(nil)))
    }
    // Standby clusters are not built. A cluster that was led by a primary goes on as it was, whatever `/config` asks
    // for meanwhile; one that a peer made a standby cluster must not part from what it follows, nor one of which that
    // is not known.
    if seen.settings.isStandbyCluster, !memory.isLedByPrimary {
        return Decision(.wait, holding, .lease(.notBuilt("standby clusters")))
    }
    guard LeaseArithmetic.allowsPromotion(lease, at: seen.now) else { return Decision(.ask(.renewal), holding) }
    return Decision(.carryOut(Plan(.promote, [.postgreSQL(.promote)])), holding)
}

/// A definite refusal: somebody else has the key. Not the same as a store that does not answer (ha-loop.md §30.4).
private func refusedRule(_ seen: Observation) -> Decision {
    let refused = Reason.lease(.leaseRefused)
    guard seen.local.mayAcceptWrites else { return Decision(.wait, refused) }
    if seen.settings.isPaused { return Decision(.wait, refused, .paused) }
    return Decision(.carryOut(DemotionPlans.lost(seen)), refused)
}

/// What is known of the leader key and its lease.
public enum LeaseReason: Sendable, Hashable {
    case holdingLease(remaining: Duration)
    case leaseRefused
    case leaderKeyHeldBy(String)
    case leaderKeyFree
    case notBuilt(String)

    var explanation: Explanation {
        switch self {
        case .holdingLease(let remaining):
            Explanation(
                "holding-lease", ["remaining_seconds": .fact(remaining)],
                "I hold the leader lease for \(seconds(remaining)) more")
        case .leaseRefused: Explanation("lease-refused", "the store refused the lease: the leader key is not mine")
        case .leaderKeyHeldBy(let name):
            Explanation("leader-key-held-by", ["leader": .fact(name)], "\(name) holds the leader key")
        case .leaderKeyFree: Explanation("leader-key-free", "nobody holds the leader key")
        case .notBuilt(let what):
            Explanation("not-built", ["what": .fact(what)], "\(what): not supported by this version")
        }
    }
}
