import CPlatform
import Glibc
public import Ports
import Posix

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
