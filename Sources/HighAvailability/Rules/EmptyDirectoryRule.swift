import ClusterModel

/// No data directory yet (ha-loop.md §6.1): make a new cluster, or a copy of the leader.
func emptyDirectoryRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision {
    if seen.isNamedLeader { return giveUpKey(seen, because: .bootstrap(.dataDirectoryEmpty)) }
    if seen.settings.isPaused { return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .paused) }
    // Its directory went under it: it serves files that nobody can open any more, and nothing is made in their place
    // before it has ended.
    if seen.local.postmaster != nil {
        return Decision(
            .carryOut(DemotionPlans.lost(seen)), .bootstrap(.dataDirectoryEmpty),
            .bootstrap(.runningWithoutDataDirectory))
    }
    // Two nodes of a name would share what the store knows of it, and a slot.
    if let other = seen.namesake {
        return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .lease(.nameTaken(by: other)))
    }
    if view.isUnlocked { return newClusterRule(seen, view, memory) }
    guard let source = cloneSource(seen.me, view, seen.settings) else {
        return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .bootstrap(.waitingForLeader))
    }
    guard let upstream = Upstream(source) else {
        return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .follow(.upstreamWithoutAddress(source.name)))
    }
    if let pause = copyPause(seen, memory, source.name) { return pause }
    return Decision(
        .carryOut(clonePlan(.clone, seen.me, seen.local, seen.settings, view, from: upstream)),
        .bootstrap(.dataDirectoryEmpty), .bootstrap(.cloneSource(source.name)))
}

/// Copies that failed are made again after a while; nil where one may begin.
private func copyPause(_ seen: Observation, _ memory: Memory, _ source: String) -> Decision? {
    guard let failed = memory.failedCopies, let times = failed.times[source] else { return nil }
    let next = failed.next(from: source)
    guard seen.now < next else { return nil }
    return Decision(
        .wait, .bootstrap(.dataDirectoryEmpty), .bootstrap(.copyFailed(times: times, next: next - seen.now)))
}

/// Nobody leads a cluster that is there, and the operator has named a method that needs nobody to copy from
/// (ha-loop.md §6.1.3).
private func restoreRule(_ seen: Observation, _ memory: Memory) -> Decision? {
    guard seen.local.canRestoreAlone else { return nil }
    return copyPause(seen, memory, Memory.FailedCopies.ofNobody)
        ?? Decision(
            .carryOut(restorePlan(seen.settings)), .bootstrap(.dataDirectoryEmpty), .bootstrap(.restoredAlone))
}

extension Memory.FailedCopies {
    /// When the next one may begin: at once after the first failure, then in ten seconds, twice as long each time, a
    /// minute at most. Each costs the source a checkpoint, and what is in the way seldom goes by itself.
    func next(from source: String) -> BootInstant {
        let times = times[source] ?? 0
        return times < 2 ? last : last + min(.seconds(60), .seconds(10 << min(8, times - 2)))
    }
}

/// Of all nodes that may, the one that creates `/initialize` makes the cluster; absent and empty are different states.
private func newClusterRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision {
    switch view.initialize {
    case .inProgress: return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .bootstrap(.waitingForBootstrap))
    case .value:
        return restoreRule(seen, memory)
            ?? Decision(
                .wait,
                [.bootstrap(.dataDirectoryEmpty), .bootstrap(.waitingForLeader)]
                    + (lostFailsafe(seen, view, memory).map { [.failsafe($0)] } ?? []))
    case .absent: break
    }
    // Somebody may have deleted the key by hand. Who runs has data and writes it again; a cluster beside that one would
    // be another.
    let others = view.members.filter { $0.name != seen.me.name && $0.mayHaveData }
    if let other = others.first(where: { $0.isRunning && $0.role == .primary }) ?? others.first {
        let writesIt = other.isRunning && other.role == .primary
        return Decision(
            .wait, .bootstrap(.dataDirectoryEmpty), .bootstrap(.anotherHasData(other.name, writesIt: writesIt)))
    }
    // A store that has forgotten what it was: who has the cluster's data may only be about to say so.
    if view.life > 0, let since = memory.storeForgotSince ?? memory.leaderlessSince,
        seen.now - since < seen.settings.timings.ttl
    {
        let left = since + seen.settings.timings.ttl - seen.now
        return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .newcomer(.storeKnowsNoCluster(wait: left)))
    }
    if let why = seen.watchdogObstacle, !seen.settings.isStandbyCluster {
        return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .promotion(.watchdogFailed(why)))
    }
    if seen.me.tags.nofailover || !seen.me.canBootstrap, let decision = restoreRule(seen, memory) { return decision }
    if seen.me.tags.nofailover {
        return Decision(
            .wait, .bootstrap(.dataDirectoryEmpty), .bootstrap(.mayNotBootstrap("the tag nofailover is set")))
    }
    if !seen.me.canBootstrap {
        return Decision(
            .wait, .bootstrap(.dataDirectoryEmpty),
            .bootstrap(.mayNotBootstrap("the configuration has no bootstrap section")))
    }
    return Decision(.initializeCluster, .bootstrap(.dataDirectoryEmpty), .identity(.nobodyInitialized))
}

extension Member {
    /// What it says of itself does not exclude that a cluster's data stands there. A node whose directory is empty, or
    /// that is only about to fill it, says so.
    fileprivate var mayHaveData: Bool {
        if role == .uninitialized { return false }
        switch data["state"]?.string.flatMap(PostgreSQLState.init(rawValue:)) {
        case .initializing?, .initdbFailed?, .customBootstrap?, .customBootstrapFailed?, .creatingReplica?: return false
        case .running?, .starting?, .startingAfterCustomBootstrap?, .startFailed?, .restarting?, .restartFailed?,
            .stopping?, .stopped?, .stopFailed?, .crashed?:
            return true
        case nil: return isRunning
        }
    }
}

/// A running member that offers itself as a source, else the leader (ha-loop.md §1 "clone member"). Whom `/sync` names
/// it does for having every commit, or a vote on that: its copy is the leader's, and lacks none.
func cloneSource(_ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration) -> Member? {
    if settings.synchronousMode != .off, view.sync.includes(me.name) { return view.leaderMember }
    let offered = view.members.first { member in
        member.tags.clonefrom && member.isRunning && member.connectionURL != nil && member.name != me.name
            && member.name != view.leaderName
    }
    return offered ?? view.leaderMember
}

/// The directory exists and cannot be read: nobody is helped by a leader in that state.
func inaccessibleDirectoryRule(_ seen: Observation, _ reason: String, _ memory: inout Memory) -> Decision {
    let inaccessible = Reason.bootstrap(.dataDirectoryInaccessible(reason))
    if seen.isNamedLeader { return giveUpKey(seen, because: inaccessible) }
    return giveUpWrites(seen, &memory, because: [inaccessible, .writes(.runningAsPrimaryWithoutLease)])
        ?? Decision(.wait, inaccessible)
}

/// What stands where the data directory should be, and who may make one.
public enum BootstrapReason: Sendable, Hashable {
    case dataDirectoryEmpty
    case dataDirectoryInaccessible(String)
    case runningWithoutDataDirectory
    case lookedAtOnceMore
    case waitingForBootstrap
    case waitingForLeader
    /// `/initialize` is not there, and another member has data; a primary that runs `writesIt` again itself.
    case anotherHasData(String, writesIt: Bool)
    case mayNotBootstrap(String)
    case bootstrapBrokenOff
    case cloneSource(String)
    /// From a backup, because nobody leads.
    case restoredAlone
    case copyFailed(times: Int, next: Duration)

    var explanation: Explanation {
        switch self {
        case .dataDirectoryEmpty: Explanation("data-directory-empty", "the data directory is empty")
        case .dataDirectoryInaccessible(let why):
            Explanation(
                "data-directory-inaccessible", ["why": .fact(why)], "the data directory cannot be read: \(why)")
        case .runningWithoutDataDirectory:
            Explanation("running-without-data-directory", "PostgreSQL still runs, without its data directory")
        case .lookedAtOnceMore: Explanation("looked-at-once-more", "it is looked at once more before anything follows")
        case .waitingForBootstrap: Explanation("waiting-for-bootstrap", "another node is initializing the cluster")
        case .waitingForLeader: Explanation("waiting-for-leader", "waiting for a leader")
        case .anotherHasData(let name, _):
            Explanation(
                "another-has-data", ["member": .fact(name)],
                "/initialize is not there, but \(name) has data: no other cluster is made beside it")
        case .mayNotBootstrap(let why):
            Explanation("may-not-bootstrap", ["why": .fact(why)], "this node may not initialize a cluster: \(why)")
        case .bootstrapBrokenOff:
            Explanation("bootstrap-broken-off", "a bootstrap was broken off in the data directory")
        case .cloneSource(let name):
            Explanation("clone-source", ["member": .fact(name)], "\(name) is the source of the base backup")
        case .restoredAlone:
            Explanation("restored-alone", "nobody leads: the data directory is made by a method that needs nobody")
        case .copyFailed(let times, let next):
            Explanation(
                "copy-failed", ["times": .fact(times), "pause_seconds": .fact(next)],
                "the base backup failed \(times) times, the log says why; the next one begins in \(seconds(next))")
        }
    }

    var needsOperator: String? {
        switch self {
        case .dataDirectoryInaccessible(let why):
            "\(why). Mount the volume of the data directory, see to its disk, or give the user of PostgreSQL access"
        case .copyFailed(let times, _) where times >= StuckArithmetic.failedCopies:
            "the base backup fails again and again: the log says why. What is in its way (a place that is not empty, a "
                + "full disk, a refused connection) goes by hand"
        case .anotherHasData(let name, writesIt: false):
            "/initialize is not in the store, and \(name) has data and is no running primary: no other cluster is made "
                + "beside it. If its cluster is to go on, see that PostgreSQL runs there, or on the node that has the "
                + "primary's data: that one writes the key again. If there is to be a new cluster, end the daemon of "
                + "\(name), or remove its data directory"
        case .dataDirectoryEmpty, .runningWithoutDataDirectory, .lookedAtOnceMore, .waitingForBootstrap,
            .waitingForLeader, .anotherHasData, .mayNotBootstrap, .bootstrapBrokenOff, .cloneSource, .restoredAlone,
            .copyFailed:
            nil
        }
    }
}

/// The disk of the data directory has not answered since the daemon started, or since an operation ended
/// (docs/hung.md). A server that runs counts as one that accepts writes: under the lease it goes on, until it has been
/// silent for too long; without, it is ended by force, because nothing else ends on such a disk.
func unseenDirectoryRule(_ seen: Observation, _ reason: String, _ memory: inout Memory) -> Decision {
    let unseen = Reason.bootstrap(.dataDirectoryInaccessible(reason))
    // That none is known does not say that none runs. A key of ours hangs on the session of an earlier daemon, which
    // ends by itself.
    guard seen.local.postmaster != nil else { return Decision(.wait, unseen) }
    if seen.isNamedLeader {
        switch seen.renewal {
        case nil: return Decision(.ask(.renewal), unseen)
        case .held?: return Decision(.wait, unseen)
        case .refused?: break
        }
    }
    let stop = Plan(.demote, [.postgreSQL(.stop(.byForce, timeout: .seconds(5)))])
    return giveUpWrites(seen, &memory, by: stop, because: [unseen, .writes(.runningAsPrimaryWithoutLease)])
        ?? Decision(.wait, unseen)
}
