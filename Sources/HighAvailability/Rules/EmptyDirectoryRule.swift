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
    if view.isUnlocked { return newClusterRule(seen, view) }
    guard let source = cloneSource(seen.me, view) else {
        return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .bootstrap(.waitingForLeader))
    }
    guard let upstream = Upstream(source) else {
        return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .follow(.upstreamWithoutAddress(source.name)))
    }
    if let failed = memory.failedCopies, failed.source == source.name, seen.now < failed.next {
        return Decision(
            .wait, .bootstrap(.dataDirectoryEmpty),
            .bootstrap(.copyFailed(times: failed.times, next: failed.next - seen.now)))
    }
    return Decision(
        .carryOut(clonePlan(.clone, seen.me, seen.settings, view, from: upstream)), .bootstrap(.dataDirectoryEmpty),
        .bootstrap(.cloneSource(source.name)))
}

extension Memory.FailedCopies {
    /// When the next one may begin: at once after the first failure, then in ten seconds, twice as long each time, a
    /// minute at most. Each costs the source a checkpoint, and what is in the way seldom goes by itself.
    var next: BootInstant {
        times < 2 ? last : last + min(.seconds(60), .seconds(10 << min(8, times - 2)))
    }
}

/// Of all nodes that may, the one that creates `/initialize` makes the cluster; absent and empty are different states.
private func newClusterRule(_ seen: Observation, _ view: ClusterView) -> Decision {
    switch view.initialize {
    case .inProgress: return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .bootstrap(.waitingForBootstrap))
    case .value: return Decision(.wait, .bootstrap(.dataDirectoryEmpty), .bootstrap(.waitingForLeader))
    case .absent: break
    }
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

/// A running member that offers itself as a source, else the leader (ha-loop.md §1 "clone member").
func cloneSource(_ me: NodeIdentity, _ view: ClusterView) -> Member? {
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
    case waitingForBootstrap
    case waitingForLeader
    case mayNotBootstrap(String)
    case bootstrapBrokenOff
    case cloneSource(String)
    case copyFailed(times: Int, next: Duration)

    var explanation: Explanation {
        switch self {
        case .dataDirectoryEmpty: Explanation("data-directory-empty", "the data directory is empty")
        case .dataDirectoryInaccessible(let why):
            Explanation(
                "data-directory-inaccessible", ["why": .fact(why)], "the data directory cannot be read: \(why)")
        case .runningWithoutDataDirectory:
            Explanation("running-without-data-directory", "PostgreSQL still runs, without its data directory")
        case .waitingForBootstrap: Explanation("waiting-for-bootstrap", "another node is initializing the cluster")
        case .waitingForLeader: Explanation("waiting-for-leader", "waiting for a leader")
        case .mayNotBootstrap(let why):
            Explanation("may-not-bootstrap", ["why": .fact(why)], "this node may not initialize a cluster: \(why)")
        case .bootstrapBrokenOff:
            Explanation("bootstrap-broken-off", "a bootstrap was broken off in the data directory")
        case .cloneSource(let name):
            Explanation("clone-source", ["member": .fact(name)], "\(name) is the source of the base backup")
        case .copyFailed(let times, let next):
            Explanation(
                "copy-failed", ["times": .fact(times), "pause_seconds": .fact(next)],
                "the base backup failed \(times) times, the log says why; the next one begins in \(seconds(next))")
        }
    }
}

/// The disk of the data directory has not answered since the daemon started (docs/hung.md). A server that runs counts
/// as one that accepts writes: under the lease it goes on, until it has been silent for too long; without, it is ended
/// by force, because nothing else ends on such a disk.
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
