public import ClusterModel

/// A data directory, and no postmaster (ha-loop.md §8.1).
func stoppedRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision {
    let state = seen.local.control?.state
    if seen.settings.isPaused, !memory.isHandingOver {
        if seen.isNamedLeader { return giveUpKey(seen, because: .server(.notRunning(state)), .paused) }
        return Decision(.wait, .server(.notRunning(state)), .paused)
    }
    if seen.isNamedLeader { return stoppedLeaderRule(seen, view, &memory) }
    return stoppedStandbyRule(seen, view, &memory)
}

/// The lease is ours: the quickest way back to writes is to start again where we stand. If that failed before, or may
/// take no time at all, another node leads.
private func stoppedLeaderRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision {
    let state = seen.local.control?.state
    let continues = continuesTimeline(seen.local, view) && !seen.settings.isStandbyCluster
    switch seen.renewal {
    case nil:
        // A key that is to be given away, and must be left to end, ends soonest with the session that it is on.
        let earlier = earlierServer(
            seen.local, view, seen.settings, memory, isHeld: seen.lease != nil, at: seen.now)
        if earlier == .untilItsSessionEnds, !seen.settings.isStandbyCluster,
            let decision = insteadOfStart(seen, view)
        {
            return decision
        }
        return Decision(.ask(renewal(seen, view, memory, continues)), .server(.notRunning(state)))
    case .refused?: return Decision(.wait, .server(.notRunning(state)), .lease(.leaseRefused))
    case .held?: break
    }
    // It hung, and was ended for somebody else to lead: by us, or by the guardian where we could not.
    if let left = memory.heldBack(at: seen.now) {
        return giveUpKey(seen, because: .server(.notRunning(state)), .hung(.heldBack(left)))
    }
    if memory.failedStarts > 0 { return giveUpKey(seen, because: .server(.startFailed(times: memory.failedStarts))) }
    if seen.settings.isStandbyCluster { return stoppedStandbyLeaderRule(seen, view, &memory) }
    switch continuation(seen, view, memory) {
    case .setBack(let why): return giveUpKey(seen, because: .server(.notRunning(state)), .server(why))
    case .wait(let left): return Decision(.wait, .server(.notRunning(state)), .server(.mayBeSetBack(wait: left)))
    case .claimed(let received):
        memory.received = received
        let why = received.reason(end: seen.local.walEnd ?? .zero)
        return Decision(.wait, .server(.notRunning(state)), .server(why), .bootstrap(.lookedAtOnceMore))
    // A standby's directory is judged when it has come up as one.
    case .ask(let members) where continues: return Decision(.ask(.peers(members)), .server(.notRunning(state)))
    case .ask, .goesOn: break
    }
    if let decision = insteadOfStart(seen, view) { return decision }
    let timeout = seen.settings.startPatience
    if continues {
        return Decision(
            .carryOut(Plan(.startPrimary, [.postgreSQL(.startPrimary(timeout: timeout, on: seen.local.stamp))])),
            .server(.notRunning(state)))
    }
    // It was a standby when it stopped: it comes up as one, and is promoted because it holds the key. What this daemon
    // has won the key with may not be what stands there now.
    memory.hasWonKey = false
    return Decision(
        .carryOut(Plan(.startStandby, [.postgreSQL(.startStandby(of: nil, timeout: timeout))])),
        .server(.notRunning(state)))
}

/// Where a start may take no time at all, whoever can leads in place of it. In pause nobody takes the key: a start is
/// all that can be had (a hand-over that a pause has overtaken).
private func insteadOfStart(_ seen: Observation, _ view: ClusterView) -> Decision? {
    guard seen.settings.primaryStartTimeout == .zero, !seen.settings.isPaused else { return nil }
    let because = Reason.server(.notRunning(seen.local.control?.state))
    let candidates = failoverCandidates(seen, view)
    guard let peers = seen.peers else { return Decision(.ask(.peers(candidates)), because) }
    let isThere = judge(candidates, peers, seen, view).contains { $0.verdict == .good }
    return isThere ? giveUpKey(seen, because: because) : nil
}

/// Whether the directory is that of a primary of the newest timeline, which may simply go on.
func continuesTimeline(_ local: PostgreSQLStatus, _ view: ClusterView) -> Bool {
    guard let control = local.control, !local.hasStandbySignal else { return false }
    switch control.state {
    case .inProduction, .inCrashRecovery, .shuttingDown, .shutDown, .startingUp:
        return control.checkpointTimeline >= view.timeline
    case .shutDownInRecovery, .inArchiveRecovery: return false
    }
}

/// A primary that is about to start again asks the members at the same time what they have received: neither waits for
/// the other. Where a start may take no time the members' answers decide more, and have theirs.
private func renewal(_ seen: Observation, _ view: ClusterView, _ memory: Memory, _ continues: Bool) -> Question {
    guard continues, memory.failedStarts == 0, memory.heldBack(at: seen.now) == nil,
        seen.settings.primaryStartTimeout != .zero, case .ask(let members) = continuation(seen, view, memory)
    else { return .renewal }
    return .renewalAndPeers(members)
}

/// Somebody else leads, or nobody: come up as a standby, after making sure that our timeline is still theirs.
private func stoppedStandbyRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision {
    let state = seen.local.control?.state
    let startStandby = { (target: Upstream?) in
        Plan(.startStandby, [.postgreSQL(.startStandby(of: target, timeout: seen.settings.startPatience))])
    }
    guard view.leaderMember != nil || seen.settings.isStandbyCluster else {
        if let left = memory.heldBack(at: seen.now) {
            return Decision(.wait, .server(.notRunning(state)), .hung(.heldBack(left)))
        }
        if let why = memory.kept {
            return Decision(.wait, .server(.notRunning(state)), .lease(.leaderKeyFree), .rejoin(.directoryKept(why)))
        }
        if let decision = startPause(seen, isLed: false, &memory) { return decision }
        return Decision(.carryOut(startStandby(nil)), .server(.notRunning(state)), .lease(.leaderKeyFree))
    }
    // What was a primary may have gone on alone; what was a standby follows unless it was seen to be ahead, or has
    // ended by itself: that is what PostgreSQL does where it finds that it has parted.
    if memory.rewind == .unsuspected, !seen.local.hasStandbySignal || hasFailed(seen.local, memory) {
        memory.rewind = .suspected
    }
    if memory.rewind != .unsuspected {
        if let decision = uncleanRule(seen, &memory) { return decision }
        if let decision = divergenceRule(seen, view, &memory) { return decision }
    }
    if let why = memory.kept { return Decision(.wait, .server(.notRunning(state)), .rejoin(.directoryKept(why))) }
    if let decision = startPause(seen, isLed: view.leaderMember != nil, &memory) { return decision }
    let target = followTarget(seen.me, view, seen.settings).upstream
    return Decision(
        .carryOut(startStandby(target)), .server(.notRunning(state)),
        target.map { .follow(.mustFollow($0.name)) } ?? .follow(.followingNobody))
}

/// The leader of a standby cluster, and who has just ceased to be a primary: it comes up as a standby of the primary
/// elsewhere, or leaves the key to somebody who can.
private func stoppedStandbyLeaderRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision {
    if let why = memory.kept {
        return giveUpKey(seen, because: .server(.notRunning(seen.local.control?.state)), .rejoin(.directoryKept(why)))
    }
    var decision = stoppedStandbyRule(seen, view, &memory)
    // Who was to archive it may have been killed before: a site that follows by the archive alone would wait for ever.
    // What another has parted from by now is no end of the cluster's.
    if case .carryOut(var plan) = decision.action, plan.kind == .startStandby, !memory.hasArchivedLastSegment,
        seen.local.control?.state == .shutDown, continuesTimeline(seen.local, view)
    {
        plan.steps.insert(.postgreSQL(.archiveLastSegment), at: 0)
        decision.action = .carryOut(plan)
    }
    return decision
}

private func hasFailed(_ local: PostgreSQLStatus, _ memory: Memory) -> Bool {
    memory.failedStarts > 0 || [.crashed, .startFailed, .restartFailed].contains(local.state)
}

/// After a crash the control file does not tell where the WAL ends: single-user mode replays it, once. It writes a
/// checkpoint, which parts even a directory that was a beginning of the leader's: only where pg_rewind can follow
/// (ha-loop.md §8.1.5).
private func uncleanRule(_ seen: Observation, _ memory: inout Memory) -> Decision? {
    guard let state = seen.local.control?.state, !memory.triedSingleUserRecovery, !seen.local.hasStandbySignal,
        seen.local.canRewind
    else { return nil }
    switch state {
    case .inProduction, .shuttingDown, .inCrashRecovery:
        memory.triedSingleUserRecovery = true
        return Decision(
            .carryOut(Plan(.recoverSingleUser, [.postgreSQL(.recoverSingleUser)])), .server(.notRunning(state)),
            .server(.uncleanShutdown)
        )
    case .startingUp, .shutDown, .shutDownInRecovery, .inArchiveRecovery: return nil
    }
}

/// How far PostgreSQL is from running.
public enum ServerReason: Sendable, Hashable {
    case notRunning(ControlData.ClusterState?)
    case notRunningYet
    case starting(for: Duration, limit: Duration)
    case startFailed(times: Int)
    case startedAgain(in: Duration)
    case obstructed(PostgreSQLStatus.Obstacle)
    case unobservable(String)
    case uncleanShutdown
    case standbyInPause
    case setBack(end: WALPosition, flushed: WALPosition, knownBy: WALWitness)
    case mayBeSetBack(wait: Duration)

    var explanation: Explanation {
        switch self {
        case .notRunning(let state):
            Explanation(
                "not-running", ["cluster_state": .fact(state?.rawValue)],
                "PostgreSQL is not running" + (state.map { " (\($0.rawValue))" } ?? ""))
        case .notRunningYet: Explanation("not-running-yet", "PostgreSQL is not accepting connections yet")
        case .starting(let passed, let limit):
            Explanation(
                "starting", ["passed_seconds": .fact(passed), "limit_seconds": .fact(limit)],
                "PostgreSQL has been starting for \(seconds(passed)) of \(seconds(limit))")
        case .startFailed(let times):
            Explanation("start-failed", ["times": .fact(times)], "PostgreSQL failed to start \(times) time(s)")
        case .startedAgain(let pause):
            Explanation(
                "started-again", ["pause_seconds": .fact(pause)],
                "PostgreSQL is started once more in \(seconds(pause))")
        case .obstructed(let obstacle):
            Explanation("obstructed", ["obstacle": .fact(obstacle.code)], obstacle.text)
        case .unobservable(let why):
            Explanation("unobservable", ["why": .fact(why)], "PostgreSQL runs and tells nothing of itself: \(why)")
        case .uncleanShutdown: Explanation("unclean-shutdown", "it did not shut down cleanly")
        case .setBack(let end, let flushed, let witness):
            Explanation(
                "set-back",
                ["wal_end": .fact(end), "flushed": .fact(flushed), "known_by": .string("\(witness)")],
                "the data directory is older than what I led with: its WAL ends at \(end), and the leader had "
                    + "\(flushed) by \(witness)")
        case .mayBeSetBack(let wait):
            Explanation(
                "may-be-set-back", ["remaining_seconds": .fact(wait)],
                "the data directory may be older than what I led with, and no other member is there to tell: "
                    + "\(seconds(wait)) are waited for one")
        case .standbyInPause:
            Explanation("standby-in-pause", "PostgreSQL here is a standby, and nobody promotes it in pause")
        }
    }

    var needsOperator: String? {
        switch self {
        case .obstructed(let obstacle): "PostgreSQL does not start: \(obstacle.text). \(obstacle.remedy)"
        case .startFailed(let times) where times >= StuckArithmetic.failedStarts:
            "PostgreSQL does not start: its own log says why. It is tried again. A setting that the log names is mended "
                + "in the configuration, or in postgresql.auto.conf where ALTER SYSTEM has made it; if files are "
                + "damaged, ask for a new copy (POST /reinitialize)"
        case .unobservable(let why):
            "PostgreSQL runs, and the daemon is not let in: \(why). See that its superuser "
                + "(postgresql.authentication.superuser) may connect: address and port, password, pg_hba.conf, limits"
        case .notRunning, .notRunningYet, .starting, .startFailed, .startedAgain, .uncleanShutdown, .standbyInPause,
            .setBack, .mayBeSetBack:
            nil
        }
    }
}

extension WALWitness: CustomStringConvertible {
    public var description: String {
        switch self {
        case .status: "/status"
        case .myself: "what I have seen of it"
        case .member(let name): "what \(name) has received"
        }
    }
}
