/// States that a run must have reached: one that reaches none of them tests nothing.
public struct Coverage: Sendable {
    public enum State: String, Sendable, Hashable, CaseIterable {
        case leaderElected = "a leader was elected"
        case failover = "another node took over"
        case failoverUnderPartition = "another node took over while the old leader was cut off"
        case switchoverDone = "a switchover was carried out"
        case handOverAbandoned = "a stopped primary went on because no candidate had everything"
        case candidateDied = "a candidate died during a switchover"
        case crashRestart = "a crashed primary started again"
        case rewind = "an ex-primary was rewound after it had parted"
        case clone = "a node was cloned"
        case singleUserRecovery = "a crashed ex-primary went through single-user recovery"
        case demotedOffline = "a primary stepped down without the store"
        case demotedAtOnce = "a primary was stopped at once"
        case hungEnded = "a hung server was ended, and the key given up"
        case brokenOff = "a plan was broken off because the lease was lost"
        case lostWhileStopping = "the lease ended while PostgreSQL was stopping"
        case outageSurvived = "a primary outlived an outage of the store"
        case claimRefused = "a claim to the leader key was refused"
        case renewalRefused = "a renewal was refused"
        case compareFailed = "a conditional write was refused"
        case unknownOutcome = "a write was done and its answer lost"
        case commitsLost = "commits that no new primary had were lost"
        case lagRefused = "a standby stood back because of its lag"
        case peerAhead = "a standby stood back because a peer was ahead"
        case frozenRenewal = "an answer to a renewal was read after the lease had ended"
        case guardianKilled = "the guardian killed PostgreSQL"
        case pausedWithoutLeader = "the leader key was free during a pause"
        case pausedDown = "a server that was down stayed down in a pause"
        case pausedWithoutLease = "a primary went on in a pause without a lease"
        case checkpointerEnded = "a leader whose checkpointer hung was ended"
        case resynchronized = "a watch lost events and said so"
        case sessionChanged = "the lease's length was changed under a leader"
        case inherited = "a restarted daemon found PostgreSQL running"
        case reinitialised = "a data directory was removed"
        case directoryLost = "a data directory went under a running server"
        case startRefused = "PostgreSQL did not start"
        case copyFailed = "a copy by a method failed"
        case pausedBeside = "an operator's failover was refused in a pause, beside a primary that served on"
        case pausedHeir = "what was handed over was taken in a pause"
        case restoredAlone = "a node was restored from a backup while nobody led"
        case voterLost = "a leader's host was lost with the disk of a member that /sync names"
        case voterRestored = "a member that /sync names was restored from a backup"
        case copyProven = "a restored copy had streamed everything"
        case promotionRefused = "a promotion was refused by the operator's command"
        case promotionCrashed = "a promotion ended the server, on a timeline of its own"
        case promotionFailed = "a promotion did not come to its end"
        case guardianSilent = "an order to the guardian had no answer"
        case takenLate = "the store took a request that nobody waited for any more"
        case keySpoilt = "a key was deleted, garbled or another cluster's"
        case timelineTwice = "two leaders made a timeline of the same number"
        case commitWaited = "a commit waited for its synchronous standby"
        case modeChanged = "synchronous mode was changed"
        case dutyLeft = "a standby gave its synchronous duty back before it stopped"
        case tooFewVotes = "a standby stood back for lack of votes"
        case synchronousFailover = "another node took over in synchronous mode"
        case notInSync = "a standby stood back because /sync does not name it"
        case lowerPriority = "a standby stood back because a peer with as much goes first"
        case siteLost = "all hosts were lost at once, and the store's memory"
        case siteBroughtBack = "an operator said whose data goes on where the store knew of no cluster"
        case raceHeldBack = "a standby waited for whoever had led"
        case walArrived = "a standby waited because WAL came in still"
        case cascaded = "a standby streamed from another standby"
        case circleLeft = "a standby that was to stream in a circle streamed from the leader"
        case failsafeGranted = "a primary went on because all others had promised to let it"
        case failsafeRefused = "a primary was not let go on, as somebody did not answer"
        case keyOutlived = "a primary outlived its key by the others' promises"
        case promiseGiven = "a member promised not to race"
        case heldBackAtStart = "a daemon that had just begun kept back, for what it may have promised before"
        case rollingDone = "every member was restarted, one after another"
        case rollingStopped = "a rolling restart was stopped by what went wrong"
        case rollingInherited = "another leader went on with a rolling restart"
        case clusterDemoted = "a primary stepped down because its cluster was to follow another"
        case standbyLed = "a standby cluster was led"
        case standbySucceeded = "another node took over in a standby cluster"
        case clusterPromoted = "the leader of a standby cluster was promoted with it"
        case siteFollowed = "a node streamed from another site"
        case siteRewound = "a node that had parted from another site was rewound from there"
        case storeFull = "a store that was full refused to write"
        case nonsenseLeft = "an endpoint that answered nonsense was left for the next"
        case endpointSilent = "an endpoint that did not answer was left for the next"
        case foreignRefused = "an endpoint of another cluster was refused"
        case storeForgot = "the store lost its memory under its clients"
        case storeRestored = "the store was set back to an earlier state"
        case lifeRefused = "another life of the store was refused at first"
        case lifeRemembered = "a daemon that had just begun knew of the store's life before"
        case lifeUnknowable = "a node that could not know led by a store that was set back, and the story ended"
        case regrowthAwaited = "nobody took the key of a store that was set back and had grown"
        case lifeTaken = "another life of the store was taken for the store in the end"
        case slotAbandoned = "a slot of a member that had gone was dropped"
        case directoryKept = "a directory that had parted was kept until its operator let it go"
        case partedRefused = "PostgreSQL did not start because it had parted"
        case guardianStruck = "the kernel ended a guardian that hung, and its server"
        case directoryMoved = "a daemon began in another directory while its server went on in the first"
        case rewindRefused = "pg_rewind gave up on a directory"
        case rewindCutOff = "a rewind that was cut off was begun again"
        case rewoundInVain = "pg_rewind went by a control file of before the promotion"
        case rewoundKilled = "the first server after a rewind was killed"
        case unledAwaited = "a standby waited for the server of whoever had made the cluster"
        case bootstrapCutOff = "the daemon that made a cluster died before it was made"
        case timelineUnknown = "a standby did not know its timeline"
        case checkpointLate = "the checkpoint after a promotion took its time"
        case connectionsFull = "a server had no connection left"
        case helperEnded = "what an earlier daemon had begun was ended before the directory was touched"
        case healed = "the cluster was whole again after the faults"

        /// In how many worlds a state is to be expected that few worlds come to.
        private static let rare: [State: UInt64] = [
            .rollingStopped: 20_000, .pausedWithoutLeader: 20_000, .restoredAlone: 20_000, .demotedAtOnce: 20_000,
            .frozenRenewal: 500_000, .helperEnded: 200_000, .rewindCutOff: 20_000, .rewoundInVain: 500_000,
            .pausedHeir: 200_000, .pausedBeside: 20_000, .unledAwaited: 200_000,
        ]

        /// Whether so many worlds of all profiles should have reached it.
        public func isExpected(within worlds: UInt64) -> Bool {
            // Nobody wants it, and few worlds come to it.
            if self == .timelineTwice { return false }
            return worlds >= State.rare[self] ?? 2000
        }
    }

    public var reached: [State: Int] = [:]

    public init() {}

    /// The counters of several worlds together.
    public mutating func add(_ other: Coverage) {
        for (state, count) in other.reached { reached[state, default: 0] += count }
    }

    public mutating func count(_ state: State) { reached[state, default: 0] += 1 }

    /// The states that were not reached.
    public var missing: [State] { State.allCases.filter { (reached[$0] ?? 0) == 0 } }
}
