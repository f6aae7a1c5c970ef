import ClusterModel

extension Reason: CustomStringConvertible {
    /// The sentence for the log. Parts of it are compared by other programs (observable-text.md §1); they are kept.
    public var description: String {
        switch self {
        case .holdingLease, .leaseRefused, .leaderKeyHeldBy, .leaderKeyFree, .storeKnowsNoCluster, .wonLeaderKey,
            .storeUnreachable, .storeUnreachableTooLong, .neverLoaded:
            leaseText
        case .dataDirectoryEmpty, .dataDirectoryInaccessible, .notRunning, .starting, .silent, .heldBack,
            .startFailed, .runningAsPrimaryWithoutLease, .runningWithoutDataDirectory, .stillAcceptsWrites,
            .finished,
            .systemIdentifierInvalid,
            .systemIdentifierMismatch, .replicaWithoutCluster,
            .configurationMissing:
            localText
        case .iAmHealthiest, .peerIsPrimary, .peerIsAhead, .peerHasPriority, .laggingBehindStatus, .behindHandedOver,
            .timelineBehind, .timelineUnknown, .notAllowedToPromote, .notInSynchronousSet, .notInFailsafe,
            .runningPrimaryReclaims, .notRunningYet:
            raceText
        case .requestNamesAnotherLeader, .requestNamesMe, .calledOffBefore, .requested, .noHealthyCandidate,
            .candidateWillTakeOver,
            .candidateUnusable, .scheduledFor, .scheduleMissed, .scheduleInvalid, .iWasAskedToStepDown,
            .iAmTheCandidate:
            requestText
        case .following, .followingNobody, .mustFollow, .upstreamWithoutAddress, .diverged, .notDiverged,
            .divergenceUnknown, .rewindImpossible, .rewindFailed, .rewindBrokenOff, .directoryKept, .triedAgain,
            .startedAgain, .recoverySettingsAltered, .replayPaused, .sourceNotReadyForRewind, .uncleanShutdown,
            .nobodyInitialized, .waitingForBootstrap, .waitingForLeader, .mayNotBootstrap, .bootstrapBrokenOff,
            .cloneSource, .copyFailed,
            .operationRunning, .paused, .notBuilt:
            otherText
        }
    }

    private var leaseText: String {
        switch self {
        case .holdingLease(let remaining): "I hold the leader lease for \(seconds(remaining)) more"
        case .leaseRefused(let holder):
            holder.map { "the leader key is held by \($0)" }
                ?? "the store refused the lease: the leader key is not mine"
        case .leaderKeyHeldBy(let name): "\(name) holds the leader key"
        case .leaderKeyFree: "nobody holds the leader key"
        case .storeKnowsNoCluster(let wait):
            "the store has forgotten the cluster: somebody may lead by a lease of before, \(seconds(wait)) are waited"
        case .wonLeaderKey: "I created the leader key"
        case .storeUnreachable(let why, let left): "\(why)" + (left.map { "; my lease ends in \(seconds($0))" } ?? "")
        case .storeUnreachableTooLong(let why, let left):
            "\(why)"
                + (left.map { "; too little is left of my lease: \(seconds($0))" } ?? "; I know of no lease of mine")
        default: "the cluster was not read yet"
        }
    }

    private var localText: String {
        switch self {
        case .dataDirectoryEmpty: "the data directory is empty"
        case .dataDirectoryInaccessible(let why): "the data directory cannot be read: \(why)"
        case .notRunning(let state): "PostgreSQL is not running" + (state.map { " (\($0.rawValue))" } ?? "")
        case .starting(let passed, let limit):
            "PostgreSQL has been starting for \(seconds(passed)) of \(seconds(limit))"
        case .silent(let silence): "\(silence)"
        case .heldBack(let left):
            "PostgreSQL here hung and was ended: others go first for \(seconds(left)) more"
        case .startFailed(let times): "PostgreSQL failed to start \(times) time(s)"
        case .runningAsPrimaryWithoutLease: "PostgreSQL here may accept writes without the lease"
        case .runningWithoutDataDirectory: "PostgreSQL still runs, without its data directory"
        case .finished(.shutDown): "PostgreSQL has shut down, and its postmaster is still there to archive"
        case .finished(.killed): "PostgreSQL was killed, and the kernel has not let it go yet"
        case .stillAcceptsWrites: "PostgreSQL may accept writes still: the leader key goes only after it has ended"
        case .systemIdentifierInvalid(let text):
            "the system identifier of the data directory is not valid (\(text ?? "none")); consider reinitializing"
        case .systemIdentifierMismatch(let cluster, let local):
            "system ID mismatch: the cluster is \(cluster), the data directory is of \(local): it belongs to a different cluster"
        case .replicaWithoutCluster:
            "PostgreSQL runs as a replica and the cluster is not initialized: start the daemon on the primary first"
        default: "/config is missing or empty"
        }
    }

    private var raceText: String {
        switch self {
        case .iAmHealthiest(let position, let asked, let reachable):
            "I am the healthiest: my WAL position is \(position), no one of \(reachable) reachable of \(asked) asked is ahead"
        case .peerIsPrimary(let name): "\(name) still runs as primary"
        case .peerIsAhead(let name, let theirs, let mine):
            "Wal position of \(name) is ahead of my wal position (\(theirs) > \(mine))"
        case .peerHasPriority(let name, let theirs, let mine):
            "\(name) has equally tolerable WAL position and priority \(theirs), while this node has priority \(mine)"
        case .laggingBehindStatus(let mine, let status, let allowed):
            "my WAL position \(mine) is \(status - mine) bytes behind the leader's last known \(status); allowed are \(allowed)"
        case .behindHandedOver(let mine, let handedOver, let waited, let limit):
            "the leader handed over at \(handedOver), my WAL position is \(mine): who has everything may go first "
                + "(\(seconds(waited)) of \(seconds(limit)))"
        case .timelineBehind(let mine, let cluster): "my timeline \(mine) is behind the cluster's timeline \(cluster)"
        case .timelineUnknown: "my timeline is not known"
        case .notAllowedToPromote: "following a different leader because I am not allowed to promote"
        case .notInSynchronousSet(let name): "\(name) is not in /sync: it may lack acknowledged commits"
        case .notInFailsafe: "I am not in /failsafe"
        case .runningPrimaryReclaims(let timeline): "PostgreSQL here is a running primary on timeline \(timeline)"
        default: "PostgreSQL is not accepting connections yet"
        }
    }

    private var requestText: String {
        switch self {
        case .requestNamesAnotherLeader(let requested, let leader):
            "the request names \(requested) as the leader, which is \(leader)"
        case .calledOffBefore: "the switchover was tried and called off"
        case .requestNamesMe: "the requested candidate is the leader already"
        case .requested(let action, let candidate): "\(action) was requested" + (candidate.map { " to \($0)" } ?? "")
        case .noHealthyCandidate(let action, let verdicts):
            "no member can take over for the \(action): "
                + (verdicts.isEmpty ? "there is no other" : verdicts.map { "\($0)" }.joined(separator: ", "))
        case .candidateWillTakeOver(let name): "\(name) was requested and can take over"
        case .candidateUnusable(let name, let why): "the requested \(name) cannot take over: \(why)"
        case .scheduledFor(let time): "scheduled for \(time)"
        case .scheduleMissed(let time): "the time \(time) has passed"
        case .scheduleInvalid(let text): "the schedule \"\(text)\" is not a time with an offset"
        case .iWasAskedToStepDown: "I was asked to step down"
        default: "I am the requested candidate"
        }
    }

    private var otherText: String {
        switch self {
        case .following(let name): "a secondary, and following \(name)"
        case .followingNobody: "following nobody"
        case .mustFollow(let name): "\(name) is to be followed"
        case .upstreamWithoutAddress(let name): "\(name) has not published its address"
        case .diverged(let local, let at, let leftAt, let source):
            "my timeline \(local) at \(at) has parted from the leader's timeline \(source)"
                + (leftAt.map { ", which left it at \($0)" } ?? ", which does not know it")
        case .notDiverged: "my timeline is part of the leader's history"
        case .divergenceUnknown(let why): "whether my timeline has parted is not known: \(why)"
        case .rewindImpossible: "pg_rewind cannot be used here"
        case .rewindFailed(let why): "pg_rewind failed: \(why)"
        case .rewindBrokenOff: "pg_rewind was broken off in the data directory: it is rewound again or replaced first"
        case .directoryKept(let why): why.text
        case .triedAgain(let why, let pause): "once more in \(seconds(pause)): \(why)"
        case .startedAgain(let pause): "PostgreSQL is started once more in \(seconds(pause))"
        case .recoverySettingsAltered(let names): "somebody has changed \(names.joined(separator: ", "))"
        case .replayPaused: "the replay of WAL was paused"
        case .sourceNotReadyForRewind(let name): "\(name) has not written a checkpoint since its promotion"
        case .uncleanShutdown: "it did not shut down cleanly"
        case .nobodyInitialized: "nobody has initialized the cluster"
        case .waitingForBootstrap: "another node is initializing the cluster"
        case .waitingForLeader: "waiting for a leader"
        case .copyFailed(let times, let next):
            "the base backup failed \(times) times, the log says why; the next one begins in \(seconds(next))"
        case .bootstrapBrokenOff: "a bootstrap was broken off in the data directory"
        case .mayNotBootstrap(let why): "this node may not initialize a cluster: \(why)"
        case .cloneSource(let name): "\(name) is the source of the base backup"
        case .operationRunning(let kind, let passed): "\(kind.rawValue) in progress for \(seconds(passed))"
        case .paused: "the cluster is paused"
        case .notBuilt(let what): "\(what): not supported by this version"
        default: "?"
        }
    }
}

extension Memory.Keeping {
    /// Why the directory stays as it is, and what an operator can do about it.
    var text: String {
        let obstacle =
            switch self {
            case .rewindImpossible:
                "pg_rewind cannot be used on it, and postgresql.remove_data_directory_on_diverged_timelines is off"
            case .rewindFailed:
                "pg_rewind gave up on it, and postgresql.remove_data_directory_on_rewind_failure and "
                    + "remove_data_directory_on_diverged_timelines are off"
            }
        return
            "the data directory has parted from the leader's timeline and is kept, PostgreSQL stays down: \(obstacle). "
            + "Save what you need of it, then ask for a new copy (POST /reinitialize) or allow the removal"
    }
}

extension Decision {
    /// What only an operator can do, in a sentence; nil where nothing waits for one.
    public var needsOperator: String? {
        for reason in reasons {
            if case .directoryKept(let why) = reason { return why.text }
        }
        return nil
    }
}

extension CandidateVerdict: CustomStringConvertible {
    public var description: String {
        switch verdict {
        case .good: "\(name) is healthy"
        case .unreachable(let why): "\(name) is not reachable (\(why))"
        case .nofailover: "\(name) is not allowed to promote"
        case .watchdogFailed: "\(name) has no working watchdog"
        case .lagging(let position, let behind, let allowed):
            "\(name) at \(position) is \(behind - position) bytes behind, allowed are \(allowed)"
        case .missing(let position, let required): "\(name) at \(position) has not received \(required)"
        case .timelineBehind(let timeline, let cluster): "\(name) is on timeline \(timeline), the cluster on \(cluster)"
        }
    }
}

/// `12.3s`.
private func seconds(_ duration: Duration) -> String {
    let tenths = duration.nanoseconds / 100_000_000
    return (tenths < 0 ? "-" : "") + "\(abs(tenths) / 10).\(abs(tenths) % 10)s"
}

extension Decision: CustomStringConvertible {
    /// One line: what is done, and why.
    public var description: String {
        let why = reasons.map { "\($0)" }.joined(separator: "; ")
        return why.isEmpty ? action.summary : "\(action.summary): \(why)"
    }
}

extension Action {
    /// What is done, in few words. "no action" is what scripts look for in quiet cycles.
    public var summary: String {
        switch self {
        case .wait: "no action"
        case .ask(.renewal): "renewing the leader lease"
        case .ask(.peers(let members)):
            "asking \(members.isEmpty ? "nobody" : members.map(\.name).joined(separator: ", "))"
        case .ask(.divergence(let source)): "comparing timelines with \(source.name)"
        case .acquireLeader: "trying to acquire the leader key"
        case .releaseLeader: "releasing the leader key"
        case .initializeCluster: "trying to initialize a new cluster"
        case .write(.systemIdentifier(let value)): "writing the system identifier \(value) to /initialize"
        case .write(.configuration): "restoring /config"
        case .write(.clearFailover): "clearing the request in /failover"
        case .carryOut(let plan): plan.kind.rawValue
        case .breakOff(let plan): "breaking off what runs: \(plan.kind.rawValue)"
        case .exit: "ending the daemon"
        }
    }
}
