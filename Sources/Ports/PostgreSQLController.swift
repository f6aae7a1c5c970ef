public import ClusterModel

/// The local PostgreSQL (postgresql.md). Operations run one at a time; observing is always possible.
public protocol PostgreSQLController: Sendable {
    /// Looks at processes, files and, by SQL on the monitoring connection, at the server. Whatever is not known by the
    /// deadline is nil in the answer; it never throws and never waits longer.
    ///
    /// An operation that ended at `since` has made what was seen before untrue. Where nothing has been seen since, the
    /// data directory is `.unseen` and the answer is as old as that.
    func observe(since: BootInstant, deadline: BootInstant) async -> PostgreSQLStatus

    /// The running server's signs of life, without SQL and without the disk, at once; nil where no server is known or
    /// none could be taken.
    func pulse() async -> Pulse?

    /// Carries out one operation. Cancelling the task ends its subprocesses and throws `.cancelled`.
    func perform(_ operation: PostgreSQLOperation) async throws(PostgreSQLError) -> OperationResult

    /// Asks `source`, over a replication connection, what decides whether we have parted from it.
    func compareTimelines(with source: Upstream, deadline: BootInstant) async throws(PostgreSQLError) -> DivergenceFacts

    /// Whether the running standby's recovery settings are those for `upstream`; false means `follow` has work to do.
    func isFollowing(_ upstream: Upstream?) async -> Bool

    /// Creates, drops and advances slots; what fails is logged and comes again in the next cycle.
    func apply(_ actions: [SlotAction], deadline: BootInstant) async

    /// Writes a checkpoint, so that pg_rewind may trust our control file after a promotion.
    func checkpoint(timeout: Duration) async throws(PostgreSQLError)

    /// Takes over a new dynamic configuration: files are written, the server is reloaded, what needs a restart shows up
    /// in `pendingRestart` of the next observation.
    func adopt(configuration document: JSONObject) async throws(PostgreSQLError)

    /// Sets `synchronous_standby_names` of the running server, which reads it at once. It stays through restarts of the
    /// server and of the daemon, until something else is set or the server becomes a standby.
    func nameSynchronous(_ setting: SynchronousSetting) async throws(PostgreSQLError)

    /// The server of that pid is known to have everything: the mark of its data directory (`isUnproven`) goes. What
    /// fails is logged and comes again in the next cycle.
    func proveCopy(of postmaster: Int32) async

    /// The history file of a timeline from `pg_wal`, oldest row first, and when it was written (ISO 8601 with offset).
    func timelineHistory(_ timeline: TimelineID) async -> (lines: [TimelineHistory.Line], writtenAt: String)?

    /// Stops at once, as a last resort, whatever operation runs: SIGQUIT, then SIGKILL of the whole group by
    /// `deadline`.
    func halt(deadline: BootInstant) async

    /// The pid of each postmaster that ended, told at once (pidfd). One reader.
    var exits: AsyncStream<Int32> { get }
}

/// Why an operation upon PostgreSQL failed.
public enum PostgreSQLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A program of PostgreSQL's ended badly: which, its exit status, the end of what it said.
    case tool(name: String, status: Int32, output: String)
    /// A statement failed: its SQLSTATE (empty where there was no answer) and the server's text.
    case query(state: String, message: String)
    /// Not done by its deadline.
    case timedOut(String)
    case cancelled
    /// pg_rewind gave up on this data directory although its source is well: trying again would give the same.
    case rewindRefused(String)
    /// Anything else that stands in the way: a file, a setting, a state in which the operation makes no sense.
    case failed(String)

    public var description: String {
        switch self {
        case .tool(let name, let status, let output): "\(name) ended with status \(status): \(output)"
        case .query(let state, let message): state.isEmpty ? message : "\(message) (SQLSTATE \(state))"
        case .timedOut(let what): "\(what) was not done in time"
        case .cancelled: "cancelled"
        case .rewindRefused(let output): "pg_rewind gave up although its source is well: \(output)"
        case .failed(let reason): reason
        }
    }
}

extension PostgreSQLController {
    /// What was seen last is good at any age.
    public func observe(deadline: BootInstant) async -> PostgreSQLStatus {
        await observe(since: BootInstant(nanoseconds: 0), deadline: deadline)
    }
}
