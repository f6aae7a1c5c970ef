public import ClusterModel

/// Somebody else holds the leader key (ha-loop.md §9.3): follow.
func followerRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision {
    let isLed = Reason.lease(.leaderKeyHeldBy(view.leaderName ?? ""))
    if let decision = giveUpWrites(seen, &memory, because: [isLed, .writes(.runningAsPrimaryWithoutLease)]) {
        return decision
    }
    if let decision = suspicionRule(seen, view, &memory) ?? pausedReplayRule(seen) { return decision }
    let decision = followRule(seen, view, &memory)
    return stuckStandbyRule(seen, view, memory, otherwise: decision)
}

/// Replay that somebody has paused goes on, also where PostgreSQL has paused it itself for want of parameters: it ends
/// then, and starts with enough.
func pausedReplayRule(_ seen: Observation) -> Decision? {
    guard let facts = seen.local.facts, facts.replayPaused, facts.serverVersion >= 140_000, !seen.settings.isPaused
    else { return nil }
    return Decision(.carryOut(Plan(.resumeReplay, [.postgreSQL(.resumeReplay)])), .follow(.replayPaused))
}

/// A standby that does not stream while the leader is on another timeline may have parted: on the older one it may be
/// ahead of the point where the newer began, and a leader that does not know the newer one has gone on without it. So
/// may one on the same timeline that starves: the leader may have been set back behind it and have gone on, past it by
/// now.
private func suspicionRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    guard !seen.settings.isPaused, let facts = seen.local.facts, let leader = view.leaderMember else { return nil }
    let leadsMyTimeline = leader.timeline != nil && leader.timeline == memory.ledTimeline
    if facts.receiver?.isStreaming == true, !leadsMyTimeline {
        // It streams from the newest timeline or on its way to it: PostgreSQL itself has checked.
        memory.rewind = .unsuspected
        memory.kept = nil
        return nil
    }
    let isElsewhere = facts.timeline.flatMap { mine in leader.timeline.map { mine != $0 } } ?? false
    let hasStarved = starved(seen, memory) != nil
    if isElsewhere || leadsMyTimeline || hasStarved, memory.rewind == .unsuspected { memory.rewind = .suspected }
    guard memory.rewind != .unsuspected else { return nil }
    return divergenceRule(seen, view, &memory)
}

/// Takes into memory since when a standby has not streamed and replayed nothing. No answer tells nothing. Where what it
/// receives does not fit what it has, it streams for a moment again and again, and receives what it never replays.
func noteStarving(_ seen: Observation, _ memory: inout Memory) {
    guard let facts = seen.local.facts else {
        if seen.local.postmaster == nil { memory.starving = nil }
        return
    }
    guard facts.inRecovery else { return memory.starving = nil }
    let isStreaming = facts.receiver?.isStreaming == true
    if let known = memory.starving, known.position == facts.replayedPosition {
        // Two looks, one after the other, at a stream that stands.
        if isStreaming, known.streamedAt.map({ $0 < seen.local.observedAt }) ?? false { return memory.starving = nil }
        memory.starving?.streamedAt = isStreaming ? known.streamedAt ?? seen.local.observedAt : nil
    } else {
        memory.starving = isStreaming ? nil : .init(since: seen.now, position: facts.replayedPosition)
    }
}

/// A standby that has been without a stream for longer than an upstream takes to come back or to say where it is.
func starved(_ seen: Observation, _ memory: Memory) -> (position: WALPosition, time: Duration)? {
    guard let starving = memory.starving, starving.streamedAt == nil else { return nil }
    let time = seen.now - starving.since
    return time >= max(seen.settings.timings.loopWait * 3, .seconds(10)) ? (starving.position, time) : nil
}

/// Points the standby to whom it should stream from, where it was last told another.
func followRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision {
    let target = followTarget(seen.me, view, seen.settings)
    let upstream = target.upstream
    if case .withoutAddress(let name) = target { return Decision(.wait, .follow(.upstreamWithoutAddress(name))) }
    if let decision = resetRule(seen, upstream, &memory) { return decision }
    if let upstream, let decision = copyRule(seen, view, upstream, &memory) { return decision }
    if seen.local.readiness != .accepting || memory.following == .upstream(upstream) {
        guard let upstream else { return Decision(.wait, .follow(.followingNobody)) }
        let hunger = starved(seen, memory).map {
            Reason.follow(
                .receivesNothing(from: upstream.name, mine: $0.position, leader: view.status.optime, for: $0.time))
        }
        return Decision(.wait, [.follow(.following(upstream.name))] + [hunger].compactMap(\.self) + refused(seen, view))
    }
    return Decision(
        .carryOut(Plan(.follow, [.postgreSQL(.follow(upstream))])),
        [upstream.map { .follow(.mustFollow($0.name)) } ?? .follow(.followingNobody)] + refused(seen, view))
}

/// That the tag `replicatefrom` is not gone by.
private func refused(_ seen: Observation, _ view: ClusterView) -> [Reason] {
    let circle = Cascade(seen.me.name, seen.me.tags, view).circle
    return circle.isEmpty ? [] : [.follow(.goesInCircles(by: circle))]
}

/// Logical slots that the leader has and this standby lacks are copied while it is down (postgresql.md §22.4). Each try
/// costs a restart, so the next one waits longer.
private func copyRule(
    _ seen: Observation, _ view: ClusterView, _ upstream: Upstream, _ memory: inout Memory
) -> Decision? {
    // Nobody is restarted while the leader is without the store (ha-loop.md §16.1).
    guard let facts = seen.local.facts, seen.promise == nil else { return nil }
    let hasLogical = seen.settings.permanentSlots.contains { $0.isLogical }
    let copies = hasLogical ? slotRule(seen.me, view, seen.settings, seen.local, at: seen.now).copies : []
    if copies.isEmpty { memory.copying = Memory.Retries() }
    guard !copies.isEmpty, !seen.settings.isPaused, memory.following == .upstream(upstream),
        facts.receiver?.isStreaming == true, let leader = view.leaderMember.flatMap({ Upstream($0) })
    else { return nil }
    if let pause = memory.copying.pause(at: seen.now) {
        return Decision(
            .wait, .follow(.following(upstream.name)), .slot(.copyTriedAgain(why: memory.copying.why, in: pause)))
    }
    memory.copying.note("they were copied and are not there", at: seen.now, first: .seconds(10), longest: .seconds(600))
    let copy = PostgreSQLOperation.copyLogicalSlots(copies, from: leader, stopTimeout: seen.settings.stopTimeout)
    let start = PostgreSQLOperation.startStandby(of: upstream, timeout: seen.settings.startPatience)
    return Decision(
        .carryOut(Plan(.copySlots, [.postgreSQL(copy), .postgreSQL(start)])), .follow(.following(upstream.name)),
        .slot(.mustBeCopied(copies.map(\.name))))
}

/// What recovery runs with is what it was told: who changes it by hand, on a server that a daemon manages, sees it set
/// back, as with Patroni (ha-loop.md §9.3.8).
private func resetRule(_ seen: Observation, _ upstream: Upstream?, _ memory: inout Memory) -> Decision? {
    guard let altered = seen.local.facts?.alteredRecovery, !altered.isEmpty else {
        memory.resetting = Memory.Retries()
        return nil
    }
    guard memory.following == .upstream(upstream), memory.resetting.pause(at: seen.now) == nil else { return nil }
    // The next look shows whether it helped; where it does not, something stronger than we are sets it.
    memory.resetting.note("", at: seen.now, first: .seconds(5), longest: .seconds(300))
    return Decision(
        .carryOut(Plan(.follow, [.postgreSQL(.follow(upstream))])), .follow(.recoverySettingsAltered(altered)),
        upstream.map { .follow(.mustFollow($0.name)) } ?? .follow(.followingNobody))
}

/// Whom a standby streams from, and what stands in the way.
public enum FollowReason: Sendable, Hashable {
    case following(String)
    case followingNobody
    case mustFollow(String)
    /// `standby_cluster` is set.
    case mustFollowElsewhere
    case upstreamWithoutAddress(String)
    case receivesNothing(from: String, mine: WALPosition, leader: WALPosition, for: Duration)
    case recoverySettingsAltered([String])
    case replayPaused
    /// `replicatefrom` leads back here.
    case goesInCircles(by: [String])
    case sourceLacks(DivergenceFacts.Lacking, member: String, hasArchive: Bool)

    var explanation: Explanation {
        switch self {
        case .following(let name):
            Explanation("following", ["member": .fact(name)], "a secondary, and following \(name)")
        case .followingNobody: Explanation("following-nobody", "following nobody")
        case .mustFollow(let name): Explanation("must-follow", ["member": .fact(name)], "\(name) is to be followed")
        case .mustFollowElsewhere:
            Explanation(
                "must-follow-elsewhere", "standby_cluster is set: the cluster is to follow a primary elsewhere")
        case .upstreamWithoutAddress(let name):
            Explanation("upstream-without-address", ["member": .fact(name)], "\(name) has not published its address")
        case .receivesNothing(let name, let mine, let leader, let passed):
            Explanation(
                "receives-nothing",
                [
                    "member": .fact(name), "mine": .fact(mine), "leader": .fact(leader),
                    "passed_seconds": .fact(passed),
                ],
                "\(name) has sent nothing for \(seconds(passed)): my WAL ends at \(mine), the leader's at \(leader); "
                    + "PostgreSQL's log says why it does not stream")
        case .recoverySettingsAltered(let names):
            Explanation(
                "recovery-settings-altered", ["parameters": .array(names.map { .string($0) })],
                "somebody has changed \(names.joined(separator: ", "))")
        case .replayPaused: Explanation("replay-paused", "the replay of WAL was paused")
        case .goesInCircles(let names):
            Explanation(
                "replicatefrom-circle", ["members": .array(names.map { .string($0) })],
                "replicatefrom leads back to me by \(names.joined(separator: ", ")): I stream from the leader")
        case .sourceLacks(let lacking, let member, let hasArchive):
            Explanation(
                "source-lacks", ["member": .fact(member), "file": .fact(lacking.file)],
                lacking.text(member: member, hasArchive: hasArchive))
        }
    }

    var needsOperator: String? {
        switch self {
        case .sourceLacks(let lacking, let member, let hasArchive):
            "\(lacking.text(member: member, hasArchive: hasArchive)). \(lacking.remedy(hasArchive: hasArchive))"
        case .receivesNothing(let name, let mine, let leader, let passed)
        where passed >= StuckArithmetic.starvation && mine != leader:
            "This standby replays nothing: its WAL ends at \(mine), the leader's at \(leader), and \(name) has sent "
                + "nothing that fits for \(seconds(StuckArithmetic.starvation)) and longer. PostgreSQL's log says why; "
                + "where what was replayed here is not what the leader has, ask for a new copy (POST /reinitialize)"
        case .following, .followingNobody, .mustFollow, .mustFollowElsewhere, .upstreamWithoutAddress, .receivesNothing,
            .recoverySettingsAltered, .replayPaused, .goesInCircles:
            nil
        }
    }
}
