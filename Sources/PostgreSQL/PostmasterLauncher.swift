import CPlatform
import Glibc
public import Ports
import Posix

/// The one port through which a postmaster is started and signalled: the guardian stands behind it as the postmaster's
/// parent (architecture.md §4), or, with `guardian.mode: off`, the daemon does it itself.
public protocol PostmasterLauncher: Sendable {
    /// Starts a postmaster that outlives the daemon and is nobody's child of ours; its pid.
    func launch(_ command: PostmasterCommand) async throws(PostgreSQLError) -> Int32

    /// Sends `signal` to a postmaster or a child of it; false where the process is gone or not ours to signal.
    func signal(_ signal: Int32, to pid: Int32) async -> Bool
}

/// How a postmaster is started.
public struct PostmasterCommand: Sendable, Hashable {
    /// An absolute path.
    public var executable: String
    /// Without the program's own name.
    public var arguments: [String]
    /// `NAME=value`.
    public var environment: [String]
    public var workingDirectory: String
    /// It starts in recovery and stays there: no lease is needed for it.
    public var isStandby = false
}

/// Starts the postmaster in a session of its own, as a child of init; what it says goes to our standard error.
public struct DetachedLauncher: PostmasterLauncher {
    public init() {}

    public func launch(_ command: PostmasterCommand) async throws(PostgreSQLError) -> Int32 {
        var arguments = ([command.executable] + command.arguments).map { strdup($0) } + [nil]
        var environment = command.environment.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var pid: pid_t = 0
        // Nothing to read, and what it says goes where our own words go.
        let stdio: [Int32] = [-1, 2, 2]
        let code = ms_spawn_detached(
            command.executable, &arguments, &environment, command.workingDirectory, stdio, &pid)
        guard code == 0 else {
            throw .failed("cannot start \(command.executable): \(SystemError.message(code))")
        }
        return pid
    }

    public func signal(_ signal: Int32, to pid: Int32) async -> Bool { kill(pid, signal) == 0 }
}

/// The environment of a postmaster (configuration.md §5.2): ours, without what belongs to the daemon alone.
enum PostmasterEnvironment {
    static func filtered(_ environment: [String], staleOwner: Int32? = nil) -> [String] {
        var result: [String] = []
        for entry in environment {
            let name = entry.prefix { $0 != "=" }
            if name == "NOTIFY_SOCKET" || name.hasPrefix("PATRONI_") || name.hasPrefix("KUBERNETES_") { continue }
            if name == "MALLOC_ARENA_MAX", environment.contains(where: { $0.hasPrefix("PG_MALLOC_ARENA_MAX=") }) {
                continue
            }
            result.append(name == "PG_MALLOC_ARENA_MAX" ? String(entry.dropFirst(3)) : entry)
        }
        // PostgreSQL refuses to start over a pid file whose pid lives, unless it is told that the process is a
        // relative.
        if let staleOwner { result.append("PG_GRANDPARENT_PID=\(staleOwner)") }
        return result
    }

    /// The environment of this process.
    static var inherited: [String] {
        var result: [String] = []
        var at = environ
        while let entry = at.pointee {
            result.append(String(cString: entry))
            at += 1
        }
        return result
    }
}
