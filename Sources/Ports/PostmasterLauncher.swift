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
    public var isStandby: Bool

    public init(
        executable: String, arguments: [String], environment: [String], workingDirectory: String,
        isStandby: Bool = false
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.isStandby = isStandby
    }
}

/// The environment of a postmaster (configuration.md §5.2): ours, without what belongs to the daemon alone.
public enum PostmasterEnvironment {
    public static func filtered(_ environment: [String], staleOwner: Int32? = nil) -> [String] {
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
}
