public import ClusterModel

/// What a node remembers from one cycle to the next; only `decide` and the outcome of its decisions change it.
public struct Memory: Sendable, Hashable {
    /// What is known about having parted from the leader's timeline (postgresql.md §21.1).
    public enum Rewind: Sendable, Hashable {
        /// No reason to think that we have.
        case unsuspected
        /// Something happened after which we may have: compare before streaming.
        case suspected
        /// pg_rewind gave up for this reason, its source being well; a new base backup is what is left.
        case failed(String)
    }

    public var rewind: Rewind
    /// The comparison has proved that the data directory has parted, and this is why it stays as it is. Until something
    /// else is known of it, PostgreSQL does not start on it, leader or not.
    public var kept: Keeping?
    /// What keeps failing and is tried again later: mending a parted directory, starting a standby, setting recovery.
    public var rejoining = Retries()
    /// Copies of logical slots, each of which has cost a restart.
    public var copying = Retries()
    public var starting = Retries()
    public var resetting = Retries()
    /// Single-user recovery is tried once per incident (ha-loop.md §8.1.5).
    public var triedSingleUserRecovery: Bool
    /// Starts that failed since PostgreSQL last ran.
    public var failedStarts: Int
    /// The timeline on which this node last accepted writes, until its data directory is replaced. A leader on the same
    /// one is on another timeline of the same number.
    public var ledTimeline: TimelineID?
    /// Members of the last view that had a leader: they are asked in a race even when their keys have expired
    /// (ha-loop.md §30.7).
    public var membersUnderLastLeader: [Member]
    /// The last leader's name, for tie-breaks.
    public var lastLeader: String?
    /// The cluster has been seen with a leader that is a primary, and with none that leads a standby cluster since.
    public var isLedByPrimary = false
    /// The leader key is one that this daemon has won, by a race or a request: not one that it has found.
    public var hasWonKey = false
    /// Since when views have named no leader.
    public var leaderlessSince: BootInstant?
    /// Since when the store has known no cluster, where this daemon has never seen it know one.
    public var storeForgotSince: BootInstant?
    /// What the running standby was last told to follow; `.unknown` after a start of the daemon.
    public var following: Following
    /// PostgreSQL ran, or was found running, since the daemon started.
    public var hasRun: Bool
    /// It was stopped to hand over, and has not run since: then it is started in pause, too.
    public var isHandingOver = false
    /// The request in `/failover` whose hand-over was called off.
    public var calledOff: Revision?
    /// Since when a postmaster has been there that accepts no connections.
    public var startingSince: BootInstant?
    /// The server was ended because it hung: until then others go first.
    public var heldBackUntil: BootInstant?
    /// Base backups that failed, one after another, from one source.
    public var failedCopies: FailedCopies?

    /// What is told apart is the source: another one may have what the first has not.
    public struct FailedCopies: Sendable, Hashable {
        public var source: String
        public var times: Int
        public var last: BootInstant

        public init(source: String, times: Int, last: BootInstant) {
            self.source = source
            self.times = times
            self.last = last
        }
    }

    /// Why a data directory that has parted is neither rewound nor replaced.
    public enum Keeping: Sendable, Hashable {
        /// pg_rewind is not configured, or cannot do it, and nobody allows a removal.
        case rewindImpossible
        /// pg_rewind gave up, and nobody allows a removal.
        case rewindFailed
    }

    /// Something that failed is tried again, each time a longer while later.
    public struct Retries: Sendable, Hashable {
        public var failures = 0
        public var notBefore: BootInstant?
        public var why = ""

        public init() {}

        /// Waits for `first` after the first failure, twice as long after each further one, `longest` at most.
        public mutating func note(_ why: String, at now: BootInstant, first: Duration, longest: Duration) {
            notBefore = now + min(first * (1 << min(failures, 16)), longest)
            failures += 1
            self.why = why
        }

        /// How long it waits still; nil where it may be tried.
        func pause(at now: BootInstant) -> Duration? {
            guard let notBefore, now < notBefore else { return nil }
            return notBefore - now
        }
    }

    /// Whom a standby was told to follow.
    public enum Following: Sendable, Hashable {
        case unknown
        case upstream(Upstream?)
    }

    public init() {
        rewind = .unsuspected
        triedSingleUserRecovery = false
        failedStarts = 0
        membersUnderLastLeader = []
        lastLeader = nil
        following = .unknown
        hasRun = false
    }
}
