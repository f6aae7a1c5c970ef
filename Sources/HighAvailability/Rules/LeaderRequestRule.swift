public import ClusterModel

/// A request in `/failover`, on the leader (ha-loop.md §12.2). Nil where there is none, or it is not due.
func leaderRequestRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision? {
    guard let request = view.failover else { return nil }
    if seen.settings.isPaused && !seen.local.mayAcceptWrites { return nil }
    let clear = Action.write(.clearFailover(request.revision))
    if let decision = scheduleRule(seen, request, clear) { return decision }
    guard isDue(seen, request) else { return nil }
    // Tried, and called off after PostgreSQL was down for it: not again, also while the store does not let us clear it.
    if memory.calledOff == request.revision { return Decision(clear, .request(.calledOffBefore)) }
    if let leader = request.leader, leader != seen.me.name {
        return Decision(clear, .request(.requestNamesAnotherLeader(requested: leader, leader: seen.me.name)))
    }
    if request.candidate == seen.me.name { return Decision(clear, .request(.requestNamesMe)) }
    if seen.settings.isPaused && request.candidate == nil { return Decision(clear, .paused) }
    return handOverRule(seen, view, request, clear)
}

private func handOverRule(
    _ seen: Observation, _ view: ClusterView, _ request: FailoverRequest, _ clear: Action
) -> Decision {
    let candidates = failoverCandidates(seen, view).filter { request.candidate == nil || $0.name == request.candidate }
    let requested = Reason.request(.requested(action: request.action, candidate: request.candidate))
    guard let peers = seen.peers else { return Decision(.ask(.peers(candidates)), requested) }
    let verdicts = judge(candidates, peers, seen, view)
    let good = candidates.filter { member in verdicts.contains { $0.name == member.name && $0.verdict == .good } }
    guard !good.isEmpty else {
        return Decision(clear, .request(.noHealthyCandidate(action: request.action, verdicts: verdicts)))
    }
    return Decision(.carryOut(handOverPlan(to: good, seen.settings)), requested)
}

/// The members that the leader may hand over to (ha-loop.md §11.4).
func failoverCandidates(_ seen: Observation, _ view: ClusterView) -> [Member] {
    let isManual = view.failover?.succession == .manualFailover
    return seen.eligibility(view).successors(by: isManual ? .manualFailover : .handOver, except: [seen.me.name])
}

// MARK: Schedules (ha-loop.md §21.4)

func isScheduled(_ request: FailoverRequest) -> Bool { request.scheduledAt != nil }

/// A schedule that cannot be kept any more, or read: the request is cleared.
private func scheduleRule(_ seen: Observation, _ request: FailoverRequest, _ clear: Action) -> Decision? {
    guard let text = request.scheduledAt, !seen.settings.isPaused else { return nil }
    guard let due = Timestamp(text), due.hasOffset else { return Decision(clear, .request(.scheduleInvalid(text))) }
    let late = due.lateness(at: seen.wallTime)
    return late > seen.settings.timings.loopWait * 3 / 2 ? Decision(clear, .request(.scheduleMissed(text))) : nil
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
    case calledOffBefore
    case requested(action: String, candidate: String?)
    case noHealthyCandidate(action: String, verdicts: [CandidateVerdict])
    case candidateWillTakeOver(String)
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
        case .calledOffBefore: Explanation("called-off-before", "the switchover was tried and called off")
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
        case .candidateWillTakeOver(let name):
            Explanation(
                "candidate-takes-over", ["candidate": .fact(name)], "\(name) was requested and can take over")
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
