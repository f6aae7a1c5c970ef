public import ClusterModel

/// A request in `/failover`, on the leader (ha-loop.md §12.2). Nil where there is none, or it is not due.
func leaderRequestRule(_ seen: Observation, _ view: ClusterView) -> Decision? {
    guard let request = view.failover else { return nil }
    if seen.settings.isPaused && !seen.local.mayAcceptWrites { return nil }
    let clear = Action.write(.clearFailover(request.revision))
    if let decision = scheduleRule(seen, request, clear) { return decision }
    guard isDue(seen, request) else { return nil }
    if let leader = request.leader, leader != seen.me.name {
        return Decision(clear, .requestNamesAnotherLeader(requested: leader, leader: seen.me.name))
    }
    if request.candidate == seen.me.name { return Decision(clear, .requestNamesMe) }
    if seen.settings.isPaused && request.candidate == nil { return Decision(clear, .paused) }
    return handOverRule(seen, view, request, clear)
}

private func handOverRule(
    _ seen: Observation, _ view: ClusterView, _ request: FailoverRequest, _ clear: Action
) -> Decision {
    let candidates = failoverCandidates(seen, view).filter { request.candidate == nil || $0.name == request.candidate }
    guard let peers = seen.peers else { return Decision(.ask(.peers(candidates))) }
    let verdicts = candidates.map { judge($0, peers[$0.name], seen, view, required: nil) }
    let good = candidates.filter { member in verdicts.contains { $0.name == member.name && $0.verdict == .good } }
    guard !good.isEmpty else {
        return Decision(clear, .noHealthyCandidate(action: request.action, verdicts: verdicts))
    }
    let plan = Plan(
        .handOver,
        [
            .postgreSQL(.stop(.fastAfterCheckpoint, timeout: seen.settings.primaryStartTimeout)),
            .confirmReceipt(by: good),
            .releaseLeader,
        ])
    return Decision(.carryOut(plan), .requested(action: request.action, candidate: request.candidate))
}

/// SYNC-ACTIVE of ha-loop.md §1: the mode is on, and `/sync` says who may lead.
func isSynchronous(_ seen: Observation, _ view: ClusterView) -> Bool {
    seen.settings.synchronousMode != .off && !view.sync.isEmpty
}

/// The members that the leader may hand over to (ha-loop.md §11.4).
func failoverCandidates(_ seen: Observation, _ view: ClusterView) -> [Member] {
    let synchronous = isSynchronous(seen, view)
    let manual = view.failover.map { $0.leader == nil && $0.candidate != nil } ?? false
    return view.members.filter { member in
        member.name != seen.me.name && member.apiURL != nil && !member.tags.nofailover
            && (!synchronous || manual || view.sync.matches(member.name))
    }
}

/// Whether `member` could take over now; with `required`, only after it has received that much.
///
/// A primary hands over on its own timeline only, whatever `check_timeline` says: a standby that is still on the one
/// before may have parted, and then its position says nothing of the primary's WAL (S3). Stricter than the peer.
public func judge(
    _ member: Member, _ answer: PeerAnswer?, _ seen: Observation, _ view: ClusterView, required: WALPosition?
) -> CandidateVerdict {
    CandidateVerdict(
        name: member.name,
        verdict: judge(
            answer, status: view.status.optime, maximumLag: seen.settings.maximumLagOnFailover,
            clusterTimeline: leastTimeline(seen, view), required: required))
}

private func leastTimeline(_ seen: Observation, _ view: ClusterView) -> TimelineID? {
    let own = seen.local.isPrimary ? seen.local.facts?.timeline : nil
    let cluster = seen.settings.checkTimeline ? view.timeline : nil
    return [own, cluster].compactMap(\.self).max()
}

/// The verdict over one answer (ha-loop.md §11.4).
public func judge(
    _ answer: PeerAnswer?, status: WALPosition, maximumLag: Int64, clusterTimeline: TimelineID?, required: WALPosition?
) -> CandidateVerdict.Verdict {
    guard case .status(let peer)? = answer else {
        if case .unreachable(let reason)? = answer { return .unreachable(reason) }
        return .unreachable("no answer")
    }
    if peer.tags.nofailover { return .nofailover }
    if peer.watchdogFailed { return .watchdogFailed }
    if let required {
        if peer.position < required { return .missing(position: peer.position, required: required) }
    } else if status - peer.position > maximumLag {
        return .lagging(position: peer.position, behind: status, allowed: maximumLag)
    }
    if let clusterTimeline, peer.timeline < clusterTimeline {
        return .timelineBehind(peer.timeline, cluster: clusterTimeline)
    }
    return .good
}

/// A request while nobody leads (ha-loop.md §12.3). Nil where the ordinary race goes on.
func requestCandidacy(
    _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ request: FailoverRequest,
    _ memory: Memory
) -> Candidacy? {
    if let candidate = request.candidate, maySucceed(candidate, request, seen, view) {
        let cluster = seen.settings.checkTimeline ? view.timeline : nil
        if candidate == seen.me.name {
            // Where timelines are checked, a request does not make one of them twice; those who ask us judge the same.
            if let cluster, facts.timeline ?? 0 < cluster {
                return .no([.timelineBehind(mine: facts.timeline ?? 0, cluster: cluster)])
            }
            return .yes([.iAmTheCandidate])
        }
        if let member = view.member(candidate) {
            guard let peers = seen.peers else { return .ask(.peers(askedInRace(seen, view, memory)), [.leaderKeyFree]) }
            let verdict = judge(
                peers[member.name], status: .zero, maximumLag: .max, clusterTimeline: cluster, required: nil)
            if verdict == .good { return .no([.candidateWillTakeOver(candidate)]) }
        }
        // Unknown or unusable: as if none had been named.
    }
    if request.leader == seen.me.name {
        guard let peers = seen.peers else { return .ask(.peers(askedInRace(seen, view, memory)), [.leaderKeyFree]) }
        let others = failoverCandidates(seen, view).filter { $0.name != request.candidate }
        // Who lacks some of what was handed over waits (below), so it is not the one to leave the key to either.
        let anybody = others.contains {
            judge($0, peers[$0.name], seen, view, required: view.status.optime).verdict == .good
        }
        return anybody ? .no([.iWasAskedToStepDown]) : .yes([.iWasAskedToStepDown])
    }
    return waitForEverything(seen, view, facts, memory)
        ?? racers(seen, view, facts, memory, excluding: request.leader, checkLag: false)
}

/// The leader handed over because somebody had received everything, and `/status` says how much that is. Who has less
/// and cannot reach that one would win the race and lose commits (S3); it waits for `retry_timeout`, so that a cluster
/// whose former leader judges as the peer does (ha-loop.md §12.3.7) goes on all the same. Stricter than the peer.
private func waitForEverything(
    _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ memory: Memory
) -> Candidacy? {
    let limit = seen.settings.timings.retryTimeout
    let waited = seen.now - (memory.leaderlessSince ?? seen.now)
    guard facts.position < view.status.optime, waited < limit else { return nil }
    return .no([
        .behindHandedOver(mine: facts.position, handedOver: view.status.optime, waited: waited, limit: limit)
    ])
}

/// In synchronous mode a switchover ends at a node that `/sync` names (S6), also when that changed after the request
/// was accepted; a manual failover goes where its operator wants. Stricter than the peer, who trusts the acceptance.
func maySucceed(
    _ candidate: String, _ request: FailoverRequest, _ seen: Observation, _ view: ClusterView
) -> Bool {
    !isSynchronous(seen, view) || request.leader == nil || view.sync.names(candidate)
}

/// Everybody whose answer any rule of a race may want, so that one round of questions is enough.
private func askedInRace(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> [Member] {
    let former = memory.membersUnderLastLeader.filter { old in view.member(old.name) == nil }
    return (former + view.members).filter { $0.name != seen.me.name && $0.apiURL != nil }.sorted { $0.name < $1.name }
}

// MARK: Schedules (ha-loop.md §21.4)

func isScheduled(_ request: FailoverRequest) -> Bool { request.scheduledAt != nil }

/// A schedule that cannot be kept any more, or read: the request is cleared.
private func scheduleRule(_ seen: Observation, _ request: FailoverRequest, _ clear: Action) -> Decision? {
    guard let text = request.scheduledAt, !seen.settings.isPaused else { return nil }
    guard let due = Timestamp(text), due.hasOffset else { return Decision(clear, .scheduleInvalid(text)) }
    let late = Duration.nanoseconds(seen.wallTime - due.nanosecondsSinceEpoch)
    return late > seen.settings.timings.loopWait * 3 / 2 ? Decision(clear, .scheduleMissed(text)) : nil
}

private func isDue(_ seen: Observation, _ request: FailoverRequest) -> Bool {
    guard let text = request.scheduledAt else { return true }
    guard !seen.settings.isPaused, let due = Timestamp(text) else { return false }
    return seen.wallTime >= due.nanosecondsSinceEpoch
}
