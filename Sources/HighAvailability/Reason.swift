public import ClusterModel

/// Why a decision was made: a code and the facts that were compared.
public enum Reason: Sendable, Hashable {
    // The leader key.
    case holdingLease(remaining: Duration)
    case leaseRefused(holder: String?)
    case leaderKeyHeldBy(String)
    case leaderKeyFree
    /// The store knows no cluster, and this node has one.
    case storeKnowsNoCluster(wait: Duration)
    case wonLeaderKey

    // The store.
    case storeUnreachable(String, leaseRemaining: Duration?)
    case storeUnreachableTooLong(String, leaseRemaining: Duration?)
    case neverLoaded

    // The local PostgreSQL.
    case dataDirectoryEmpty
    case dataDirectoryInaccessible(String)
    case notRunning(ControlData.ClusterState?)
    case starting(for: Duration, limit: Duration)
    case silent(Silence)
    case heldBack(Duration)
    case startFailed(times: Int)
    case runningAsPrimaryWithoutLease
    case runningWithoutDataDirectory
    case stillAcceptsWrites
    case finished(PostgreSQLStatus.Finish)
    case systemIdentifierInvalid(String?)
    case systemIdentifierMismatch(cluster: String, local: String)
    case replicaWithoutCluster
    case configurationMissing

    // The race.
    case iAmHealthiest(position: WALPosition, asked: Int, reachable: Int)
    case peerIsPrimary(String)
    case peerIsAhead(String, peer: WALPosition, mine: WALPosition)
    case peerHasPriority(String, peer: Int, mine: Int)
    case laggingBehindStatus(mine: WALPosition, status: WALPosition, allowed: Int64)
    case behindHandedOver(mine: WALPosition, handedOver: WALPosition, waited: Duration, limit: Duration)
    case timelineBehind(mine: TimelineID, cluster: TimelineID)
    case timelineUnknown
    case notAllowedToPromote
    case notInSynchronousSet(String)
    case notInFailsafe
    case runningPrimaryReclaims(timeline: TimelineID)
    case notRunningYet

    // Requests.
    case requestNamesAnotherLeader(requested: String, leader: String)
    case requestNamesMe
    case calledOffBefore
    case requested(action: String, candidate: String?)
    case noHealthyCandidate(action: String, verdicts: [CandidateVerdict])
    case candidateWillTakeOver(String)
    case candidateUnusable(String, String)
    case scheduledFor(String)
    case scheduleMissed(String)
    case scheduleInvalid(String)
    case iWasAskedToStepDown
    case iAmTheCandidate

    // Following.
    case following(String)
    case followingNobody
    case mustFollow(String)
    case upstreamWithoutAddress(String)

    // Divergence.
    case diverged(local: TimelineID, at: WALPosition, leftAt: WALPosition?, source: TimelineID)
    case notDiverged
    case divergenceUnknown(String)
    case rewindImpossible
    case rewindFailed(String)
    case rewindBrokenOff
    case directoryKept(Memory.Keeping)
    case triedAgain(why: String, in: Duration)
    case startedAgain(in: Duration)
    case recoverySettingsAltered([String])
    case replayPaused
    case sourceNotReadyForRewind(String)
    case uncleanShutdown

    // Bootstrap.
    case nobodyInitialized
    case waitingForBootstrap
    case waitingForLeader
    case mayNotBootstrap(String)
    case bootstrapBrokenOff
    case cloneSource(String)
    case copyFailed(times: Int, next: Duration)

    // Everything else.
    case operationRunning(Plan.Kind, for: Duration)
    case paused
    case notBuilt(String)
}

/// What was found out about one candidate.
public struct CandidateVerdict: Sendable, Hashable {
    public enum Verdict: Sendable, Hashable {
        case good
        case unreachable(String)
        case nofailover
        case watchdogFailed
        case lagging(position: WALPosition, behind: WALPosition, allowed: Int64)
        case missing(position: WALPosition, required: WALPosition)
        case timelineBehind(TimelineID, cluster: TimelineID)
    }

    public var name: String
    public var verdict: Verdict

    public init(name: String, verdict: Verdict) {
        self.name = name
        self.verdict = verdict
    }
}
