/// What a server lets be known of itself beside its facts: how long it has owed answers, and what its processes do
/// meanwhile. It is taken without SQL and without the disk, so that a server that hangs, or a disk that does, keeps
/// nobody from seeing it. docs/hung.md says how a slow server and a hung one are told apart by it.
public struct Pulse: Sendable, Hashable {
    public var takenAt: BootInstant
    public var postmaster: Int32
    /// Since when statements have been without an answer of any kind: rows, an error, a refusal. Nil where the last
    /// question was answered.
    public var unansweredSince: BootInstant?
    /// Since when the server has not said the first word to a new connection. Nil where it did, or was not asked.
    public var closedSince: BootInstant?
    /// Since when sessions have waited for WAL to reach the disk and none did. Nil where it moves or nobody waits.
    public var unflushedSince: BootInstant?
    /// Since when none of the server's processes has worked, as far as was seen; nil where one did, or where nobody
    /// looked because nothing was owed.
    public var stillSince: BootInstant?
    public var processes: Processes
    /// The checkpointer, where it stands still. Nil where it was seen to sleep or to work, or where nobody knows it.
    public var checkpointer: Checkpointer?

    /// A checkpointer that does nothing although it does not sleep.
    public struct Checkpointer: Sendable, Hashable {
        /// Since when it has not been given a processor for a single moment.
        public var since: BootInstant
        /// By a signal or a debugger; else it is in the kernel, mostly on a dead disk.
        public var isStopped: Bool

        public init(since: BootInstant, isStopped: Bool) {
            self.since = since
            self.isStopped = isStopped
        }
    }

    /// How many processes the server has and in which states.
    public struct Processes: Sendable, Hashable {
        public var total: Int
        /// By a signal or a debugger.
        public var stopped: Int
        /// In the kernel, where no signal reaches them: on a dead disk, mostly.
        public var uninterruptible: Int
        public var isPostmasterStopped: Bool

        public init(total: Int = 0, stopped: Int = 0, uninterruptible: Int = 0, isPostmasterStopped: Bool = false) {
            self.total = total
            self.stopped = stopped
            self.uninterruptible = uninterruptible
            self.isPostmasterStopped = isPostmasterStopped
        }
    }

    public init(
        takenAt: BootInstant, postmaster: Int32, unansweredSince: BootInstant? = nil, closedSince: BootInstant? = nil,
        unflushedSince: BootInstant? = nil, stillSince: BootInstant? = nil, processes: Processes = Processes(),
        checkpointer: Checkpointer? = nil
    ) {
        self.takenAt = takenAt
        self.postmaster = postmaster
        self.unansweredSince = unansweredSince
        self.closedSince = closedSince
        self.unflushedSince = unflushedSince
        self.stillSince = stillSince
        self.processes = processes
        self.checkpointer = checkpointer
    }
}
