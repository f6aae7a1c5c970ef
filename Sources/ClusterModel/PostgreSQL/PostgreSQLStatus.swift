/// What is known of the local PostgreSQL, and when it was learnt (postgresql.md §10).
public struct PostgreSQLStatus: Sendable, Hashable {
    /// What the data directory holds (postgresql.md §3).
    public enum DataDirectory: Sendable, Hashable {
        /// Missing, or without a cluster and without files of others.
        case empty
        case initialized
        /// Exists and cannot be read: the reason.
        case inaccessible(String)
        /// Nothing of it was seen yet: its disk has not answered since the daemon started, as the text says. What is
        /// known of the server comes from the kernel and from the guardian alone.
        case unseen(String)
    }

    /// What an operator lets be removed without being asked (postgresql.md §21); nothing unless it was said.
    public struct RemovalPermission: Sendable, Hashable {
        /// `postgresql.remove_data_directory_on_rewind_failure`.
        public var onRewindFailure: Bool
        /// `postgresql.remove_data_directory_on_diverged_timelines`.
        public var onDivergedTimelines: Bool

        public init(onRewindFailure: Bool = false, onDivergedTimelines: Bool = false) {
            self.onRewindFailure = onRewindFailure
            self.onDivergedTimelines = onDivergedTimelines
        }
    }

    /// Why a server that is down may not come up, by what stands in its data directory. PostgreSQL is the judge: it
    /// counts where a start has failed.
    public enum Obstacle: Sendable, Hashable {
        /// Neither `pg_wal` nor another timeline's file there has the WAL that the last checkpoint needs.
        case checkpointWithoutWAL(file: String)
        /// A `backup_label` sends recovery to WAL that is not in `pg_wal`.
        case staleBackupLabel(file: String)
        /// A server that recovers began by a `backup_label` that has gone since, and waits for the WAL that it named.
        case removedBackupLabel(file: String)
        /// A server that recovers has not found the end of the base backup that its `backup_label` told of.
        case backupNotEnded(start: WALPosition)
        /// `pg_wal` lacks the history of the directory's own timeline.
        case historyMissing(file: String)
        /// PostgreSQL takes no directory that others may write in or read, and cannot read what is another user's.
        case permissions(String)
    }

    /// Segments that nobody has archived: the name of the first, and how many.
    public struct Unarchived: Sendable, Hashable {
        public var first: String
        public var count: Int

        public init(first: String, count: Int) {
            self.first = first
            self.count = count
        }
    }

    /// What pg_isready would say.
    public enum Readiness: Sendable, Hashable {
        /// No postmaster.
        case down
        /// A postmaster that rejects connections: starting up, shutting down, or not yet consistent.
        case rejecting
        case accepting
    }

    /// Why a postmaster that is still there accepts no writes any more, whatever else is seen of it: the proof that S1
    /// asks for.
    public enum Finish: Sendable, Hashable {
        /// The control file has come to say `shut down` since this postmaster was told to stop: no session is left, its
        /// last record is written, and it only sends and archives what there is.
        case shutDown
        /// SIGKILL is pending for it and for all its children: none of them runs again, however long the kernel keeps
        /// them.
        case killed
    }

    /// What SQL told of a server that accepts connections.
    public struct Facts: Sendable, Hashable {
        public var inRecovery: Bool
        /// A primary's own; on a standby what it receives or, without a receiver, what it has replayed to.
        public var timeline: TimelineID?
        /// Flushed, on a primary.
        public var writePosition: WALPosition
        /// Received, on a standby; zero where nothing was.
        public var receivedPosition: WALPosition
        public var replayedPosition: WALPosition
        /// Text of `pg_last_xact_replay_timestamp()` as PostgreSQL prints it.
        public var replayedTimestamp: String?
        public var replayPaused: Bool
        /// Settings of recovery that are not those that this node was told to have: somebody else has changed them.
        public var alteredRecovery: [String] = []
        public var receiver: WALReceiver?
        /// `restore_command` is set.
        public var hasRestoreCommand: Bool
        public var serverVersion: Int
        /// `pg_postmaster_start_time()` as PostgreSQL prints it.
        public var postmasterStartTime: String
        public var slots: [ReplicationSlot]
        public var walSenders: [WALSender]
        /// What commits wait for; nil on a standby, and where it could not be read.
        public var synchronous: Synchronous?
        /// The size of the file system that `pg_wal` stands on, in bytes; nil where it is not known.
        public var walSpace: Int64?
        /// `slots` and `walSenders` are what was known last, if anything was: they could not be read with the rest.
        public var isDetailStale = false
        /// A primary's control file shows the timeline before its promotion still: pg_rewind goes by that file.
        public var owesCheckpoint = false

        public init(
            inRecovery: Bool, timeline: TimelineID?, writePosition: WALPosition = .zero,
            receivedPosition: WALPosition = .zero, replayedPosition: WALPosition = .zero,
            replayedTimestamp: String? = nil, replayPaused: Bool = false, receiver: WALReceiver? = nil,
            hasRestoreCommand: Bool = false, serverVersion: Int = 150_000, postmasterStartTime: String = "",
            slots: [ReplicationSlot] = [], walSenders: [WALSender] = []
        ) {
            self.inRecovery = inRecovery
            self.timeline = timeline
            self.writePosition = writePosition
            self.receivedPosition = receivedPosition
            self.replayedPosition = replayedPosition
            self.replayedTimestamp = replayedTimestamp
            self.replayPaused = replayPaused
            self.receiver = receiver
            self.hasRestoreCommand = hasRestoreCommand
            self.serverVersion = serverVersion
            self.postmasterStartTime = postmasterStartTime
            self.slots = slots
            self.walSenders = walSenders
        }

        /// Where the node is: its last flushed byte on a primary, the later of received and replayed on a standby.
        public var position: WALPosition {
            inRecovery ? max(receivedPosition, replayedPosition) : writePosition
        }

        /// How many bytes of WAL the server keeps for a slot.
        public func heldBack(by slot: ReplicationSlot) -> Int64 {
            guard let position = slot.restartPosition, !slot.isLost else { return 0 }
            return max(0, (inRecovery ? replayedPosition : writePosition) - position)
        }

        /// `streaming`, `in archive recovery` or nothing, as the API and the member key tell it.
        public var replicationState: String? {
            guard inRecovery else { return nil }
            if receiver?.isStreaming == true { return "streaming" }
            return hasRestoreCommand ? "in archive recovery" : nil
        }
    }

    /// What commits wait for on a primary.
    public struct Synchronous: Sendable, Hashable {
        /// `synchronous_standby_names` as a session sees it.
        public var inForce: String
        /// The same as it stands in the file that a reload or a restart brings into force.
        public var written: String
        /// `synchronous_commit` of a new session.
        public var level: String
        /// The checkpointer, which tells the sessions whether they have to wait at all, is where it hears of a reload.
        public var checkpointerListens: Bool

        public init(inForce: String, written: String? = nil, level: String = "on", checkpointerListens: Bool = true) {
            self.inForce = inForce
            self.written = written ?? inForce
            self.level = level
            self.checkpointerListens = checkpointerListens
        }
    }

    /// The process that receives WAL on a standby.
    public struct WALReceiver: Sendable, Hashable {
        public var isStreaming: Bool
        public var host: String?
        public var port: Int?
        public var slotName: String?
        /// The end of the primary's WAL as last reported to this standby.
        public var latestEnd: WALPosition

        public init(
            isStreaming: Bool, host: String? = nil, port: Int? = nil, slotName: String? = nil,
            latestEnd: WALPosition = .zero
        ) {
            self.isStreaming = isStreaming
            self.host = host
            self.port = port
            self.slotName = slotName
            self.latestEnd = latestEnd
        }
    }

    /// A row of `pg_replication_slots`, temporary ones left out.
    public struct ReplicationSlot: Sendable, Hashable {
        public var name: String
        public var isLogical: Bool
        public var isActive: Bool
        public var restartPosition: WALPosition?
        public var hasXmin: Bool
        /// Of a logical slot.
        public var database: String?
        public var plugin: String?
        /// What a logical slot's reader has confirmed to have.
        public var confirmedPosition: WALPosition?
        /// The server has removed WAL that it stands for (`wal_status`, since 13): nobody can read it any more.
        public var isLost = false
        /// PostgreSQL itself keeps it on standbys (`failover`, since 17).
        public var isFailover = false
        /// PostgreSQL itself has copied it from a primary (`synced`, since 17).
        public var isSynced = false
        /// A standby's copy of a logical slot: the primary is known to keep the catalog rows that it needs.
        public var isReady = false

        public init(
            name: String, isLogical: Bool, isActive: Bool, restartPosition: WALPosition?, hasXmin: Bool = false,
            database: String? = nil, plugin: String? = nil, confirmedPosition: WALPosition? = nil
        ) {
            self.name = name
            self.database = database
            self.plugin = plugin
            self.confirmedPosition = confirmedPosition
            self.isLogical = isLogical
            self.isActive = isActive
            self.restartPosition = restartPosition
            self.hasXmin = hasXmin
        }
    }

    /// A row of `pg_stat_replication` (rest-api.md §8.2).
    public struct WALSender: Sendable, Hashable {
        public var userName: String
        public var applicationName: String
        public var clientAddress: String?
        public var state: String
        public var syncState: String
        public var syncPriority: Int
        /// How far the receiver says that it has written, flushed and replayed; nil where it has said nothing yet.
        public var written: WALPosition?
        public var flushed: WALPosition?
        public var replayed: WALPosition?

        public init(
            userName: String, applicationName: String, clientAddress: String?, state: String, syncState: String,
            syncPriority: Int
        ) {
            self.userName = userName
            self.applicationName = applicationName
            self.clientAddress = clientAddress
            self.state = state
            self.syncState = syncState
            self.syncPriority = syncPriority
        }
    }

    /// A parameter that waits for a restart; texts with human-readable units.
    public struct PendingRestart: Sendable, Hashable {
        public var parameter: String
        public var oldValue: String
        public var newValue: String

        public init(parameter: String, oldValue: String, newValue: String) {
            self.parameter = parameter
            self.oldValue = oldValue
            self.newValue = newValue
        }
    }

    public var dataDirectory: DataDirectory
    /// What stands in the data directory by halves. Whatever else is seen there: it is not started as it is.
    public var unfinished: UnfinishedWork?
    /// A command of the operator's has brought what stands there, most likely from a backup, and it has not streamed
    /// all since: what `/sync` says of this member is of the directory before, and this one may lack some of it (S2).
    public var isUnproven = false
    public var state: PostgreSQLState
    /// The pid of the postmaster; nil where none runs.
    public var postmaster: Int32?
    public var readiness: Readiness
    /// The postmaster is still there and accepts no writes any more; nil where it may, or is gone.
    public var finish: Finish?
    /// Why a server that runs tells us nothing of itself: it refuses us, or another one answers in its place. Nil where
    /// it does tell, or has not been heard at all.
    public var unobservable: String?
    /// A primary, by its own word of before, that refuses us for lack of connections: whom it has let in it serves.
    public var isFull = false
    /// What a stop that is under way waits for, in words; nil for nothing that takes long.
    public var waitingFor: String?
    /// Since when the archiver that it waits for has archived nothing.
    public var archiverStillSince: BootInstant?
    /// Segments that an archiver which hung has left in `pg_wal`.
    public var unarchived: Unarchived?
    /// Nil where PostgreSQL does not accept connections or did not answer in time.
    public var facts: Facts?
    /// pg_controldata, read while PostgreSQL is down; nil while it runs or where it cannot be read.
    public var control: ControlData?
    /// Why `control` is nil, where it was asked for.
    public var controlTrouble: ControlTrouble?
    /// While PostgreSQL is down: no WAL stands in the data directory beyond this, whether it crashed or was shut down.
    /// What was flushed there lies before it. Nil where it is not known.
    public var walEnd: WALPosition?
    /// What the directory is known by that the above was seen in, while PostgreSQL is down.
    public var stamp: DirectoryStamp?
    /// From pg_controldata; nil where there is none.
    public var systemIdentifier: String?
    /// What stands in the way of a start, while PostgreSQL is down or starts.
    public var obstacle: Obstacle?
    /// The configuration has a `restore_command`.
    public var hasRestoreCommand = false
    /// A `standby.signal` or `recovery.signal` stands in the data directory.
    public var hasStandbySignal: Bool
    public var pendingRestart: [PendingRestart]
    /// Which version the installed programs are, as `server_version_num`; nil where that is not known.
    public var installedVersion: Int?
    /// pg_rewind is configured, present, and the cluster has what it needs (postgresql.md §21.2).
    public var canRewind: Bool
    /// Whether a data directory that has parted may be removed.
    public var mayRemove = RemovalPermission()
    /// A data directory can be made without anybody to copy from (`no_leader` of a replica method).
    public var canRestoreAlone = false
    /// Why the watchdog of the host, without which this node is not to lead, could not be used now.
    public var watchdogObstacle: String?
    /// A command of the operator's is asked before a promotion (`postgresql.pre_promote`).
    public var hasPrePromote = false
    /// The promotion of this postmaster was asked for, whatever became of it since.
    public var promotionWasAsked = false
    /// When these facts were true at the latest: the instant before the question was asked.
    public var observedAt: BootInstant

    public init(
        dataDirectory: DataDirectory, unfinished: UnfinishedWork? = nil, state: PostgreSQLState,
        postmaster: Int32? = nil, readiness: Readiness = .down, facts: Facts? = nil, control: ControlData? = nil,
        systemIdentifier: String? = nil, hasStandbySignal: Bool = false, pendingRestart: [PendingRestart] = [],
        canRewind: Bool = false, observedAt: BootInstant
    ) {
        self.dataDirectory = dataDirectory
        self.unfinished = unfinished
        self.state = state
        self.postmaster = postmaster
        self.readiness = readiness
        self.facts = facts
        self.control = control
        self.systemIdentifier = systemIdentifier
        self.hasStandbySignal = hasStandbySignal
        self.pendingRestart = pendingRestart
        self.canRewind = canRewind
        self.observedAt = observedAt
    }

    /// Its promotion was asked for, and it is a standby still: it may be a primary at any moment. Not where it is
    /// proven to have finished.
    public var isPromoting: Bool {
        promotionWasAsked && postmaster != nil && finish == nil && facts?.inRecovery != false
    }

    /// Accepts writes, or may without being asked for anything more. Whether it must be ended before somebody else
    /// leads (S1) goes by this.
    public var mayYetAcceptWrites: Bool { mayAcceptWrites || isPromoting }

    /// Running and, by its own word, not in recovery.
    public var isPrimary: Bool { facts.map { !$0.inRecovery } ?? false }

    /// Whether the server may accept writes: by its own word or, where it does not answer, because it runs without a
    /// standby signal. Not where it is proven to have finished. Safety goes by this, `isPrimary` by what is certain.
    public var mayAcceptWrites: Bool {
        postmaster != nil && finish == nil && (facts.map { !$0.inRecovery } ?? !hasStandbySignal)
    }
}
