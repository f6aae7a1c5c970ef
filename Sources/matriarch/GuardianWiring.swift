import ClusterModel
import Configuration
import Glibc
import GuardianClient
import HighAvailability
import Logging
import Ports
import Posix
import PostgreSQL

/// The guardian as configured.
enum GuardianWiring {
    /// The program stands beside the daemon; without it the daemon does not start, rather than run unguarded in silence,
    /// or with helpers that outlive it.
    static func program() throws -> String {
        let program = try ownDirectory() + "/matriarch-guardian"
        guard access(program, X_OK) == 0 else {
            throw StartFailure(description: "\(program) is missing or cannot be executed; it belongs beside the daemon")
        }
        return program
    }

    /// Nil where it is off.
    static func client(_ effective: EffectiveConfiguration, logger: Logger) throws -> GuardianClient? {
        let settings = effective.guardian
        guard settings.isOn else { return nil }
        let program = try program()
        var options = GuardianClient.Options(
            executable: program, dataDirectory: effective.postgreSQL.dataDirectory)
        options.watchdog = WatchdogWiring.plan(effective)
        options.restartsDaemon = settings.restartsDaemon && !isUnderServiceManager
        return try GuardianClient(options, logger: logger)
    }

    /// systemd starts the daemon again by itself.
    private static var isUnderServiceManager: Bool { getenv("INVOCATION_ID") != nil || getenv("NOTIFY_SOCKET") != nil }

    private static func ownDirectory() throws -> String {
        guard let path = realpath("/proc/self/exe", nil) else {
            throw SystemError(call: "realpath", subject: "/proc/self/exe")
        }
        defer { free(path) }
        let text = String(cString: path)
        return String(text[..<(text.lastIndex(of: "/") ?? text.startIndex)])
    }
}

/// A guardian belongs to who works in its data directory: a daemon that is kept out of it has nothing to say there.
struct OwnGuardian: GuardianPort {
    let guardian: GuardianClient
    let postgreSQL: LocalPostgreSQL

    func tell(_ order: GuardOrder, deadline: BootInstant) async throws(GuardianError) -> GuardianStatus {
        guard postgreSQL.isKeptOut else { return try await guardian.tell(order, deadline: deadline) }
        switch order {
        // Nothing of ours runs.
        case .disarm: return GuardianStatus(pid: 0)
        case .enforce: throw GuardianError("the data directory is another daemon's", isRefusal: true)
        }
    }
}
