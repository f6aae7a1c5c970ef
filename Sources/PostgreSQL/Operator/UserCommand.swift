import ClusterModel
import Glibc
import Logging
import Ports
import Posix

/// A command of the operator's: how it is run, and how the log tells of it (docs/callbacks.md).
enum UserCommand {
    /// More lines than this of one run do not go to the log.
    private static let longestTale = 200

    /// Every variable of ours that holds a password, a token or the whole configuration is taken away, as is the socket
    /// of the service manager; nil removes. Everything else is inherited.
    static func environment(_ entries: [String] = ProcessEnvironment.entries) -> [String: String?] {
        var changes: [String: String?] = [:]
        for entry in entries {
            let parts = entry.split(atByte: "=", maxSplits: 1)
            guard parts.count == 2, isPrivate(String(parts[0]), String(parts[1])) else { continue }
            changes.updateValue(nil, forKey: String(parts[0]))
        }
        return changes
    }

    /// The changes by which a command that the server runs as well (`archive_command`, `restore_command`) has from us
    /// what it has from there.
    static func environmentOfServer(_ entries: [String] = ProcessEnvironment.entries) -> [String: String?] {
        let given = PostmasterEnvironment.filtered(entries)
        var changes: [String: String?] = [:]
        for entry in entries where !given.contains(entry) {
            changes.updateValue(nil, forKey: String(entry.prefix { $0 != "=" }))
        }
        for entry in given where !entries.contains(entry) {
            let parts = entry.split(atByte: "=", maxSplits: 1)
            if parts.count == 2 { changes.updateValue(String(parts[1]), forKey: String(parts[0])) }
        }
        return changes
    }

    private static func isPrivate(_ name: String, _ value: String) -> Bool {
        if ["NOTIFY_SOCKET", "PGPASSWORD", "PATRONI_CONFIGURATION"].contains(name) { return true }
        guard name.hasPrefix("PATRONI_") else { return false }
        let isNamedSo = ["PASSWORD", "TOKEN", "AUTH", "ACLS"].contains { name.utf8.firstRange(of: $0.utf8) != nil }
        return isNamedSo || Secrets.masked(value) != value
    }

    /// Runs it to its end; each line that it says goes to the log under `name`. Throws where it cannot be started, is
    /// late or is cancelled, not for a bad status.
    static func run(
        _ name: String, _ words: [String], _ more: [String] = [], environment: [String: String?] = [:],
        with tools: ToolRunner, deadline: BootInstant, endsAtOnce: Bool = false, log: Logger
    ) async throws(PostgreSQLError) -> Int32 {
        guard let program = words.first else { throw .failed("\(name) is empty") }
        let tale = Tale(name: name, limit: longestTale, log: log)
        var invocation = ToolRunner.Invocation(
            program: program, arguments: words.dropFirst() + more,
            environment: Self.environment().merging(environment) { $1 }, deadline: deadline, outputLimit: 4096,
            onLine: { tale.tell($0) })
        invocation.endsAtOnce = endsAtOnce
        log.info("\(name): \(lastComponent(program)) begins")
        return try await tools.run(invocation).status
    }
}

/// What a command says, line by line, until it has said too much.
private final class Tale: @unchecked Sendable {
    // Sendable by hand: the one thread that reads the output tells.
    private let name: String
    private var left: Int
    private let log: Logger

    init(name: String, limit: Int, log: Logger) {
        self.name = name
        left = limit
        self.log = log
    }

    func tell(_ line: String) {
        guard left > 0 else { return }
        left -= 1
        log.info("\(name): \(line)")
        if left == 0 { log.warning("\(name): what it says further is left out") }
    }
}
