import CLibPQ
import ClusterModel
import Glibc
import Posix

/// One connection to a member's PostgreSQL for one statement. Blocking: it lives on a thread of its own.
final class QueryConnection {
    /// Why there is no answer.
    struct Failure: Error, Sendable, Hashable {
        /// Empty where the server said nothing.
        let state: String
        let message: String

        /// As it stands in the row of an error.
        var text: String {
            "ERROR, SQLSTATE: " + (state.isEmpty ? message.replacing("\n", with: " ").trimmed : state)
        }
    }

    private let handle: OpaquePointer

    /// Connects; libpq's environment and password file count for what `parameters` leave out.
    init(_ parameters: [(name: String, value: String)]) throws(Failure) {
        var names = parameters.map { strdup($0.name) } + [nil]
        var values = parameters.map { strdup($0.value) } + [nil]
        defer { for text in names + values { free(text) } }
        let handle = names.withUnsafeMutableBufferPointer { names in
            values.withUnsafeMutableBufferPointer { values in
                names.withMemoryRebound(to: UnsafePointer<CChar>?.self) { names in
                    values.withMemoryRebound(to: UnsafePointer<CChar>?.self) { values in
                        PQconnectdbParams(names.baseAddress, values.baseAddress, 0)
                    }
                }
            }
        }
        guard let handle else { throw Failure(state: "", message: "out of memory") }
        self.handle = handle
        // Notices would go to our standard error; nobody has asked for them.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        guard PQstatus(handle) == CONNECTION_OK else {
            throw Failure(state: "", message: "connection failed: " + String(cString: PQerrorMessage(handle)))
        }
    }

    deinit { PQfinish(handle) }

    /// Ends from elsewhere what runs here; nil where that cannot be.
    var cancellation: QueryCancellation? { PQgetCancel(handle).map(QueryCancellation.init) }

    /// Runs `statements`; the rows of the last, nil where it has none.
    func run(_ statements: String) throws(Failure) -> Table? {
        guard let result = PQexec(handle, statements) else {
            throw Failure(state: "", message: String(cString: PQerrorMessage(handle)))
        }
        defer { PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE: return Self.table(result)
        case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: return nil
        default:
            // PG_DIAG_SQLSTATE is a macro of a character.
            let state = PQresultErrorField(result, Int32(UInt8(ascii: "C"))).map { String(cString: $0) } ?? ""
            throw Failure(state: state, message: String(cString: PQresultErrorMessage(result)))
        }
    }

    private static func table(_ result: OpaquePointer) -> Table {
        let columns = (0..<PQnfields(result)).map {
            Table.Column(PQfname(result, $0).map { String(cString: $0) } ?? "")
        }
        let rows = (0..<PQntuples(result)).map { row in
            (0..<PQnfields(result)).map { column -> JSONValue in
                if PQgetisnull(result, row, column) == 1 { return .null }
                let text = PQgetvalue(result, row, column).map { String(cString: $0) } ?? ""
                return QueryValue.value(text, type: PQftype(result, column))
            }
        }
        return Table(columns: columns, rows: rows)
    }
}

/// Asks a server to end the statement of a connection. libpq makes it for any thread, and nothing of it changes.
final class QueryCancellation: @unchecked Sendable {
    private let handle: OpaquePointer

    fileprivate init(_ handle: OpaquePointer) { self.handle = handle }

    deinit { PQfreeCancel(handle) }

    private static let patience = Duration.seconds(2)

    /// Whether the server was reached; who wants to leave does not wait longer than `patience` for it.
    func ask() -> Bool {
        let told = Condition()
        do throws(SystemError) {
            try NamedThread.start("cancel") { [self] in
                var message = [CChar](repeating: 0, count: 256)
                if PQcancel(handle, &message, 256) == 1 { told.signal() }
            }
        } catch {
            return false
        }
        return told.wait(until: BootClock.now() + Self.patience)
    }
}

/// What PostgreSQL sends as text, as the value that it is.
enum QueryValue {
    /// `type` is the oid of PostgreSQL's catalogue.
    static func value(_ text: String, type: UInt32) -> JSONValue {
        switch type {
        case 16: .bool(text == "t")
        case 20, 21, 23, 26: Int64(text).map(JSONValue.int) ?? .string(text)
        case 700, 701: Double(text).flatMap { $0.isFinite ? .double($0) : nil } ?? .string(text)
        // A timestamp with its zone is told with the whole offset, and with microseconds where there are any.
        case 1184: Timestamp(text).map { .string($0.render(separator: " ")) } ?? .string(text)
        case _: .string(text)
        }
    }
}

extension String {
    /// Without blanks at its ends.
    var trimmed: String {
        var bytes = utf8[...]
        while bytes.last == UInt8(ascii: " ") { bytes = bytes.dropLast() }
        while bytes.first == UInt8(ascii: " ") { bytes = bytes.dropFirst() }
        return String(Substring(bytes))
    }
}
