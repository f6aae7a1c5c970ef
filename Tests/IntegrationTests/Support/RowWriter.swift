import ClusterModel
import Glibc
import Posix
import Synchronization
import Testing

/// A client that commits one row after another wherever writes are taken, and keeps what it was told.
final class RowWriter: Sendable {
    /// One acknowledged row.
    struct Row: Sendable {
        let id: Int
        /// When the acknowledgement came, on the clock of leases.
        let seconds: Double
        /// The end of WAL on the primary right after the commit; nil when that was not learned.
        let position: WALPosition?
    }

    private struct State {
        var rows: [Row] = []
        var confirmed: WALPosition?
        var failures = 0
        var stops = false
        var ended = false
    }

    private let state = Mutex(State())
    private let conninfo: String
    /// PostgreSQL tells whose wait for a synchronous standby times out that the commit was done: such a client must not
    /// let it time out.
    private let timeout: String

    /// Starts to write by `conninfo`. The table `written` must be there.
    init(_ conninfo: String, isSynchronous: Bool = false) throws {
        self.conninfo = conninfo
        timeout = isSynchronous ? "0" : "2s"
        try NamedThread.start("writer") { [self] in run() }
    }

    static let table = "CREATE TABLE IF NOT EXISTS written(id bigint)"

    var rows: [Row] { state.withLock { $0.rows } }

    /// How often a session could not be had or ended with an error.
    var failures: Int { state.withLock { $0.failures } }

    /// The last acknowledgement's time.
    var lastAcknowledged: Double? { state.withLock { $0.rows.last?.seconds } }

    /// The spans between two acknowledgements that were longer than `limit` seconds.
    func gaps(longerThan limit: Double) -> [ClosedRange<Double>] {
        let times = rows.map(\.seconds)
        return zip(times, times.dropFirst()).filter { $1 - $0 > limit }.map { $0...$1 }
    }

    /// The identities of rows of which a replica has confirmed that it flushed them. Ask before the fault: afterwards
    /// another primary counts anew.
    var confirmedByReplica: [Int] {
        state.withLock { state in
            guard let confirmed = state.confirmed else { return [] }
            return state.rows.filter { row in row.position.map { $0 <= confirmed } ?? false }.map(\.id)
        }
    }

    /// Ends the thread and waits for it.
    func stop() async throws {
        state.withLock { $0.stops = true }
        try await waitUntil("the writer ends", within: 20) { state.withLock { $0.ended } }
    }

    private func run() {
        var id = 0
        while !state.withLock({ $0.stops }) {
            // Any failure ends the session, not the writer: it looks for the next primary.
            do throws(SQLError) {
                try write(from: &id)
            } catch {
                state.withLock { $0.failures += 1 }
            }
            poll(nil, 0, 20)
        }
        state.withLock { $0.ended = true }
    }

    private func write(from id: inout Int) throws(SQLError) {
        let session = try SQLSession(conninfo)
        _ = try session.query("SET statement_timeout = '\(timeout)'")
        while !state.withLock({ $0.stops }) {
            id += 1
            _ = try session.query("INSERT INTO written VALUES (\(id))", seconds: 3)
            let seconds = bootSeconds()
            let facts = try? session.query(
                "SELECT pg_current_wal_lsn(), (SELECT max(flush_lsn) FROM pg_stat_replication)", seconds: 3)
            let position = facts?.first?.first.flatMap { $0 }.flatMap(WALPosition.init)
            let confirmed = facts?.first?.last.flatMap { $0 }.flatMap(WALPosition.init)
            state.withLock { state in
                state.rows.append(Row(id: id, seconds: seconds, position: position))
                state.confirmed = [state.confirmed, confirmed].compactMap { $0 }.max()
            }
            poll(nil, 0, 5)
        }
    }
}
