import CLibPQ
import Glibc
import Posix

/// What PostgreSQL or libpq said against a statement.
struct SQLError: Error, CustomStringConvertible {
    let description: String
}

/// A connection to PostgreSQL, for one thread of ours; every statement has a deadline.
final class SQLSession {
    private let connection: OpaquePointer

    /// Connects by a libpq connection string.
    init(_ conninfo: String) throws(SQLError) {
        guard let connection = PQconnectdb(conninfo + " connect_timeout=2 tcp_user_timeout=2000") else {
            throw SQLError(description: "no memory for a connection")
        }
        self.connection = connection
        // What PostgreSQL remarks while it is shut down is no news to the reader of a test's output.
        PQsetNoticeProcessor(connection, { _, _ in }, nil)
        if PQstatus(connection) != CONNECTION_OK { throw failure() }
    }

    deinit { PQfinish(connection) }

    /// Runs one statement; its rows as text, nil for NULL.
    func query(_ statement: String, seconds: Double = 5) throws(SQLError) -> [[String?]] {
        guard PQsendQuery(connection, statement) == 1 else { throw failure() }
        let deadline = bootSeconds() + seconds
        var rows: [[String?]] = []
        var trouble: SQLError?
        while true {
            while PQisBusy(connection) == 1 { try waitForInput(deadline) }
            guard let result = PQgetResult(connection) else { break }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK: rows = SQLSession.rows(of: result)
            case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
            default: trouble = SQLError(description: String(cString: PQresultErrorMessage(result)))
            }
        }
        if let trouble { throw trouble }
        return rows
    }

    private func waitForInput(_ deadline: Double) throws(SQLError) {
        let left = deadline - bootSeconds()
        var descriptor = pollfd(fd: PQsocket(connection), events: Int16(POLLIN), revents: 0)
        guard left > 0, poll(&descriptor, 1, Int32(left * 1000) + 1) > 0 else {
            throw SQLError(description: "no answer from PostgreSQL in time")
        }
        guard PQconsumeInput(connection) == 1 else { throw failure() }
    }

    private func failure() -> SQLError { SQLError(description: String(cString: PQerrorMessage(connection))) }

    private static func rows(of result: OpaquePointer) -> [[String?]] {
        (0..<PQntuples(result)).map { row in
            (0..<PQnfields(result)).map { column in
                PQgetisnull(result, row, column) == 1 ? nil : String(cString: PQgetvalue(result, row, column))
            }
        }
    }
}
