import CLibPQ
import ClusterModel
import Glibc

@testable import PostgreSQL

/// Writes configuration files that PostgreSQL itself then parses, and connection strings that libpq does.
///
/// `FUZZ_CONNINFO` names a server that runs for this alone and `FUZZ_FILE` a file that its postgresql.conf includes.
/// pg_file_settings reads the files anew whenever it is asked, so no reload is needed; still a question costs more than
/// an execution should, and so many values share one.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // The first byte says where the name ends and the value begins.
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let cut = min(bytes.count, 1 + Int(bytes.first ?? 0) % 64)
    let name = String(decoding: bytes[min(1, bytes.count)..<cut], as: UTF8.self)
    let value = String(decoding: bytes[cut...], as: UTF8.self)
    readByLibPQ(name, value)
    readByUs(name, value)
    batch.add(name, value)
    return 0
}

private func isSame(_ left: some Sequence<UInt8>, _ right: some Sequence<UInt8>) -> Bool { left.elementsEqual(right) }

private func withoutNUL(_ text: String) -> [UInt8] { text.utf8.filter { $0 != 0 } }

private func readByLibPQ(_ name: String, _ value: String) {
    let written = ConnectionString.render(["host": value, "user": name, "port": "1"])
    guard let options = PQconninfoParse(written, nil) else { preconditionFailure("libpq cannot read \(written)") }
    defer { PQconninfoFree(options) }
    var found = 0
    var at = options
    while let keyword = at.pointee.keyword {
        defer { at += 1 }
        guard let text = at.pointee.val else { continue }
        found += 1
        let read = String(cString: text)
        switch String(cString: keyword) {
        case "host": precondition(isSame(read.utf8, withoutNUL(value)), "another host than \(value.debugDescription)")
        case "user": precondition(isSame(read.utf8, withoutNUL(name)), "another user than \(name.debugDescription)")
        case "port": precondition(read == "1", "another port")
        case let other: preconditionFailure("\(other) came out of \(value.debugDescription)")
        }
    }
    precondition(found == 3, "\(found) of 3 parameters in \(written.debugDescription)")
}

/// What stands in our own files is read again for the recovery settings.
private func readByUs(_ name: String, _ value: String) {
    let line = ConfigurationText.quote(value)
    let read = ConfigurationText.setting(Substring("primary_conninfo = \(line)"))
    precondition(isSame((read?.value ?? "none").utf8, onOneLine(value)), "read otherwise: \(value.debugDescription)")
    _ = ConfigurationText.setting(Substring(value))
    _ = ConfigurationText.withoutRecovery(value)
    _ = ConnectionString.parse(value)
    _ = ToolOptions("initdb", .array([.string(name), .string(value)]), forbidden: ["pgdata"]).arguments
}

private func onOneLine(_ text: String) -> [UInt8] { text.utf8.map { [0, 0x0A, 0x0D].contains($0) ? 0x20 : $0 } }

// libFuzzer calls from one thread.
nonisolated(unsafe) private var batch = Batch()

/// Past every buffer: what comes next ends the process.
private func tell(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
}

private struct Batch {
    private static let size = 200

    private var entries: [(name: String, value: String)] = []
    private let file = getenv("FUZZ_FILE").map { String(cString: $0) }
    private let connection = getenv("FUZZ_CONNINFO").map { PQconnectdb(String(cString: $0)) } ?? nil

    mutating func add(_ name: String, _ value: String) {
        guard let file, let connection else { return }
        if entries.isEmpty && PQstatus(connection) != CONNECTION_OK {
            preconditionFailure("no server: \(String(cString: PQerrorMessage(connection)))")
        }
        entries.append((name, value))
        guard entries.count == Self.size else { return }
        let errors = check(entries, file, connection)
        if !errors.isEmpty {
            // Which of them it was.
            for entry in entries {
                for error in check([entry], file, connection) {
                    tell("\(error): name \(entry.name.debugDescription), value \(entry.value.debugDescription)")
                }
            }
            preconditionFailure("PostgreSQL read another configuration than was written")
        }
        entries = []
    }

    /// What PostgreSQL reads otherwise than it was written.
    private func check(
        _ entries: [(name: String, value: String)], _ file: String, _ connection: OpaquePointer
    ) -> [String] {
        var parameters = ParameterMap()
        for (index, entry) in entries.enumerated() {
            parameters["fuzz.v\(index)"] = entry.value
            parameters[entry.name] = entry.value
            parameters["fuzz.\(entry.name)"] = entry.value
        }
        for index in entries.indices { parameters["fuzz.v\(index)"] = entries[index].value }
        let text = ConfigurationText.main(
            include: "empty.conf", parameters: parameters, hostBasedAuthenticationFile: "h", identityFile: "i",
            recovery: ["restore_command": entries[0].value])
        write(text, file)
        return syntaxErrors(connection) + otherValues(entries, connection)
    }

    private func write(_ text: String, _ file: String) {
        guard let stream = fopen(file, "w") else { preconditionFailure("cannot write \(file)") }
        let bytes = Array(text.utf8)
        precondition(
            fwrite(bytes, 1, bytes.count, stream) == bytes.count && fclose(stream) == 0, "cannot write \(file)")
    }

    private func syntaxErrors(_ connection: OpaquePointer) -> [String] {
        rows("SELECT error, sourceline FROM pg_file_settings WHERE error LIKE 'syntax error%'", connection)
            .map { "\($0[0]) at line \($0[1])" }
    }

    private func otherValues(_ entries: [(name: String, value: String)], _ connection: OpaquePointer) -> [String] {
        let query = "SELECT name, setting FROM pg_file_settings WHERE name ~ '^fuzz\\.v[0-9]+$'"
        let read = Dictionary(rows(query, connection).map { ($0[0], $0[1]) }, uniquingKeysWith: { $1 })
        return entries.indices.compactMap { index in
            isSame((read["fuzz.v\(index)"] ?? "none").utf8, onOneLine(entries[index].value)) ? nil : "another value"
        }
    }

    private func rows(_ query: String, _ connection: OpaquePointer) -> [[String]] {
        let result = PQexec(connection, query)
        defer { PQclear(result) }
        precondition(PQresultStatus(result) == PGRES_TUPLES_OK, String(cString: PQerrorMessage(connection)))
        return (0..<PQntuples(result)).map { row in
            (0..<PQnfields(result)).map { String(cString: PQgetvalue(result, row, $0)) }
        }
    }
}
