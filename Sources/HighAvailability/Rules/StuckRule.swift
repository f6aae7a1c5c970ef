import ClusterModel

/// Nodes that do not come right by themselves. What keeps them down is told with what can be done about it; where an
/// operator lets data directories be removed, and the comparison has proved that the leader has all that stands in this
/// one, a new copy replaces it without hands.

/// How often something that needs hands is tried all the same: the hands may have been there.
enum StuckArithmetic {
    /// A standby that does not stream for so long is asked about: before, it is on its way.
    static let patience = Duration.seconds(10)
    /// Starts that fail without a reason that we can see are nothing that passes from here on.
    static let failedStarts = 5
    /// A record that recovery has left for so long it does not take: it looks for WAL every five seconds at the least.
    static let replayPatience = Duration.seconds(11)
    /// A standby that has received nothing for so long, and lacks something, does not help itself.
    static let starvation = Duration.seconds(60)
    /// A standby that starts for so long, with something in its way, waits for what does not come.
    static let startPatience = Duration.seconds(20)
    /// And promotions.
    static let failedPromotions = 3
    /// And base backups.
    static let failedCopies = 3
    /// Between two starts that fail for a reason that nobody knows, or while nobody leads.
    static let longestPause = Duration.seconds(10)
    /// Between two starts into an obstacle that stands there still.
    static let longestObstructedPause = Duration.seconds(300)
}

extension Memory {
    /// An obstacle is told, and acted upon, when two looks have found it, one after the other.
    mutating func noteObstacles(_ seen: Observation) {
        // Half-way through an operation the files are not looked at.
        if seen.local.obstacle != nil || seen.running == nil {
            obstacle = Self.sighted(seen.local.obstacle, at: seen.local.observedAt, after: obstacle)
        }
        switch seen.divergence {
        case .facts(let facts)?:
            lacking = Self.sighted(facts.lacking, at: seen.comparedAt ?? seen.now, after: lacking)
            unreplayed = Self.sighted(facts.unreplayed, at: seen.comparedAt ?? seen.now, after: unreplayed)
        case .unavailable?: (lacking, unreplayed) = (nil, nil)
        case nil:
            if seen.local.facts?.receiver?.isStreaming == true { lacking = nil }
            if seen.local.postmaster == nil { (lacking, unreplayed) = (nil, nil) }
        }
    }

    private static func sighted<Thing>(_ thing: Thing?, at instant: BootInstant, after known: Sighted<Thing>?)
        -> Sighted<Thing>?
    {
        guard let thing else { return nil }
        guard var known, known.thing == thing else { return Sighted(thing, at: instant) }
        known.last = max(known.last, instant)
        return known
    }

    /// What follows here is not the continuation of what was replayed: two wrote on one timeline.
    func refusesContinuation(_ facts: DivergenceFacts) -> Bool {
        guard let unreplayed, facts.unreplayed == unreplayed.thing else { return false }
        return unreplayed.last - unreplayed.first >= StuckArithmetic.replayPatience
    }

    /// What stands in the way, as far as it is certain.
    var certainObstacle: PostgreSQLStatus.Obstacle? { obstacle.flatMap { $0.isConfirmed ? $0.thing : nil } }
}

/// After a start that has failed: whether another one waits still. An obstacle that has gone is tried without at once.
func startPause(_ seen: Observation, isLed: Bool, _ memory: inout Memory) -> Decision? {
    let obstacle = memory.failedStarts > 0 ? memory.certainObstacle : nil
    // Until another look has confirmed what stands there now, what stood there before counts.
    if obstacle != nil || memory.obstacle == nil {
        if let known = memory.startObstacle, known != obstacle { memory.starting = Memory.Retries() }
        memory.startObstacle = obstacle
    }
    let longest =
        isLed && memory.startObstacle != nil ? StuckArithmetic.longestObstructedPause : StuckArithmetic.longestPause
    guard let pause = memory.starting.pause(at: seen.now, atMost: longest) else { return nil }
    let failed = Reason.server(.startFailed(times: memory.failedStarts))
    let because = obstacle.map { [failed, .server(.obstructed($0))] } ?? [failed]
    return Decision(.wait, because + [.server(.startedAgain(in: pause))])
}

/// A server that is down for good on a directory of which the leader has everything (S7: the comparison says so).
func replaceObstructed(
    _ seen: Observation, _ view: ClusterView, _ source: Upstream, _ memory: Memory
) -> Decision? {
    guard seen.local.postmaster == nil, memory.failedStarts > 1, let obstacle = memory.certainObstacle,
        mayBeReplaced(seen.local, obstacle), follows(source, seen, view)
    else { return nil }
    let because = [Reason.server(.obstructed(obstacle)), .rejoin(.nothingToLose(source.name))]
    return replace(seen, view, source, memory, because: because)
}

/// What `source` has, or has no more, decides only for who is to stream from it: a standby of another member gets its
/// WAL from that one, which nobody has compared.
private func follows(_ source: Upstream, _ seen: Observation, _ view: ClusterView) -> Bool {
    // In a standby cluster the comparison is with the primary elsewhere, whose word says nothing of a member.
    !seen.settings.isStandbyCluster && nodeToFollow(seen.me, view)?.name == source.name
}

private func mayBeReplaced(_ local: PostgreSQLStatus, _ obstacle: PostgreSQLStatus.Obstacle) -> Bool {
    // An archive may have it another time.
    obstacle.isMendedByCopy && !local.hasRestoreCommand && local.mayRemove.onDivergedTimelines
}

/// A standby that is starting and waits for WAL that nobody has: PostgreSQL itself goes on for ever. Nil while it is on
/// its way. `busy` is what is said of it otherwise.
func stuckStartRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory, because busy: [Reason]) -> Decision? {
    guard !seen.settings.isPaused, seen.local.hasStandbySignal, seen.local.readiness == .rejecting,
        let since = memory.startingSince, seen.now - since >= StuckArithmetic.startPatience,
        let obstacle = memory.certainObstacle
    else { return nil }
    let told = Decision(.wait, busy + [.server(.obstructed(obstacle))])
    guard mayBeReplaced(seen.local, obstacle), seen.running.map({ $0.plan.kind == .startStandby }) ?? true,
        let leader = view.leaderMember, leader.name != seen.me.name, let source = Upstream(leader),
        follows(source, seen, view)
    else { return told }
    switch seen.divergence {
    case nil: return Decision(.ask(.divergence(from: source)), told.reasons)
    case .unavailable?: return told
    case .facts(let facts)?:
        guard judgeDivergence(facts, ledTimeline: memory.ledTimeline) == .same else { return told }
        let because = [Reason.server(.obstructed(obstacle)), .rejoin(.nothingToLose(source.name))]
        let decision = replace(seen, view, source, memory, because: because)
        guard seen.running != nil, case .carryOut(let plan) = decision.action else { return decision }
        return Decision(.breakOff(plan), because)
    }
}

/// A standby that does not stream although it is told to: does the leader have what it needs next? Nil while it is on
/// its way, or where the leader has it. `decision` is what is done otherwise, and stays so unless a copy replaces it.
func stuckStandbyRule(
    _ seen: Observation, _ view: ClusterView, _ memory: Memory, otherwise decision: Decision
) -> Decision {
    guard case .wait = decision.action, !seen.settings.isPaused, let facts = seen.local.facts, facts.inRecovery,
        let since = seen.notStreamingSince, seen.now - since >= StuckArithmetic.patience,
        let leader = view.leaderMember, leader.name != seen.me.name, let source = Upstream(leader),
        follows(source, seen, view)
    else { return decision }
    switch seen.divergence {
    case nil: return Decision(.ask(.divergence(from: source)), decision.reasons)
    case .unavailable?: return decision
    case .facts(let found)?:
        guard let lacking = found.lacking, memory.lacking?.isConfirmed ?? false, !found.sourceInRecovery else {
            return decision
        }
        let reason = Reason.follow(.sourceLacks(lacking, member: leader.name, hasArchive: facts.hasRestoreCommand))
        if judgeDivergence(found, ledTimeline: memory.ledTimeline) == .same, !facts.hasRestoreCommand,
            case .segment = lacking, seen.local.mayRemove.onDivergedTimelines
        {
            return replace(
                seen, view, source, memory, because: [reason, .rejoin(.nothingToLose(source.name))])
        }
        return Decision(.wait, decision.reasons + [reason])
    }
}

extension Decision {
    /// With the refusal of a server that runs: nothing else is known of it.
    func noting(unobservable local: PostgreSQLStatus) -> Decision {
        guard case .wait = action, local.postmaster != nil, let why = local.unobservable else { return self }
        return Decision(action, reasons + [.server(.unobservable(why))])
    }
}

extension PostgreSQLStatus.Obstacle {
    /// A copy of the leader brings all its files with the right owner; but who cannot write here cannot copy.
    var isMendedByCopy: Bool {
        switch self {
        case .checkpointWithoutWAL, .staleBackupLabel, .historyMissing: true
        // The first is mended by another start, the second may be on its way.
        case .permissions, .removedBackupLabel, .backupNotEnded: false
        }
    }

    var code: String {
        switch self {
        case .checkpointWithoutWAL: "checkpoint-without-wal"
        case .staleBackupLabel: "stale-backup-label"
        case .removedBackupLabel: "removed-backup-label"
        case .backupNotEnded: "backup-not-ended"
        case .historyMissing: "history-missing"
        case .permissions: "permissions"
        }
    }

    /// What is wrong.
    var text: String {
        switch self {
        case .checkpointWithoutWAL(let file):
            "pg_wal has no \(file), with which recovery from the last checkpoint begins"
        case .staleBackupLabel(let file): "backup_label sends recovery to \(file), which pg_wal does not have"
        case .removedBackupLabel(let file):
            "recovery has begun by a backup_label that is not there any more, and waits for \(file), which pg_wal does "
                + "not have"
        case .backupNotEnded(let start):
            "recovery has not found the end of the base backup that began at \(start), of which backup_label told"
        case .historyMissing(let file): "pg_wal has no \(file), the history of the directory's own timeline"
        case .permissions(let what): what
        }
    }

    /// What an operator can do.
    var remedy: String {
        switch self {
        case .checkpointWithoutWAL, .historyMissing:
            "Put the file back into pg_wal, or have restore_command fetch it, or ask for a new copy (POST /reinitialize)"
        case .staleBackupLabel:
            "Where the directory is a restored backup, put the file into pg_wal or have restore_command fetch it; where "
                + "it is none, remove backup_label; or ask for a new copy (POST /reinitialize)"
        case .removedBackupLabel: "Restart PostgreSQL (POST /restart)"
        case .backupNotEnded:
            "Where the label was none of this directory's, ask for a new copy (POST /reinitialize); a backup that is "
                + "whole comes to its end by itself"
        case .permissions:
            "Give the directory and all in it to the user of PostgreSQL, with mode 0700 or 0750"
        }
    }
}

extension DivergenceFacts.Lacking {
    var file: String {
        switch self {
        case .segment(let file), .history(let file): file
        }
    }

    func text(member: String, hasArchive: Bool) -> String {
        switch self {
        case .segment:
            "\(member) has already removed WAL that this standby needs next (\(file))"
                + (hasArchive ? ", and restore_command has not brought it" : "")
        case .history: "\(member) has no \(file), without which this standby does not stream from it"
        }
    }

    func remedy(hasArchive: Bool) -> String {
        let copy =
            "Ask for a new copy (POST /reinitialize), or let the data directory be replaced "
            + "(postgresql.remove_data_directory_on_diverged_timelines)"
        switch self {
        case .segment: return hasArchive ? "See that the archive has it, or: \(copy)" : copy
        case .history:
            return "Put the file back into pg_wal of that member, from the archive or another one, "
                + "or ask for a new copy (POST /reinitialize)"
        }
    }
}
