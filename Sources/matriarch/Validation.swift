import ClusterAccess
import ClusterModel
import Configuration
import Posix
import PostgreSQL

/// `--validate-config`: says what is wrong, with the configuration or with this host, or nothing.
enum Validation {
    static func run(_ command: Arguments) async -> Int32 {
        do {
            let (_, effective) = try await Daemon.read(command.configuration)
            let ignoresPorts = command.ignoresListenPorts
            var (problems, warnings) = try await offPool {
                HostCheck.findings(effective, ignoringListenPorts: ignoresPorts)
            }
            problems = effective.bootstrapProblems + problems
            if problems.isEmpty { problems = await otherVersion(effective) }
            warnings = effective.warnings + Unsupported.warnings(effective) + warnings
            if problems.isEmpty { warnings += await unknownParameters(effective) }
            if !problems.isEmpty { throw ConfigurationError(problems, besides: warnings) }
            warn(warnings)
            if command.prints { Terminal.output(String(effective.listing.withoutBlanks)) }
            return 0
        } catch {
            if let error = error as? ConfigurationError { warn(error.warnings) }
            Terminal.error("\(error)")
            return 1
        }
    }

    private static func warn(_ warnings: [String]) {
        for warning in warnings { Terminal.error("warning: \(warning.onOneLine)") }
    }

    /// Parameters that the programs at hand do not have; a server would be started without them.
    private static func unknownParameters(_ effective: EffectiveConfiguration) async -> [String] {
        guard let helper = try? GuardianWiring.program() else { return [] }
        let known = await ServerProgram.parameters(
            serverProgram(effective), helper: helper, deadline: BootClock.now() + .seconds(5))
        guard let known else { return [] }
        return effective.parameters(otherThan: known).map(\.description)
    }

    private static func serverProgram(_ effective: EffectiveConfiguration) -> String {
        let name = effective.postgreSQL.binaryNames.first { $0.name == "postgres" }?.value ?? "postgres"
        let place = effective.postgreSQL.binDirectory
        return place.isEmpty ? name : "\(place)/\(name)"
    }

    /// A data directory that the programs at hand cannot start.
    private static func otherVersion(_ effective: EffectiveConfiguration) async -> [ConfigurationProblem] {
        let directory = effective.postgreSQL.dataDirectory
        let file = "\(directory)/PG_VERSION"
        guard let found = try? await offPool({ try Files.readText(file) }).withoutBlanks, !found.isEmpty,
            let helper = try? GuardianWiring.program()
        else { return [] }
        let program = serverProgram(effective)
        let limit = BootClock.now() + .seconds(5)
        guard let version = await ServerProgram.majorVersion(program, helper: helper, deadline: limit),
            version != String(found)
        else { return [] }
        let message =
            "\(Secrets.shown(directory)) is of PostgreSQL \(Secrets.shown(String(found))), "
            + "\(Secrets.shown(program)) of \(version)"
        return [effective.problem("postgresql.data_dir", message)]
    }
}
