public import ClusterModel

// S1 in words: nobody gives the leader key away, for no reason, while a postmaster of ours that may accept writes may
// live. Here, and nowhere else, that sentence is held: every rule that wants the key gone asks `giveUpKey`, every rule
// that ends the daemon asks `leaveCluster`, and what reaches the store or ends the process all the same (plans,
// commands, signals) is asked `mayGiveUpKey` once more by the cycle.

/// Whether the leader key may go as things are: no postmaster of ours lives that may accept writes.
///
/// What is not known counts against it: a server that does not answer and has no standby signal may accept them, also
/// where its data directory is gone, empty or somebody else's; so may one whose promotion was asked for.
public func mayGiveUpKey(_ local: PostgreSQLStatus) -> Bool { !local.mayYetAcceptWrites }

/// Ends PostgreSQL, then deletes the leader key.
public func giveUpKeyPlan(_ mode: StopMode = .immediate) -> Plan {
    Plan(.demote, [.postgreSQL(.stop(mode, timeout: PostgreSQLOperation.urgentStopTimeout)), .releaseLeader])
}

/// Gives the leader key up: at once where nothing here may accept writes, else after PostgreSQL has ended.
///
/// In pause PostgreSQL is its operator's and is not ended; then the key stays, and is renewed, as long as it may accept
/// writes. `ending`: what is seen of PostgreSQL does not tell whether it may, and it is ended so in any case.
func giveUpKey(_ seen: Observation, ending mode: StopMode? = nil, because reasons: Reason...) -> Decision {
    giveUpKey(seen, ending: mode, because: reasons)
}

func giveUpKey(_ seen: Observation, ending mode: StopMode? = nil, because reasons: [Reason]) -> Decision {
    if mode == nil, mayGiveUpKey(seen.local) {
        guard mayHaveLeftSessions(seen.local), !seen.settings.isPaused else { return Decision(.releaseLeader, reasons) }
        return Decision(.carryOut(giveUpKeyPlan()), reasons + [.writes(.sessionsMayGoOn)])
    }
    if seen.settings.isPaused {
        return Decision(
            seen.renewal == nil ? .ask(.renewal) : .wait, reasons + [.paused, .writes(.stillAcceptsWrites)])
    }
    let plan = giveUpKeyPlan(mode ?? .immediate)
    return Decision(
        seen.running == nil ? .carryOut(plan) : .breakOff(plan), reasons + [.writes(.stillAcceptsWrites)])
}

/// A primary whose postmaster was killed by itself: a session that is busy does not know of it before it waits for its
/// client, and acknowledges a commit first. A stop finds the sessions, and ends them. A control file that tells nothing
/// does not say that there are none, nor does a directory that is gone or was emptied under them.
private func mayHaveLeftSessions(_ local: PostgreSQLStatus) -> Bool {
    guard local.postmaster == nil else { return false }
    guard let state = local.control?.state else { return true }
    switch state {
    case .inProduction, .shuttingDown: return true
    case .startingUp, .shutDown, .shutDownInRecovery, .inCrashRecovery, .inArchiveRecovery: return false
    }
}

/// How long a server that was shut down may archive before it is ended and joins the new leader. What is not archived
/// by then nobody else archives, so this is long.
public let archivingPatience = Duration.seconds(300)

/// A postmaster that is still there and has proven to accept no writes any more: one that only archives is ended, so
/// that the node can go on; one that the kernel does not let go is waited for, without the key. Nil for any other.
func finishedRule(_ seen: Observation, _ memory: Memory) -> Decision? {
    guard let finish = seen.local.finish, seen.local.postmaster != nil else { return nil }
    if seen.settings.isPaused, !memory.isHandingOver { return Decision(.wait, .writes(.finished(finish)), .paused) }
    switch finish {
    case .shutDown:
        // While somebody else leads it has the time that the daemon that stopped it would have given it: what is not
        // archived by then nobody archives. Who may have to lead itself does not wait.
        let isFree = seen.view?.leaderName.map { $0 != seen.me.name } ?? false
        let plan =
            isFree
            ? Plan(.demote, [.postgreSQL(.stop(.fast, timeout: archivingPatience))]) : DemotionPlans.lost(seen)
        return Decision(.carryOut(plan), .writes(.finished(finish)))
    case .killed:
        return seen.isNamedLeader
            ? giveUpKey(seen, because: .writes(.finished(finish))) : Decision(.wait, .writes(.finished(finish)))
    }
}

/// Ends the daemon. A PostgreSQL that led this cluster and may accept writes still is ended before: with the daemon
/// gone nobody would when its lease ends. One that never led under us is somebody else's, and is left alone.
func leaveCluster(_ seen: Observation, _ memory: Memory, because reasons: Reason...) -> Decision {
    let isOurs = seen.lease != nil || memory.lastLeader == seen.me.name && seen.namesake == nil
    if mayGiveUpKey(seen.local) || !isOurs { return Decision(.exit, reasons) }
    return Decision(.carryOut(DemotionPlans.lost(seen)), reasons + [.writes(.stillAcceptsWrites)])
}
