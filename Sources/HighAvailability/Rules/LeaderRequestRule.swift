public import ClusterModel

/// A request in `/failover`, on the leader (ha-loop.md §12.2). Nil where there is none, or it is not due.
func leaderRequestRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    guard let request = view.failover else { return nil }
    if seen.settings.isPaused && !seen.local.mayAcceptWrites { return nil }
    let clear = Action.write(.clearFailover(request.revision))
    if let decision = scheduleRule(seen, request, clear) { return decision }
    guard isDue(seen, request) else { return nil }
    // Tried, and called off after PostgreSQL was down for it: not again, also while the store does not let us clear it.
    if memory.calledOff == request.revision {
        return Decision(clear, .request(.calledOffBefore(why: memory.calledOffBecause)))
    }
    if let leader = request.leader, leader != seen.me.name {
        return Decision(clear, .request(.requestNamesAnotherLeader(requested: leader, leader: seen.me.name)))
    }
    if request.candidate == seen.me.name { return Decision(clear, .request(.requestNamesMe)) }
    if seen.settings.isPaused && request.candidate == nil { return Decision(clear, .paused) }
    if let end = seen.failsafe.othersBoundUntil, seen.now < end {
        return Decision(.wait, .failsafe(.othersBound(for: end - seen.now)))
    }
    return handOverRule(seen, view, request, clear, &memory)
}

private func handOverRule(
    _ seen: Observation, _ view: ClusterView, _ request: FailoverRequest, _ clear: Action, _ memory: inout Memory
) -> Decision {
    let all = failoverCandidates(seen, view)
    let candidates = all.filter { request.candidate == nil || $0.name == request.candidate }
    let requested = Reason.request(.requested(action: request.action, candidate: request.candidate))
    // Whoever takes over needs the votes of the others.
    let goesByVotes = request.succession != .manualFailover && seen.eligibility(view).quorum != nil
    guard let peers = seen.peers else { return Decision(.ask(.peers(goesByVotes ? all : candidates)), requested) }
    let verdicts = judge(candidates, peers, seen, view)
    let good = candidates.filter { member in verdicts.contains { $0.name == member.name && $0.verdict == .good } }
    guard !good.isEmpty else {
        return Decision(clear, .request(.noHealthyCandidate(action: request.action, verdicts: verdicts)))
    }
    if goesByVotes, let lack = tooFewVotes(seen, view, peers) {
        return Decision(clear, .request(.noQuorum(action: request.action, votes: lack.votes, needed: lack.needed)))
    }
    let heirs = good.filter { isReceiving($0, seen, view) }
    guard heirs.isEmpty else { return Decision(.carryOut(handOverPlan(to: heirs, seen.settings)), requested) }
    // One that has just changed its upstream comes within moments.
    if memory.unreceived?.request != request.revision { memory.unreceived = .init(request.revision, since: seen.now) }
    let limit = seen.settings.timings.retryTimeout
    let waited = seen.now - (memory.unreceived?.since ?? seen.now)
    let nothing = Reason.request(.candidatesReceiveNothing(good.map(\.name), waited: waited, limit: limit))
    return Decision(waited < limit ? .wait : clear, requested, nothing)
}

/// Whether what this primary writes last would reach `candidate`, as far as is known: it streams from here, or by way
/// of another member, or has the archive. PostgreSQL goes down for nothing where it would not.
func isReceiving(_ candidate: Member, _ seen: Observation, _ view: ClusterView) -> Bool {
    guard let facts = seen.local.facts, !facts.inRecovery, !facts.isDetailStale else { return true }
    if let via = Cascade(candidate, view).source, via.name != seen.me.name { return true }
    if candidate.data["replication_state"]?.string == "in archive recovery" { return true }
    let slot = SlotName.of(member: candidate.name)
    return facts.slots.contains { !$0.isLogical && $0.isActive && $0.name == slot }
        || facts.walSenders.contains {
            $0.applicationName == candidate.name && ["streaming", "catchup"].contains($0.state)
        }
}

/// The members that the leader may hand over to (ha-loop.md §11.4).
func failoverCandidates(_ seen: Observation, _ view: ClusterView) -> [Member] {
    let isManual = view.failover?.succession == .manualFailover
    return seen.eligibility(view).successors(by: isManual ? .manualFailover : .handOver, except: [seen.me.name])
}

/// The votes for a hand-over, where it needs them and they are too few: of voters that are healthy by what they have
/// answered. Whoever takes over is one of them, and does not vote for itself.
func tooFewVotes(
    _ seen: Observation, _ view: ClusterView, _ answers: [String: PeerAnswer]
) -> (votes: Int, needed: Int)? {
    let eligibility = seen.eligibility(view)
    guard let quorum = eligibility.quorum else { return nil }
    let voters = eligibility.successors(by: .handOver, except: [view.leaderName])
    let votes = judge(voters, answers, seen, view).count { $0.verdict == .good } - 1
    return votes < quorum.needed ? (max(0, votes), quorum.needed) : nil
}

// MARK: Schedules (ha-loop.md §21.4)

/// Whether somebody takes the key in pause by this request: the candidate that it names, now.
public func isTakenInPause(_ request: FailoverRequest?) -> Bool {
    request.map { $0.candidate != nil && $0.scheduledAt == nil } ?? false
}

/// A schedule that cannot be kept any more, or read: the request is cleared.
private func scheduleRule(_ seen: Observation, _ request: FailoverRequest, _ clear: Action) -> Decision? {
    guard let text = request.scheduledAt, !seen.settings.isPaused else { return nil }
    guard let due = Timestamp(text), due.hasOffset else { return Decision(clear, .request(.scheduleInvalid(text))) }
    let isMissed = due.isMissed(at: seen.wallTime, seen.settings.timings)
    return isMissed ? Decision(clear, .request(.scheduleMissed(text))) : nil
}

private func isDue(_ seen: Observation, _ request: FailoverRequest) -> Bool {
    guard let text = request.scheduledAt else { return true }
    guard !seen.settings.isPaused, let due = Timestamp(text) else { return false }
    return seen.wallTime >= due.nanosecondsSinceEpoch
}

/// What a request in `/failover` leads to.
public enum RequestReason: Sendable, Hashable {
    case requestNamesAnotherLeader(requested: String, leader: String)
    case requestNamesMe
    case calledOff(why: String)
    case calledOffBefore(why: String?)
    case requested(action: String, candidate: String?)
    case noHealthyCandidate(action: String, verdicts: [CandidateVerdict])
    case noQuorum(action: String, votes: Int, needed: Int)
    case candidateWillTakeOver(String)
    case leftToCandidate(String, waited: Duration, limit: Duration)
    case candidatesReceiveNothing([String], waited: Duration, limit: Duration)
    case scheduleMissed(String)
    case scheduleInvalid(String)
    case iWasAskedToStepDown
    case iAmTheCandidate
    case behindHandedOver(mine: WALPosition, handedOver: WALPosition, waited: Duration, limit: Duration)

    var explanation: Explanation {
        switch self {
        case .requestNamesAnotherLeader(let requested, let leader):
            Explanation(
                "request-names-another-leader", ["requested": .fact(requested), "leader": .fact(leader)],
                "the request names \(requested) as the leader, which is \(leader)")
        case .requestNamesMe: Explanation("request-names-me", "the requested candidate is the leader already")
        case .calledOff(let why):
            Explanation("called-off", ["why": .fact(why)], "the switchover is called off: \(why)")
        case .calledOffBefore(let why):
            Explanation(
                "called-off-before", ["why": .fact(why)],
                "the switchover was tried and called off" + (why.map { ": \($0)" } ?? ""))
        case .requested(let action, let candidate):
            Explanation(
                "requested", ["action": .fact(action), "candidate": .fact(candidate)],
                "\(action) was requested" + (candidate.map { " to \($0)" } ?? ""))
        case .noHealthyCandidate(let action, let verdicts):
            Explanation(
                "no-healthy-candidate",
                ["action": .fact(action), "candidates": .array(verdicts.map { .object($0.json) })],
                "no member can take over for the \(action): "
                    + (verdicts.isEmpty ? "there is no other" : verdicts.map { "\($0)" }.joined(separator: ", ")))
        case .noQuorum(let action, let votes, let needed):
            Explanation(
                "no-quorum", ["action": .fact(action), "votes": .fact(votes), "needed": .fact(needed)],
                "nobody could take over for the \(action): \(votes) other voters are healthy, the quorum needs \(needed)"
            )
        case .candidateWillTakeOver(let name):
            Explanation(
                "candidate-takes-over", ["candidate": .fact(name)], "\(name) was requested and can take over")
        case .leftToCandidate(let name, let waited, let limit):
            Explanation(
                "left-to-candidate",
                ["candidate": .fact(name), "waited_seconds": .fact(waited), "limit_seconds": .fact(limit)],
                "the leader handed over to \(name), who had everything: the key is left to it "
                    + "(\(seconds(waited)) of \(seconds(limit)))")
        case .candidatesReceiveNothing(let names, let waited, let limit):
            Explanation(
                "candidates-receive-nothing",
                [
                    "candidates": .array(names.map { .string($0) }), "waited_seconds": .fact(waited),
                    "limit_seconds": .fact(limit),
                ],
                "no WAL is sent to \(names.joined(separator: ", ")): the end of mine would not arrive "
                    + "(\(seconds(waited)) of \(seconds(limit)))")
        case .scheduleMissed(let time):
            Explanation("schedule-missed", ["scheduled_at": .fact(time)], "the time \(time) has passed")
        case .scheduleInvalid(let text):
            Explanation(
                "schedule-invalid", ["scheduled_at": .fact(text)],
                "the schedule \"\(text)\" is not a time with an offset")
        case .iWasAskedToStepDown: Explanation("asked-to-step-down", "I was asked to step down")
        case .iAmTheCandidate: Explanation("requested-candidate", "I am the requested candidate")
        case .behindHandedOver(let mine, let handedOver, let waited, let limit):
            Explanation(
                "behind-handed-over",
                [
                    "mine": .fact(mine), "handed_over": .fact(handedOver), "waited_seconds": .fact(waited),
                    "limit_seconds": .fact(limit),
                ],
                "the leader handed over at \(handedOver), my WAL position is \(mine): who has everything may go first "
                    + "(\(seconds(waited)) of \(seconds(limit)))")
        }
    }
}
