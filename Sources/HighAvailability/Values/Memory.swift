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
    /// On whose directory pg_rewind gave up: another's may do.
    var rewindRefusedBy: String?
    /// The primary elsewhere by which `kept` and `rewind` are judged; nil where it is the leader.
    public var judge: StandbyCluster?
    /// What keeps failing and is tried again later: mending a parted directory, starting a standby, setting recovery.
    public var rejoining = Retries()
    /// Copies of logical slots, each of which has cost a restart.
    public var copying = Retries()
    public var starting = Retries()
    public var resetting = Retries()
    /// What stood in the way of the last start that failed.
    public var startObstacle: PostgreSQLStatus.Obstacle?
    /// Single-user recovery is tried once per incident (ha-loop.md §8.1.5).
    public var triedSingleUserRecovery: Bool
    /// Since it was last a primary the segment with its last checkpoint was handed to the archive, or could not be.
    public var hasArchivedLastSegment = false
    /// Starts that failed since PostgreSQL last ran.
    public var failedStarts: Int
    /// The timeline on which this node last accepted writes, until its data directory is replaced. A leader on the same
    /// one is on another timeline of the same number.
    public var ledTimeline: TimelineID?
    /// What was last seen to be flushed on it.
    public var ledPosition = WALPosition.zero
    /// What another member says that it has received of the server that is down here, and more than stands here.
    public var received: Received?
    /// Since when views have named no other member; nil where they do.
    public var aloneSince: BootInstant?
    /// Members of the last views that had a leader: they are asked in a race even when their keys have expired
    /// (ha-loop.md §30.7).
    public var membersUnderLastLeader: [Member]
    /// Since when views with a leader have lacked some of them.
    var lackedSince: [String: BootInstant] = [:]
    /// The last leader's name, for tie-breaks.
    public var lastLeader: String?
    /// When the key of the leader that was seen last was put: what a leader handed over before is of an earlier tenure,
    /// though it was its own.
    public var leaderSince: Revision?
    /// The leader key is one that this daemon has won, by a race or a request: not one that it has found.
    public var hasWonKey = false
    /// Since when views have named no leader.
    public var leaderlessSince: BootInstant?
    /// What the next look at PostgreSQL shows decides: it is taken soon.
    var awaitsLook = false
    /// Since when a race is lost to a higher priority alone, and nobody has led.
    public var passedOverSince: BootInstant?
    /// What comes in while it streams; nil where it does not.
    public var inflow: Inflow?
    /// Since when the store has known no cluster, where this daemon has never seen it know one.
    public var storeForgotSince: BootInstant?
    /// Since when the store has had a cluster that nobody has led, as far as this daemon knows.
    public var unledSince: BootInstant?
    /// The publication of that cluster: when `/initialize` was written.
    public var unledPublication: Revision?
    /// The system identifier of this data directory, once the store had it for its cluster's.
    public var systemIdentifierInStore: String?
    /// Since when a standby that streams from nobody has been where it is; nil while it streams.
    public var starving: Starving?
    /// What the running standby was last told to follow; `.unknown` after a start of the daemon.
    public var following: Following
    /// When this daemon began, where it found no lease of an earlier one that a guardian keeps; nil where it did.
    public var beganWithoutLease: BootInstant?
    /// PostgreSQL ran, or was found running, since the daemon started.
    public var hasRun: Bool
    /// The cluster was paused when this node last looked.
    public var wasPaused = false
    /// It was stopped to hand over, and has not run since: then it is started in pause, too.
    public var isHandingOver = false
    /// It has claimed what was handed over to it, and has not been promoted yet.
    public var isHeir = false
    /// The request in `/failover` whose hand-over was called off.
    public internal(set) var calledOff: Revision?
    /// Why it was.
    public internal(set) var calledOffBecause: String?
    /// The request in `/failover` none of whose candidates receives WAL, and since when.
    public var unreceived: Unreceived?
    /// Since when a postmaster has been there that accepts no connections.
    public var startingSince: BootInstant?
    /// How long a leader's start may take where an operator who had it restarted said so (rest-api.md §13); nil for
    /// `primary_start_timeout`.
    public var askedPatience: Duration?
    /// When the data directory of a running server was first and last seen to be gone or out of order; nil where it was
    /// seen well since. One look may fail for a moment.
    public var directoryTrouble: DirectoryTrouble?
    /// What stood in the way of PostgreSQL in the last looks at its files: one may come half-way through something.
    public var obstacle: Sighted<PostgreSQLStatus.Obstacle>?
    /// What the leader lacked in the last comparisons.
    public var lacking: Sighted<DivergenceFacts.Lacking>?
    /// The record that recovery does not take, by the last comparisons.
    public var unreplayed: Sighted<WALPosition>?
    /// The server was ended because it hung: until then others go first.
    public var heldBackUntil: BootInstant?
    /// What was said against a promotion when this node held the key last, and when.
    public var refusedPromotion: RefusedPromotion?
    /// The promotions that were asked for under the leader key, and came to nothing.
    public var promotions = Promotions()
    /// Base backups that failed, one after another.
    public var failedCopies: FailedCopies?
    /// How the rolling restart stands that is under way, as far as this daemon saw it.
    public var rolling = RollingWatch()
    /// Since when each slot has been nobody's.
    public var slots = SlotLedger()

    /// A member's word of how much it has received.
    public struct Received: Sendable, Hashable {
        public var name: String
        public var position: WALPosition
        public var timeline: TimelineID
        /// When it was heard: only a look since then shows what it speaks of.
        public var at: BootInstant

        public init(by name: String, position: WALPosition, timeline: TimelineID, at instant: BootInstant) {
            self.name = name
            self.position = position
            self.timeline = timeline
            at = instant
        }
    }

    /// WAL that a standby receives.
    public struct Inflow: Sendable, Hashable {
        public var position: WALPosition
        /// When a look has found more than the one before.
        public var grewAt: BootInstant?

        public init(position: WALPosition, grewAt: BootInstant? = nil) {
            self.position = position
            self.grewAt = grewAt
        }
    }

    /// By the looks' own times, so that one look that is told twice counts once.
    public struct DirectoryTrouble: Sendable, Hashable {
        public var first: BootInstant
        public var last: BootInstant

        public init(first: BootInstant, last: BootInstant) {
            self.first = first
            self.last = last
        }

        /// Another look has found the same.
        var isConfirmed: Bool { last > first }
    }

    /// Why this node was not promoted although it held the leader key.
    public struct RefusedPromotion: Sendable, Hashable {
        public var why: String
        public var at: BootInstant

        public init(why: String, at: BootInstant) {
            self.why = why
            self.at = at
        }
    }

    /// Promotions that failed, one after another.
    public struct Promotions: Sendable, Hashable {
        public var failed = Retries()
        /// The last was waited for as long as it came further: another one would come to the same.
        public var isHopeless = false
        /// Where this node was before the first of them. Each may write records that nobody else has, on a timeline of
        /// its own, and none of these is anybody's data.
        public var from: Origin?

        public struct Origin: Sendable, Hashable {
            public var position: WALPosition
            public var timeline: TimelineID

            public init(position: WALPosition, timeline: TimelineID) {
                self.position = position
                self.timeline = timeline
            }
        }

        public init() {}

        /// Somebody else is to lead, if anybody can.
        var areEnough: Bool { failed.failures >= 2 || isHopeless }
    }

    /// What was seen in one look after another, by the looks' own times: one that is told twice counts once.
    public struct Sighted<Thing: Hashable & Sendable>: Sendable, Hashable {
        public var thing: Thing
        public var first: BootInstant
        public var last: BootInstant

        public init(_ thing: Thing, at instant: BootInstant) {
            self.thing = thing
            first = instant
            last = instant
        }

        /// Another look has found the same.
        var isConfirmed: Bool { last > first }
    }

    /// What is told apart is the source: another one may have what the first has not.
    public struct FailedCopies: Sendable, Hashable {
        /// The source of a copy that was made without one: no member's name.
        static let ofNobody = ""

        public private(set) var times: [String: Int]
        public private(set) var last: BootInstant

        public init(source: String, times: Int = 1, last: BootInstant) {
            self.times = [source: times]
            self.last = last
        }

        mutating func add(_ source: String, at instant: BootInstant) {
            times[source, default: 0] += 1
            last = instant
        }
    }

    /// A request that cannot be carried out as things are.
    public struct Unreceived: Sendable, Hashable {
        public var request: Revision
        public var since: BootInstant

        public init(_ request: Revision, since: BootInstant) {
            self.request = request
            self.since = since
        }
    }

    /// A standby that receives nothing that it can replay.
    public struct Starving: Sendable, Hashable {
        public var since: BootInstant
        /// How far it has replayed.
        public var position: WALPosition
        /// The last look found it streaming: since when.
        public var streamedAt: BootInstant?

        public init(since: BootInstant, position: WALPosition) {
            self.since = since
            self.position = position
        }
    }

    /// Why a data directory that has parted stands there still.
    public enum Keeping: Sendable, Hashable {
        /// pg_rewind is not configured, or cannot do it, and nobody allows a removal.
        case rewindImpossible
        /// pg_rewind gave up, and nobody allows a removal.
        case rewindFailed
        /// It is to be replaced, and its copy is not complete: it may stand there still.
        case awaitingCopy
    }

    /// Something that failed is tried again, each time a longer while later.
    public struct Retries: Sendable, Hashable {
        public var failures = 0
        public var notBefore: BootInstant?
        /// When it failed last.
        public var last: BootInstant?
        public var why = ""

        public init() {}

        /// Waits for `first` after the first failure, twice as long after each further one, `longest` at most.
        public mutating func note(_ why: String, at now: BootInstant, first: Duration, longest: Duration) {
            notBefore = now + min(first * (1 << min(failures, 16)), longest)
            failures += 1
            last = now
            self.why = why
        }

        /// How long it waits still; nil where it may be tried.
        func pause(at now: BootInstant) -> Duration? {
            guard let notBefore, now < notBefore else { return nil }
            return notBefore - now
        }

        /// Likewise, but for no longer than `limit` after the last failure.
        func pause(at now: BootInstant, atMost limit: Duration) -> Duration? {
            guard let pause = pause(at: now) else { return nil }
            guard let last else { return min(pause, limit) }
            return now < last + limit ? min(pause, last + limit - now) : nil
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
