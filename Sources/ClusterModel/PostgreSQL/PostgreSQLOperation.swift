/// A long task upon the local PostgreSQL: what the rules ask for and the controller carries out, one at a time.
public enum PostgreSQLOperation: Sendable, Hashable {
    /// initdb, configuration, start as primary, users (postgresql.md §17).
    case bootstrap
    /// The new cluster is published: its directory no longer counts as half-made.
    case finishBootstrap
    /// A new data directory by base backup (postgresql.md §19). With `onlyByBaseBackup` no other method is tried.
    case clone(from: Upstream, replacing: Replaced, onlyByBaseBackup: Bool = false)
    /// A new data directory where there was nothing, by a method that needs nobody to copy from: a backup, say.
    case restore
    /// Starts without any standby signal: the same timeline goes on (ha-loop.md §8.1.3). `on` is the directory that was
    /// judged to be fit for it: a server that comes up on anything else is ended before it accepts writes.
    case startPrimary(timeout: Duration, on: DirectoryStamp? = nil)
    /// Starts as a standby of `upstream`, or of nobody: read-only and waiting.
    case startStandby(of: Upstream?, timeout: Duration)
    /// Points a running standby to another upstream, by reload where PostgreSQL allows, else by restart (postgresql.md
    /// §15).
    case follow(Upstream?)
    /// Hands the segment of a stopped primary's last checkpoint to the archive: who follows by the archive alone has
    /// all of it then, and whoever stopped can follow it without a rewind (ha-loop.md §13.7). What fails is logged.
    case archiveLastSegment
    /// Goes on replaying WAL where somebody has paused it (ha-loop.md §9.3.6).
    case resumeReplay
    /// Sets `synchronous_standby_names`, before a promotion: of a running server, which reads it at once.
    case nameSynchronous(SynchronousSetting)
    /// Asks the operator's command whether this node may be promoted (postgresql.md §20.2); a failure is its no.
    case prePromote
    /// Ends recovery; done when PostgreSQL accepts writes (postgresql.md §20). The physical slots are made first, so
    /// that the other members' receivers find them.
    case promote
    /// Stops the server; the result tells where its WAL ends (postgresql.md §6). `timeout` is for the clean stop, a
    /// checkpoint before it not counted; it is ended by force after that.
    ///
    /// `heirs` are the members that wait for the end of the WAL: with them the operation is done as soon as that is
    /// written, also while the server archives still, and whoever else receives WAL does not hold it up for long.
    case stop(StopMode, timeout: Duration, heirs: [String]? = nil)
    /// The stop of a restart: fast, within `timeout`, and not at all where the server could not read its files again.
    /// Where it does not start with what is new in them, the start that follows takes the old values once more.
    case stopToRestart(timeout: Duration = customaryStopTimeout)
    /// pg_rewind against a primary; the server is down before and after (postgresql.md §21).
    case rewind(from: Upstream)
    /// `postgres --single`: ends crash recovery cleanly, so that pg_rewind can read the control file (postgresql.md
    /// §8).
    case recoverSingleUser
    /// Moves a data directory whose bootstrap failed out of the way (postgresql.md §3).
    case setAsideDataDirectory
    /// Copies logical slots from a primary and leaves the standby stopped (postgresql.md §22.4). What is there is read
    /// and checked before the server goes down: a copy that cannot be made costs nothing.
    case copyLogicalSlots([PermanentSlot], from: Upstream, stopTimeout: Duration)

    /// What becomes of what stands where a copy is to be put.
    public enum Replaced: Sendable, Hashable {
        /// There was nothing. Where something has come meanwhile, a volume that was mounted late or a cluster that was
        /// restored, it stays.
        case nothing
        /// It goes before the copy begins: that was decided, and why.
        case first
        /// It may go, and stays until the copy is complete, where there is room for both.
        case last
    }

    /// How long a clean stop may take where nothing else is configured: with all that follows it is over before a
    /// service manager loses patience (TimeoutStopSec= of the unit; docs/time.md has the sum).
    public static let customaryStopTimeout = Duration.seconds(60)

    /// How long a stop may take that waits for no session and writes no checkpoint, where something waits for it: a
    /// lease that ends, or the daemon's own end.
    public static let urgentStopTimeout = Duration.seconds(5)

    /// What an operation and the plan that is made for it are both called.
    public enum CommonName {
        public static let bootstrap = "bootstrap"
        public static let clone = "creating replica"
        public static let startPrimary = "starting primary after failure"
        public static let startStandby = "starting as a standby"
        public static let follow = "changing primary_conninfo"
        public static let resumeReplay = "resuming WAL replay"
        public static let promote = "promote"
        public static let recoverSingleUser = "doing crash recovery in a single user mode"
        public static let restart = "restart"
    }

    /// The name under which the operation is logged and told over REST (ha-loop.md §3).
    public var name: String {
        switch self {
        case .bootstrap: CommonName.bootstrap
        case .finishBootstrap: "finishing the bootstrap"
        case .clone: CommonName.clone
        case .restore: "creating replica without a leader"
        case .startPrimary: CommonName.startPrimary
        case .startStandby: CommonName.startStandby
        case .follow: CommonName.follow
        case .archiveLastSegment: "archiving the last segment"
        case .resumeReplay: CommonName.resumeReplay
        case .nameSynchronous: "naming the synchronous standbys"
        case .prePromote: "pre_promote"
        case .promote: CommonName.promote
        case .stop: "stop"
        case .stopToRestart: CommonName.restart
        case .rewind(let source): "running pg_rewind from \(source.name)"
        case .recoverSingleUser: CommonName.recoverSingleUser
        case .setAsideDataDirectory: "moving the data directory aside"
        case .copyLogicalSlots(let slots, _, _):
            "copying the logical slots \(slots.map(\.name).joined(separator: ", "))"
        }
    }
}

/// How PostgreSQL is stopped.
public enum StopMode: String, Sendable, Hashable {
    /// SIGINT: sessions end, WAL is sent to the standbys, a shutdown checkpoint is written. `checkpoint` first, while
    /// sessions still work, makes it short.
    case fastAfterCheckpoint = "fast after a checkpoint"
    /// SIGINT without a checkpoint before.
    case fast
    /// SIGQUIT: at once; crash recovery follows at the next start.
    case immediate
    /// SIGKILL to all its processes, stopped ones too, without a look at the disk: for a server that does not react.
    case byForce = "by force"

    /// Whether a shutdown checkpoint is written: crash recovery follows otherwise.
    public var isClean: Bool {
        switch self {
        case .fastAfterCheckpoint, .fast: true
        case .immediate, .byForce: false
        }
    }

    /// How long the checkpoint before a stop may take. Sessions go on meanwhile.
    public static let checkpointPatience = Duration.seconds(120)

    /// What comes before the stop, and is not counted in its time.
    public var preparation: Duration {
        switch self {
        case .fastAfterCheckpoint: Self.checkpointPatience
        case .fast, .immediate, .byForce: .zero
        }
    }
}

/// The member that a standby streams from, or that a base backup or rewind reads; in a standby cluster also the primary
/// elsewhere.
public struct Upstream: Sendable, Hashable {
    public let name: String
    public let address: HostPort
    /// What is so of a primary of another cluster alone; nil for a member of this one.
    public let remote: Remote?

    /// A primary of another cluster.
    public struct Remote: Sendable, Hashable {
        /// The slot that it keeps for this cluster; nil for none.
        public let slotName: String?
        /// The node follows it as the standby leader: that is its role then.
        public let leads: Bool

        public init(slotName: String?, leads: Bool) {
            self.slotName = slotName
            self.leads = leads
        }
    }

    public init(name: String, address: HostPort, remote: Remote? = nil) {
        self.name = name
        self.address = address
        self.remote = remote
    }

    /// Whether anybody can be connected to: an archive alone has no address.
    public var hasAddress: Bool { remote == nil || address.port > 0 }

    /// The role in which a standby follows it.
    public var isFollowedByLeader: Bool { remote?.leads ?? false }

    /// The upstream that `member` offers; nil where its key has no usable connection URL. Whoever can write to the
    /// store writes member keys: what is no host and no port goes no further than this.
    public init?(_ member: Member) {
        guard let address = member.address, address.isUsable else { return nil }
        self.init(name: member.name, address: address)
    }
}

/// How an operation ended well.
public enum OperationResult: Sendable, Hashable {
    case done
    /// Of a stop: where the WAL ends, where the control file says so.
    case shutDown(ShutdownPositions?)
    /// Of a stop with heirs: the WAL ends there, and the postmaster is still there to archive it. It accepts no writes
    /// any more (`PostgreSQLStatus.Finish.shutDown`).
    case archiving(ShutdownPositions)
    /// Of a start whose timeout passed while the server still replays.
    case stillStarting
}

/// Where a cleanly stopped primary ended (postgresql.md §8).
public struct ShutdownPositions: Sendable, Hashable {
    /// The shutdown checkpoint record.
    public var checkpoint: WALPosition
    /// What a standby must have to have everything: the WAL switch record before the checkpoint where one stands there,
    /// else the checkpoint itself.
    public var required: WALPosition
    public var timeline: TimelineID

    public init(checkpoint: WALPosition, required: WALPosition, timeline: TimelineID) {
        self.checkpoint = checkpoint
        self.required = required
        self.timeline = timeline
    }
}

/// What decides whether the local data directory has parted from a primary (postgresql.md §21.4).
public struct DivergenceFacts: Sendable, Hashable {
    /// 0 where a rewind that was broken off has left no control file that could be read.
    public var localTimeline: TimelineID
    /// Replay position while running; the end of recovery or the shutdown checkpoint otherwise.
    public var localPosition: WALPosition
    /// Whether the local server is, or was shut down, in recovery.
    public var localInRecovery: Bool
    /// The local server has crashed: its WAL goes at least as far as `localPosition`, and nobody knows how far.
    public var isAtLeast = false
    /// The end of the local shutdown checkpoint record, where it is the last record; nil where that is not known.
    public var checkpointEnd: WALPosition?
    public var sourceTimeline: TimelineID
    public var sourceInRecovery: Bool
    /// How far the source's WAL went, asked after `localPosition` was known; nil where it is not known.
    public var sourcePosition: WALPosition?
    /// Parent timelines of the source and where each was left, in order.
    public var sourceHistory: [SwitchPoint]
    /// How far the WAL of `localTimeline` goes here, as it was when the timeline was asked for; nil where that is not
    /// known. `localPosition` of a running standby may be older, and be one of the timeline before.
    public var localEnd: WALPosition?
    /// On a timeline of the source's: the WAL that was replayed last here is not what the source has there. Two wrote
    /// on it.
    public var contentDiffers = false
    /// On one timeline: a whole record stands in `pg_wal` where replay has ended, and recovery, which waits for WAL,
    /// does not take it. Nil where that is not so; for a moment it is so of every record that comes.
    public var unreplayed: WALPosition?
    /// What a running standby needs next of the source, and the source has no more.
    public var lacking: Lacking?

    /// A file of `pg_wal`. Without it, and without an archive, the standby never streams again.
    public enum Lacking: Sendable, Hashable {
        /// The segment that comes next.
        case segment(String)
        /// A timeline's history.
        case history(String)
    }

    /// Where the source's timeline of that number begins; nil where its history does not say.
    public func beginning(of timeline: TimelineID) -> WALPosition? {
        sourceHistory.last { $0.timeline < timeline }?.position
    }

    /// A timeline and the position at which the next one left it.
    public struct SwitchPoint: Sendable, Hashable {
        public var timeline: TimelineID
        public var position: WALPosition

        public init(timeline: TimelineID, position: WALPosition) {
            self.timeline = timeline
            self.position = position
        }
    }

    public init(
        localTimeline: TimelineID, localPosition: WALPosition, localInRecovery: Bool, checkpointEnd: WALPosition? = nil,
        sourceTimeline: TimelineID, sourceInRecovery: Bool, sourceHistory: [SwitchPoint]
    ) {
        self.localTimeline = localTimeline
        self.localPosition = localPosition
        self.localInRecovery = localInRecovery
        self.checkpointEnd = checkpointEnd
        self.sourceTimeline = sourceTimeline
        self.sourceInRecovery = sourceInRecovery
        self.sourceHistory = sourceHistory
    }
}

/// A change to the replication slots of the local server.
public enum SlotAction: Sendable, Hashable {
    /// A physical slot that reserves WAL at once.
    case create(String)
    case drop(String)
    /// Moves a physical slot forward to a position that every reader has passed.
    case advance(String, to: WALPosition)
    /// A logical slot that begins now, on a primary.
    case createLogical(String, database: String, plugin: String)
    /// Moves a standby's copy of a logical slot forward to what the primary's reader has confirmed. One that cannot be
    /// moved, because the WAL that it stands for is not here, is dropped, and copied again.
    case advanceLogical(String, database: String, to: WALPosition)
    /// Asks whether the primary keeps the catalog rows that copies of logical slots need; the next look tells it
    /// (`isReady`). `through` is the physical slot there by which the primary learns what this standby needs.
    case verifyLogical([String], at: Upstream, through: String)
}
