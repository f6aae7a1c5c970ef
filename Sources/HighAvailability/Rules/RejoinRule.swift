public import ClusterModel

/// What becomes of a data directory that cannot go on as it is (ha-loop.md §8.2, postgresql.md §21.6): pg_rewind makes
/// it one of the leader's timeline, or else a copy replaces it. Only an operator's word lets what stands there be
/// removed (`remove_data_directory_on_…`); without it the directory is kept, and PostgreSQL stays down.
func rejoin(
    _ seen: Observation, _ view: ClusterView, _ origin: Origin, _ memory: inout Memory, canRewind: Bool,
    because reason: Reason
) -> Decision {
    let source = origin.upstream
    // What is elsewhere replaces nothing here: the copy would cross from one site to the other, and what stands here
    // may be all that this site has (ha-loop.md §8.2).
    let allowed = source.remote == nil ? seen.local.mayRemove : PostgreSQLStatus.RemovalPermission()
    // What another leader's directory made pg_rewind say does not hold for this one's. A half of a rewind is not tried
    // on a second source.
    if case .failed = memory.rewind, let judge = memory.rewindRefusedBy, judge != source.name,
        seen.local.unfinished == nil
    {
        memory.rewind = .suspected
    }
    if case .failed(let failure) = memory.rewind {
        let because = [reason, .rejoin(.rewindFailed(failure))]
        guard allowed.onRewindFailure || allowed.onDivergedTimelines else {
            return keep(seen, &memory, .rewindFailed, because: because)
        }
        return replaceParted(seen, view, source, &memory, because: because)
    }
    guard canRewind, seen.local.canRewind else {
        let because = [reason, .rejoin(.rewindImpossible)]
        guard allowed.onDivergedTimelines else { return keep(seen, &memory, .rewindImpossible, because: because) }
        return replaceParted(seen, view, source, &memory, because: because)
    }
    memory.kept = nil
    if let pause = memory.rejoining.pause(at: seen.now) {
        return Decision(.wait, reason, .rejoin(.triedAgain(why: memory.rejoining.why, in: pause)))
    }
    // pg_rewind reads the source's control file: before the first checkpoint after its promotion that shows the old
    // timeline.
    if origin.isCheckpointPending {
        return Decision(.wait, reason, .rejoin(.sourceNotReadyForRewind(source.name)))
    }
    return Decision(.carryOut(rewindPlan(seen, view, source, &memory)), reason)
}

private func rewindPlan(_ seen: Observation, _ view: ClusterView, _ source: Upstream, _ memory: inout Memory) -> Plan {
    let upstream = upstream(seen.me, view, seen.settings, madeFrom: source)
    var steps: [Step] = []
    if seen.local.postmaster != nil {
        steps.append(.postgreSQL(.stop(.fast, timeout: PostgreSQLOperation.customaryStopTimeout)))
    } else if seen.local.unfinished == nil, !memory.triedSingleUserRecovery, isUnclean(seen.local.control?.state) {
        // pg_rewind would do it itself, but not where a standby signal stands. It has parted: nothing is lost by it.
        memory.triedSingleUserRecovery = true
        steps.append(.postgreSQL(.recoverSingleUser))
    }
    steps.append(.postgreSQL(.rewind(from: source)))
    steps.append(.postgreSQL(.startStandby(of: upstream, timeout: seen.settings.startPatience)))
    return Plan(.rewind, steps)
}

private func isUnclean(_ state: ControlData.ClusterState?) -> Bool {
    switch state {
    case .inProduction, .shuttingDown, .inCrashRecovery, .inArchiveRecovery, .startingUp: true
    case .shutDown, .shutDownInRecovery, nil: false
    }
}

/// Where the copy fails the directory may stand there still: it neither starts nor stands for election.
private func replaceParted(
    _ seen: Observation, _ view: ClusterView, _ source: Upstream, _ memory: inout Memory, because reasons: [Reason]
) -> Decision {
    memory.kept = .awaitingCopy
    return replace(seen, view, source, memory, because: reasons)
}

func replace(
    _ seen: Observation, _ view: ClusterView, _ source: Upstream, _ memory: Memory, because reasons: [Reason]
) -> Decision {
    if let pause = memory.rejoining.pause(at: seen.now) {
        var reasons = reasons + [.rejoin(.triedAgain(why: memory.rejoining.why, in: pause))]
        if let times = memory.failedCopies?.times[source.name], times >= StuckArithmetic.failedCopies {
            reasons.append(.bootstrap(.copyFailed(times: times, next: pause)))
        }
        return Decision(.wait, reasons)
    }
    return Decision(
        .carryOut(clonePlan(.reclone, seen.me, seen.local, seen.settings, view, from: source)), reasons)
}

/// A standby that has parted serves what never was, and has positions that mean nothing to the others: it is stopped.
private func keep(
    _ seen: Observation, _ memory: inout Memory, _ why: Memory.Keeping, because reasons: [Reason]
) -> Decision {
    memory.kept = why
    let reasons = reasons + [.rejoin(.directoryKept(why))]
    guard seen.local.postmaster != nil else { return Decision(.wait, reasons) }
    let stop = PostgreSQLOperation.stop(.fast, timeout: PostgreSQLOperation.customaryStopTimeout)
    return Decision(.carryOut(Plan(.stopParted, [.postgreSQL(stop)])), reasons)
}

// MARK: A rewind that was broken off

/// pg_rewind had begun to write (S11): the directory is rewound again or replaced, and never started as it is. Nil
/// where none was broken off.
func unfinishedRewindRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    guard seen.local.unfinished == .rewind else { return nil }
    if seen.isNamedLeader { return giveUpKey(seen, because: .rejoin(.rewindBrokenOff)) }
    if seen.settings.isPaused { return Decision(.wait, .rejoin(.rewindBrokenOff), .paused) }
    // What belongs to another cluster is the identity rule's.
    if let identifier = seen.local.systemIdentifier, isValidSystemIdentifier(identifier) {
        if let cluster = view.initialize.systemIdentifier, cluster != identifier { return nil }
    } else if let trouble = seen.local.controlTrouble, !trouble.isOfContent, seen.local.postmaster == nil {
        // What could not be read may be well: nothing is removed for it (S7).
        return Decision(.wait, .rejoin(.rewindBrokenOff), .identity(.controlFile(trouble)))
    } else if memory.rewind == .suspected || memory.rewind == .unsuspected {
        memory.rewind = .failed("it was broken off, and the control file cannot be read")
    }
    let without = Reason.writes(.runningAsPrimaryWithoutLease)
    if let decision = giveUpWrites(seen, &memory, because: [.rejoin(.rewindBrokenOff), without]) { return decision }
    guard let origin = origin(seen, view) else {
        // An archive alone: nobody will come who could be asked.
        let why: Reason =
            seen.settings.isStandbyCluster ? .rejoin(.nobodyToRewindFrom) : .bootstrap(.waitingForLeader)
        return Decision(.wait, .rejoin(.rewindBrokenOff), why)
    }
    let source = origin.upstream
    switch seen.divergence {
    case nil: return Decision(.ask(.divergence(from: source)), .rejoin(.rewindBrokenOff))
    case .unavailable(let why)?: return Decision(.wait, .rejoin(.rewindBrokenOff), .rejoin(.divergenceUnknown(why)))
    case .facts(let facts)? where facts.sourceInRecovery:
        return Decision(
            .wait, .rejoin(.rewindBrokenOff), .rejoin(.divergenceUnknown("\(source.name) is itself in recovery")))
    case .facts?:
        return rejoin(seen, view, origin, &memory, canRewind: true, because: .rejoin(.rewindBrokenOff))
    }
}

/// What is known of a data directory that has parted, and what keeps it from being mended.
public enum RejoinReason: Sendable, Hashable {
    case diverged(local: TimelineID, at: WALPosition, leftAt: WALPosition?, source: TimelineID)
    case divergenceUnknown(String)
    case rewindImpossible
    case rewindFailed(String)
    case rewindBrokenOff
    case nobodyToRewindFrom
    case directoryKept(Memory.Keeping)
    case triedAgain(why: String, in: Duration)
    case sourceNotReadyForRewind(String)
    case nothingToLose(String)

    var explanation: Explanation {
        switch self {
        case .diverged(let local, let at, let leftAt, let source):
            Explanation(
                "diverged",
                [
                    "timeline": .fact(local), "position": .fact(at), "left_at": .fact(leftAt),
                    "source_timeline": .fact(source),
                ],
                "my timeline \(local) at \(at) has parted from the leader's timeline \(source)"
                    + (leftAt.map { ", which left it at \($0)" } ?? ", which does not know it"))
        case .divergenceUnknown(let why):
            Explanation(
                "divergence-unknown", ["why": .fact(why)], "whether my timeline has parted is not known: \(why)")
        case .rewindImpossible: Explanation("rewind-impossible", "pg_rewind cannot be used here")
        case .rewindFailed(let why): Explanation("rewind-failed", ["why": .fact(why)], "pg_rewind failed: \(why)")
        case .rewindBrokenOff:
            Explanation(
                "rewind-broken-off",
                "pg_rewind was broken off in the data directory: it is rewound again or replaced first")
        case .nobodyToRewindFrom:
            Explanation(
                "nobody-to-rewind-from", "standby_cluster names no host that the directory could be rewound from")
        case .directoryKept(let why): Explanation("directory-kept", ["obstacle": .fact(why.code)], why.text)
        case .triedAgain(let why, let pause):
            Explanation(
                "tried-again", ["why": .fact(why), "pause_seconds": .fact(pause)],
                "once more in \(seconds(pause)): \(why)")
        case .sourceNotReadyForRewind(let name):
            Explanation(
                "source-not-ready-for-rewind", ["member": .fact(name)],
                "\(name) has not written a checkpoint since its promotion")
        case .nothingToLose(let name):
            Explanation(
                "nothing-to-lose", ["member": .fact(name)],
                "the comparison has proved that \(name), a running primary, has all that this data directory has: its "
                    + "removal loses nothing, and is allowed")
        }
    }

    var needsOperator: String? {
        switch self {
        case .directoryKept(.awaitingCopy): nil
        case .directoryKept(let why): why.text
        case .nobodyToRewindFrom:
            "pg_rewind was broken off in the data directory, and standby_cluster names no host to rewind it from: "
                + "restore it by hand, ask for a new copy (POST /reinitialize), or name a host"
        case .diverged, .divergenceUnknown, .rewindImpossible, .rewindFailed, .rewindBrokenOff, .triedAgain,
            .sourceNotReadyForRewind, .nothingToLose:
            nil
        }
    }
}

extension Memory.Keeping {
    fileprivate var code: String {
        switch self {
        case .rewindImpossible: "rewind-impossible"
        case .rewindFailed: "rewind-failed"
        case .awaitingCopy: "awaiting-copy"
        }
    }

    /// Why the directory stays as it is, and what an operator can do about it.
    var text: String {
        switch self {
        case .rewindImpossible:
            Self.needsHands(
                "pg_rewind cannot be used on it, and postgresql.remove_data_directory_on_diverged_timelines is off")
        case .rewindFailed:
            Self.needsHands(
                "pg_rewind gave up on it, and postgresql.remove_data_directory_on_rewind_failure and "
                    + "remove_data_directory_on_diverged_timelines are off")
        case .awaitingCopy:
            "the data directory has parted from the last leader's timeline: it stays until its copy is complete, and "
                + "is not started before it has been compared with a leader"
        }
    }

    private static func needsHands(_ obstacle: String) -> String {
        "the data directory has parted from the leader's timeline and is kept, PostgreSQL stays down: \(obstacle). "
            + "Save what you need of it, then ask for a new copy (POST /reinitialize) or allow the removal"
    }
}
