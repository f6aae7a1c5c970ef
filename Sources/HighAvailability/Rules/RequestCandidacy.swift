public import ClusterModel

/// A request while nobody leads (ha-loop.md §12.3). Nil where the ordinary race goes on.
///
/// Only a manual failover is the operator's will, whatever it costs. A switchover is carried out by its leader, who
/// sees to it that nothing is lost; where that leader died first, nobody has seen to it, and the request says whom to
/// prefer among those who could win the race anyway (S3). Stricter than Patroni, whose candidate compares nothing.
func requestCandidacy(
    _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ request: FailoverRequest,
    _ memory: Memory
) -> Candidacy? {
    let eligibility = seen.eligibility(view)
    if let candidate = request.candidate, eligibility.obstacles(to: candidate, request.succession).isEmpty {
        // In a standby cluster nothing is lost by it, whatever the candidate lacks: who is ahead of it waits.
        let verdict =
            request.leader == nil || seen.settings.isStandbyCluster
            ? manualFailover(to: candidate, seen, view, facts, memory)
            : switchover(to: candidate, seen, view, facts, request, memory)
        if let verdict { return verdict }
        // Unknown or unusable: as if none had been named.
    }
    if request.leader == seen.me.name { return stepDown(seen, view, facts, request, memory) }
    return waitForEverything(seen, view, facts, memory)
        ?? racers(seen, view, facts, memory, excluding: handedOver(view, request) ? request.leader : nil)
}

/// An operator wants it to lead, also where it lacks what others have.
private func manualFailover(
    to candidate: String, _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ memory: Memory
) -> Candidacy? {
    let cluster = seen.checksTimeline ? view.timeline : nil
    if candidate == seen.me.name {
        // Where timelines are checked, a request does not make one of them twice; those who ask us judge the same.
        if let cluster, facts.timeline ?? 0 < cluster {
            return .no([.race(.timelineBehind(mine: facts.timeline ?? 0, cluster: cluster))])
        }
        return .yes([.request(.iAmTheCandidate)])
    }
    guard let member = view.member(candidate) else { return nil }
    guard let peers = seen.peers else { return .ask(.peers(everyOther(seen, view, memory)), [.lease(.leaderKeyFree)]) }
    let verdict = judge(peers[member.name], .anything, clusterTimeline: cluster)
    // One that answers and takes nothing has lost the store, which its answer does not tell.
    guard verdict == .good, waitedForLeader(seen, memory) < seen.settings.timings.retryTimeout else { return nil }
    return .no([.request(.candidateWillTakeOver(candidate))])
}

/// The candidate of a switchover races like everybody, but for priorities; the others leave the key to it where it
/// would win against them. Both judge by the same rule, so that they do not wait for each other.
private func switchover(
    to candidate: String, _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts,
    _ request: FailoverRequest, _ memory: Memory
) -> Candidacy? {
    let former = handedOver(view, request) ? request.leader : nil
    if candidate == seen.me.name {
        if let waits = waitForEverything(seen, view, facts, memory) { return waits }
        let standing = racers(seen, view, facts, memory, excluding: former, isPreferred: true)
        switch standing {
        case .yes(let reasons): return .yes([.request(.iAmTheCandidate)] + reasons)
        case .no, .ask: return standing
        }
    }
    guard view.member(candidate) != nil || memory.membersUnderLastLeader.contains(where: { $0.name == candidate }),
        seen.eligibility(view).obstacles(to: candidate, .race).isEmpty
    else { return nil }
    guard let peers = seen.peers else { return .ask(.peers(everyOther(seen, view, memory)), [.lease(.leaderKeyFree)]) }
    if former != nil, let waits = leaveToHeir(candidate, peers[candidate], seen, view, memory) { return waits }
    // One that answers, would win and takes nothing has lost the store, which its answer does not tell.
    guard waitedForLeader(seen, memory) < seen.settings.timings.retryTimeout else { return nil }
    guard case .status(let peer)? = peers[candidate], !peer.isPrimary,
        judge(peers[candidate], .anything, clusterTimeline: nil) == .good
    else { return nil }
    let theirs = Standing(
        name: candidate, position: peer.position, replayed: peer.replayed, timeline: peer.timeline, priority: 0,
        isUnproven: peer.isUnproven)
    let mine = PeerAnswer.status(
        PeerStatus(
            isPrimary: false, position: facts.position, timeline: facts.timeline ?? 0, tags: seen.me.tags,
            replayed: facts.replayedPosition, isUnproven: seen.local.isUnproven))
    let others = electorate(seen, view, memory, excluding: former)
        .filter { $0.name != candidate }.map { ($0.name, peers[$0.name] ?? .unreachable("not asked")) }
    var rules = raceRules(seen, view, memory)
    rules.heedsPriority = false
    guard case .yes = judgeRace(theirs, against: others + [(seen.me.name, mine)], rules) else { return nil }
    return .no([.request(.candidateWillTakeOver(candidate))])
}

/// The leader let go because the candidate had everything. An answer that does not come in time, one of a moment before
/// the last bytes came, a member key that is being put again: none of that changes it, and who asked named the
/// candidate. The others leave the key to it for `retry_timeout`, unless it says itself that it will not take it.
private func leaveToHeir(
    _ candidate: String, _ answer: PeerAnswer?, _ seen: Observation, _ view: ClusterView, _ memory: Memory
) -> Candidacy? {
    if case .status(let peer)? = answer {
        let against = objections(
            to: answer, .anything, clusterTimeline: seen.checksTimeline ? view.timeline : nil)
        let hasParted = view.history.left(peer.timeline, before: peer.replayed) != nil
        if peer.isPrimary || hasParted || against.contains(where: \.isLasting) { return nil }
    }
    let limit = seen.settings.timings.retryTimeout
    let waited = waitedForLeader(seen, memory)
    guard waited < limit else { return nil }
    return .no([.request(.leftToCandidate(candidate, waited: waited, limit: limit))])
}

/// For how long nobody has led, as far as this node knows.
private func waitedForLeader(_ seen: Observation, _ memory: Memory) -> Duration {
    seen.now - (memory.leaderlessSince ?? seen.now)
}

/// Whether who may take the key is judged by a request: one that is for now, or one whose time has come and whose
/// leader has acted upon it. The nodes' clocks may differ by a minute.
public func isUnderWay(_ request: FailoverRequest, _ view: ClusterView, wallTime: Int64) -> Bool {
    guard let text = request.scheduledAt else { return true }
    guard handedOver(view, request), let due = Timestamp(text), due.hasOffset else { return false }
    return due.lateness(at: wallTime) >= .seconds(-60)
}

/// What the winner of the leader key leaves of the request that was under way; a newer one stays by compare-and-swap.
///
/// Where nobody has taken what this node gave away, it does not give it away again, whatever becomes of that write. In
/// pause its own name stays until it is promoted (ha-loop.md §15): without it a standby gives the key back.
public func requestWhenWon(
    _ request: FailoverRequest, _ me: NodeIdentity, isPaused: Bool, _ memory: inout Memory
) -> JSONObject {
    let gaveAway = request.leader == me.name
    if gaveAway { memory.callsOff(request, because: "nobody has taken the leader key that was given away") }
    if isPaused, request.candidate == me.name { return FailoverRequest(leader: nil, candidate: me.name).json }
    // It was asked once more (RefusedPromotionRule.swift), and what was refused before counts no more.
    if request.candidate == me.name { memory.refusedPromotion = nil }
    return FailoverRequest.ended(because: gaveAway ? memory.calledOffBecause : nil)
}

/// The leader itself was asked to step down: it does, where somebody else has all that it has. That one takes the key
/// at once, or not at all: one that is healthy and cannot reach the store is not waited for without end (L1).
private func stepDown(
    _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ request: FailoverRequest,
    _ memory: Memory
) -> Candidacy {
    guard let peers = seen.peers else { return .ask(.peers(everyOther(seen, view, memory)), [.lease(.leaderKeyFree)]) }
    let others = failoverCandidates(seen, view).filter { $0.name != request.candidate }
    // Who lacks some of what was handed over waits (below), so it is not the one to leave the key to either. Before
    // anything was handed over, what counts is all that is here.
    let required = handedOver(view, request) ? view.status.optime : max(view.status.optime, facts.position)
    let anybody = others.contains { judge($0, peers[$0.name], seen, view, received: required).verdict == .good }
    if anybody, waitedForLeader(seen, memory) < seen.settings.timings.retryTimeout {
        return .no([.request(.iWasAskedToStepDown)])
    }
    return racers(seen, view, facts, memory, excluding: nil)
}

/// The leader that the request names has stopped cleanly and released the key, and `/status` says where its WAL ends.
/// Without its word, which Patroni does not give, a request is one that was never acted upon.
private func handedOver(_ view: ClusterView, _ request: FailoverRequest) -> Bool {
    request.leader != nil && view.status.handedOverBy == request.leader
}

/// The leader handed over because somebody had received everything, and `/status` says how much that is. Who has less
/// and cannot reach that one would win the race and lose commits (S3); it waits for `retry_timeout`, so that the
/// cluster goes on all the same, within `maximum_lag_on_failover`. Stricter than Patroni.
func waitForEverything(
    _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ memory: Memory
) -> Candidacy? {
    guard view.status.handedOverBy != nil else { return nil }
    let limit = seen.settings.timings.retryTimeout
    let waited = waitedForLeader(seen, memory)
    guard facts.position < view.status.optime, waited < limit else { return nil }
    return .no([
        .request(.behindHandedOver(mine: facts.position, handedOver: view.status.optime, waited: waited, limit: limit))
    ])
}

extension FailoverRequest {
    /// In synchronous mode a switchover ends at a node that `/sync` names (S6), also when that changed after the
    /// request was accepted; a manual failover goes where its operator wants. Stricter than Patroni, which trusts the
    /// acceptance.
    var succession: Eligibility.Succession { leader == nil && candidate != nil ? .manualFailover : .race }
}
