import CLibPQ
import ClusterModel
import Glibc
import Ports
import Posix

/// Where a connection goes and as whom.
struct ConnectionTarget: Sendable, Hashable {
    /// Parameters of libpq: `host`, `port`, `user`, `password`, `dbname`, `options`…
    var parameters: ParameterMap

    /// The same, but of several hosts the primary alone.
    func ofPrimary(_ address: HostPort) -> ConnectionTarget {
        var target = self
        for (name, value) in ToolArguments.onlyPrimary(address) { target.parameters[name] = value }
        return target
    }
}

/// One connection of libpq, never blocked in it: every wait is a poll(2) with a deadline, so a server that hangs (or
/// was stopped with SIGSTOP) costs no more than the deadline. Lives on one thread: that of the actor that opened it.
final class PostgreSQLConnection {
    private let handle: OpaquePointer
    /// False after a failure of the connection itself; nothing more can be asked then.
    private(set) var isUsable = true

    private init(_ handle: OpaquePointer) { self.handle = handle }

    deinit { PQfinish(handle) }

    /// Connects, or throws `.query` with the SQLSTATE of a refusal (57P03 while the server starts or stops), with an
    /// empty one where nobody listens, or `.timedOut`.
    static func connect(to target: ConnectionTarget, deadline: BootInstant) throws(PostgreSQLError)
        -> PostgreSQLConnection
    {
        var keywords = target.parameters.entries.map { strdup($0.name) } + [nil]
        var values = target.parameters.entries.map { strdup($0.value) } + [nil]
        defer { for text in keywords + values { free(text) } }
        let started = keywords.withUnsafeMutableBufferPointer { keywords in
            values.withUnsafeMutableBufferPointer { values in
                keywords.withMemoryRebound(to: UnsafePointer<CChar>?.self) { keywords in
                    values.withMemoryRebound(to: UnsafePointer<CChar>?.self) { values in
                        PQconnectStartParams(keywords.baseAddress, values.baseAddress, 0)
                    }
                }
            }
        }
        guard let started else { throw .failed("out of memory for a connection") }
        let connection = PostgreSQLConnection(started)
        // Notices would go to our standard error; nobody has asked for them.
        PQsetNoticeProcessor(started, { _, _ in }, nil)
        // While connecting, the SQLSTATE is to be had in the text only, and there only when verbose.
        PQsetErrorVerbosity(started, PQERRORS_VERBOSE)
        try connection.finishConnecting(deadline)
        PQsetErrorVerbosity(started, PQERRORS_DEFAULT)
        PQsetnonblocking(started, 1)
        return connection
    }

    /// The version of the server: 150006.
    var serverVersion: Int { Int(PQserverVersion(handle)) }

    /// The pid of the server's process behind this connection.
    var serverProcess: Int32 { PQbackendPID(handle) }

    /// Runs one statement; its rows as text, nil for null. With `parameters` it must be a single statement.
    @discardableResult
    func query(_ statement: String, _ parameters: [String?] = [], deadline: BootInstant) throws(PostgreSQLError)
        -> [[String?]]
    {
        try begin(statement, parameters, deadline)
        let answer = results(deadline)
        if let failure = answer.failure { throw failure }
        return answer.rows.last ?? []
    }

    /// Runs statements one after the other in one message, which is one round trip and one transaction: the rows of
    /// each until one failed, and how it did. Throws where not even the first was answered.
    func series(_ statements: [String], deadline: BootInstant) throws(PostgreSQLError) -> Series {
        try begin(statements.joined(separator: ";\n"), [], deadline)
        let answer = results(deadline)
        if answer.rows.isEmpty, let failure = answer.failure { throw failure }
        return answer
    }

    struct Series {
        var rows: [[[String?]]] = []
        var failure: PostgreSQLError?
    }

    private func begin(_ statement: String, _ parameters: [String?], _ deadline: BootInstant) throws(PostgreSQLError) {
        guard isUsable else { throw lost("the connection was lost before") }
        guard send(statement, parameters) == 1 else { throw lost(nil) }
        try flush(deadline)
    }

    private func results(_ deadline: BootInstant) -> Series {
        var answer = Series()
        do throws(PostgreSQLError) {
            while let result = try nextResult(deadline) {
                defer { PQclear(result) }
                switch PQresultStatus(result) {
                case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY, PGRES_SINGLE_TUPLE:
                    answer.rows.append(Self.rows(result))
                default: answer.failure = answer.failure ?? Self.failure(result)
                }
            }
        } catch {
            answer.failure = answer.failure ?? error
        }
        if PQstatus(handle) != CONNECTION_OK { isUsable = false }
        return answer
    }

    private func finishConnecting(_ deadline: BootInstant) throws(PostgreSQLError) {
        var wanted = PGRES_POLLING_WRITING
        while true {
            if PQstatus(handle) == CONNECTION_BAD { throw refusal() }
            let events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT
            try wait(Int16(events), deadline, "connecting")
            wanted = PQconnectPoll(handle)
            switch wanted {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_FAILED: throw refusal()
            default: continue
            }
        }
    }

    private func send(_ statement: String, _ parameters: [String?]) -> Int32 {
        // The simple protocol where there is nothing to pass: replication connections know no other.
        if parameters.isEmpty { return PQsendQuery(handle, statement) }
        let values = parameters.map { $0.flatMap { strdup($0) } }
        defer { for value in values { free(value) } }
        let pointers = values.map { UnsafePointer<CChar>($0) }
        return PQsendQueryParams(handle, statement, Int32(parameters.count), nil, pointers, nil, nil, 0)
    }

    private func flush(_ deadline: BootInstant) throws(PostgreSQLError) {
        while true {
            switch PQflush(handle) {
            case 0: return
            case 1:
                try wait(Int16(POLLIN | POLLOUT), deadline, "a statement")
                if PQconsumeInput(handle) != 1 { throw lost(nil) }
            default: throw lost(nil)
            }
        }
    }

    private func nextResult(_ deadline: BootInstant) throws(PostgreSQLError) -> OpaquePointer? {
        while PQisBusy(handle) == 1 {
            try wait(Int16(POLLIN), deadline, "a statement")
            if PQconsumeInput(handle) != 1 { throw lost(nil) }
        }
        return PQgetResult(handle)
    }

    /// Waits in slices, so that a cancelled task does not hold its thread until the deadline.
    private func wait(_ events: Int16, _ deadline: BootInstant, _ what: String) throws(PostgreSQLError) {
        var descriptor = pollfd(fd: PQsocket(handle), events: events, revents: 0)
        while true {
            let left = (deadline - BootClock.now()).nanoseconds
            let problem: PostgreSQLError? = left <= 0 ? .timedOut(what) : Task.isCancelled ? .cancelled : nil
            if let problem {
                isUsable = false
                throw problem
            }
            let slice = min(50, left / 1_000_000 + 1)
            let count = retryingInterrupts { poll(&descriptor, 1, Int32(slice)) }
            if count > 0 { return }
            if count < 0 { throw lost(SystemError(call: "poll").description) }
        }
    }

    private func lost(_ reason: String?) -> PostgreSQLError {
        isUsable = false
        return .query(state: "", message: reason ?? Self.text(PQerrorMessage(handle)).trimmed)
    }

    private func refusal() -> PostgreSQLError {
        isUsable = false
        let refusal = ConnectionRefusal(Self.text(PQerrorMessage(handle)))
        return .query(state: refusal.state, message: refusal.message)
    }

    private static func rows(_ result: OpaquePointer) -> [[String?]] {
        let columns = PQnfields(result)
        return (0..<PQntuples(result)).map { row in
            (0..<columns).map { column in
                PQgetisnull(result, row, column) == 1 ? nil : text(PQgetvalue(result, row, column))
            }
        }
    }

    private static func failure(_ result: OpaquePointer) -> PostgreSQLError {
        // PG_DIAG_SQLSTATE and PG_DIAG_MESSAGE_PRIMARY are character constants, which the importer leaves out.
        let state = text(PQresultErrorField(result, Int32(UInt8(ascii: "C"))))
        let message = text(PQresultErrorField(result, Int32(UInt8(ascii: "M"))))
        return .query(state: state, message: message.isEmpty ? text(PQresultErrorMessage(result)).trimmed : message)
    }

    private static func text(_ pointer: UnsafePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }
}

/// A refused connection, from the verbose text of libpq: `…FATAL:  57P03: the database system is starting up`.
struct ConnectionRefusal: Sendable, Hashable {
    /// Empty where there was no answer of a server.
    var state = ""
    /// The text without the place in PostgreSQL's source.
    var message: String

    init(_ text: String) {
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }
        message = lines.joined(separator: "; ").trimmed
        for severity in ["FATAL:  ", "ERROR:  ", "PANIC:  "] {
            guard let range = message.lastRange(of: severity) else { continue }
            let code = message[range.upperBound...].prefix(5)
            let rest = message[range.upperBound...].dropFirst(5)
            guard code.count == 5, rest.hasPrefix(": "), code.allSatisfy({ $0.isNumber || $0.isUppercase }) else {
                continue
            }
            state = String(code)
            message.removeSubrange(range.upperBound..<message.index(range.upperBound, offsetBy: 7))
        }
    }
}

extension String {
    fileprivate func lastRange(of text: String) -> Range<String.Index>? { ranges(of: text).last }
}

extension PostgreSQLError {
    /// The server is there and does not let anybody in yet, or no longer.
    var isRejection: Bool { if case .query("57P03", _) = self { true } else { false } }
    /// No server answered at all.
    var isUnanswered: Bool { if case .query("", _) = self { true } else { false } }
    var isTimeout: Bool { if case .timedOut = self { true } else { false } }
}
