import ClusterModel

/// The view names us as leader (ha-loop.md §9.1).
func leaderRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision {
    switch seen.renewal {
    case nil: return Decision(.ask(.renewal))
    case .refused?:
        // Definite: somebody else has the key. Not the same as a store that does not answer (ha-loop.md §30.4).
        let refused = Reason.lease(.leaseRefused)
        return giveUpWrites(seen, &memory, because: [refused]) ?? Decision(.wait, refused)
    case .held?: break
    }
    guard let lease = seen.lease, lease.isValid(at: seen.now) else {
        return Decision(.wait, .lease(.leaseExpired))
    }
    let leadsStandbys = seen.settings.isStandbyCluster && !seen.local.mayAcceptWrites
    if let why = seen.watchdogFailure, !seen.settings.isPaused, !leadsStandbys {
        memory.refusedPromotion = .init(why: why, at: seen.now)
        return giveUpKey(seen, because: .promotion(.watchdogFailed(why)))
    }
    if let decision = leaderRequestRule(seen, view, &memory) {
        // A request that the store does not let us clear keeps nobody from being promoted.
        guard case .write = decision.action, seen.repairsWait else { return decision }
    }
    let holding = Reason.lease(.holdingLease(remaining: lease.deadline - seen.now))
    // Before anything that could promote: nothing behind this is reached while `standby_cluster` is set.
    if seen.settings.isStandbyCluster { return standbyLeaderRule(seen, view, &memory, holding) }
    if seen.local.mayAcceptWrites { return Decision(.wait, holding) }
    if let refused = refusedPromotion(seen, memory) { return giveUpKey(seen, because: holding, .promotion(refused)) }
    if seen.settings.isPaused, view.failover?.candidate != seen.me.name, !memory.isHeir {
        return giveUpKey(seen, because: .paused, .server(.standbyInPause))
    }
    // A claim that came to the store late, or one by an older view.
    if let obstacle = failsafeObstacle(seen, view) { return giveUpKey(seen, because: holding, obstacle) }
    guard let obstacles = inheritanceRefused(seen, view, memory) else {
        return Decision(.ask(.peers(electorate(seen, view, memory, excluding: nil))), holding)
    }
    // An earlier daemon may have asked it to promote: nothing shows that before it is done, and only its end prevents
    // it.
    if !obstacles.isEmpty { return giveUpKey(seen, ending: .immediate, because: [holding] + obstacles) }
    guard LeaseArithmetic.allowsPromotion(lease, at: seen.now) else { return Decision(.ask(.renewal), holding) }
    if let decision = failedPromotionRule(seen, view, &memory) { return decision }
    let claim = SynchronousClaim(seen.me, view, seen.settings, isUncertain: seen.isSyncUncertain)
    guard claim.stands(in: view) else { return Decision(.write(.sync(claim.sync)), holding, .synchronous(.claims)) }
    if memory.promotions.from == nil, let facts = seen.local.facts {
        memory.promotions.from = .init(position: facts.position, timeline: facts.timeline ?? 0)
    }
    let failed = memory.promotions.failed
    let again: [Reason] =
        failed.failures > 0 ? [.promotion(.triedAgain(failed.why, times: failed.failures, in: .zero))] : []
    return Decision(
        .carryOut(promotionPlan(claim, asksFirst: seen.local.hasPrePromote)), [holding] + again)
}

/// From its first commit on a new primary goes by the names under which it was let lead. `asksFirst`: a command of the
/// operator's may say no before anything else is done.
public func promotionPlan(_ claim: SynchronousClaim, asksFirst: Bool = false) -> Plan {
    let question: [Step] = asksFirst ? [.postgreSQL(.prePromote)] : []
    switch claim.names {
    // What a standby has in its file anyway.
    case .configured: return Plan(.promote, question + [.postgreSQL(.promote)])
    case .names:
        return Plan(.promote, question + [.postgreSQL(.nameSynchronous(claim.names)), .postgreSQL(.promote)])
    }
}

/// What is known of the leader key and its lease.
public enum LeaseReason: Sendable, Hashable {
    case holdingLease(remaining: Duration)
    case leaseRefused
    case leaseExpired
    case leaderKeyHeldBy(String)
    case leaderKeyFree
    /// Another node bears our name.
    case nameTaken(by: String)
    /// Its server may run on in another place.
    case keyOfEarlierDaemon(EarlierServer)

    var explanation: Explanation {
        switch self {
        case .holdingLease(let remaining):
            Explanation(
                "holding-lease", ["remaining_seconds": .fact(remaining)],
                "I hold the leader lease for \(seconds(remaining)) more")
        case .leaseRefused: Explanation("lease-refused", "the store refused the lease: the leader key is not mine")
        case .leaseExpired: Explanation("lease-expired", "my lease has ended by my own count")
        case .leaderKeyHeldBy(let name):
            Explanation("leader-key-held-by", ["leader": .fact(name)], "\(name) holds the leader key")
        case .leaderKeyFree: Explanation("leader-key-free", "nobody holds the leader key")
        case .nameTaken(let other):
            Explanation(
                "name-taken", ["by": .fact(Secrets.masked(other))], "\(Secrets.masked(other)) bears my name")
        case .keyOfEarlierDaemon(let earlier):
            Explanation(
                "key-of-earlier-daemon", ["wait_seconds": earlier.wait.map { .fact($0) } ?? .null],
                "an earlier daemon has won the leader key, and its PostgreSQL may run on in another data directory: the "
                    + "key is left " + (earlier.wait.map { "for \(seconds($0)) more" } ?? "to end with its session"))
        }
    }
}
