import ClusterModel
import Glibc
import Logging
import Ports
import Posix

/// What the server refuses to read is left out: one bad value must not keep it from starting, nor from reading the
/// others.
extension Operator {
    func writer(of configuration: LocalPostgreSQLConfiguration) -> ConfigurationWriter {
        var writer = ConfigurationWriter(configuration: configuration) { [log] in log.warning("\($0)") }
        writer.refusedRules = instance.remember { $0.refusedRules }
        return writer
    }

    /// The configuration without what this version does not know, numbers within their bounds, and without the values
    /// that the server has refused.
    func usable(_ given: LocalPostgreSQLConfiguration? = nil) async -> LocalPostgreSQLConfiguration {
        let given = given ?? configuration
        var result = given
        result.parameters["synchronous_standby_names"] = synchronousNames(given)
        result.parameters = await usable(result.parameters)
        result.recovery = await usable(result.recovery)
        return result
    }

    private func usable(_ parameters: ParameterMap) async -> ParameterMap {
        var judgement = ParameterRule.judge(parameters, version: directory.version)
        if !judgement.unknown.isEmpty, let described = await describedParameters() {
            for name in judgement.unknown where !described.contains(name.lowercased()) {
                judgement.kept[name] = nil
                let text = "\(name) is no parameter of this version of PostgreSQL: it is left out"
                judgement.notes.append(.init(parameter: name, text: text))
            }
        }
        let (notes, refused) = instance.remember { memory in
            (judgement.notes.filter { memory.toldOfParameters.insert($0).inserted }, memory.refusedParameters)
        }
        for note in notes { log.warning("\(note.text)") }
        for (name, value) in refused where judgement.kept[name] == value { judgement.kept[name] = nil }
        return judgement.kept
    }

    /// Asked once for each start: the program may be another one then. Nil where it does not say; the server itself
    /// refuses then what it does not know.
    private func describedParameters() async -> Set<String>? {
        if let known = instance.remember({ $0.describedParameters }) { return known }
        let invocation = ToolRunner.Invocation(
            program: instance.program("postgres"), arguments: ["--describe-config"],
            environment: Instance.plainLocale, deadline: BootClock.now() + .seconds(10))
        guard let text = try? await instance.tools.succeed(invocation) else { return nil }
        let names = DescribedParameters.names(in: text)
        instance.remember { $0.describedParameters = names }
        return names
    }

    // MARK: Asking the server

    /// What `postgres` itself says of a file.
    enum Reading: Sendable {
        case readable
        /// It names parameters of ours.
        case refused([String])
        /// The end of what it says.
        case unreadable(String)
        /// It could not be asked.
        case unknown
    }

    private func read(_ file: String, _ usable: LocalPostgreSQLConfiguration) async -> Reading {
        let invocation = ToolRunner.Invocation(
            program: instance.program("postgres"),
            arguments: ["-D", directory.path, "--config-file=\(file)", "-C", "data_directory"],
            environment: Instance.plainLocale, deadline: BootClock.now() + .seconds(10))
        guard let output = try? await instance.tools.run(invocation) else { return .unknown }
        if output.status == 0 { return .readable }
        let ours = RefusedParameters.find(in: output.text).filter {
            usable.parameters[$0] != nil || usable.recovery[$0] != nil
        }
        return ours.isEmpty ? .unreadable(String(output.text.suffix(500))) : .refused(ours)
    }

    /// Remembers what was refused; whether any of it is new.
    private func note(_ names: [String], of usable: LocalPostgreSQLConfiguration) -> Bool {
        var isNew = false
        for name in names {
            guard let value = usable.parameters[name] ?? usable.recovery[name],
                instance.remember({ $0.refusedParameters.updateValue(value, forKey: name) }) != value
            else { continue }
            isNew = true
            log.error("PostgreSQL refuses \(name) = \(Secrets.masked(value)): it is left out")
        }
        return isNew
    }

    /// Each round finds at least one; more bad parameters than this are a broken configuration.
    private static let roundsMax = 20

    /// What `postgres` would not read of the new configuration is known and left out afterwards: nil, or why even the
    /// rest cannot be read although the present file can. Nothing is replaced.
    func findRefusals(
        _ role: ConfigurationWriter.Role, of given: LocalPostgreSQLConfiguration
    ) async throws(PostgreSQLError) -> String? {
        for _ in 0..<Self.roundsMax {
            let usable = await usable(given)
            guard let candidate = try writer(of: usable).writeCandidate(role, parameters: usable.parameters) else {
                return nil
            }
            let reading = await read(candidate, usable)
            unlink(candidate)
            switch reading {
            case .readable, .unknown: return nil
            case .refused(let names): if !note(names, of: usable) { return nil }
            case .unreadable(let why):
                if case .readable = await read(given.configurationFile, usable) { return why }
                return nil
            }
        }
        return nil
    }

    /// Writes the files of a running server, once `postgres` has read them: what it cannot read does not take the place
    /// of what it could. Whether anything changed.
    func writeReadable(_ role: ConfigurationWriter.Role) async throws(PostgreSQLError) -> Bool {
        let given = configuration
        if let why = try await findRefusals(role, of: given) {
            throw .failed("PostgreSQL cannot read the new configuration, the present files stay: \(why)")
        }
        return try await writeTried(role, given)
    }

    private func writeTried(
        _ role: ConfigurationWriter.Role, _ given: LocalPostgreSQLConfiguration
    ) async throws(PostgreSQLError) -> Bool {
        // Removed under a running server: what is written there would keep a copy out of the directory.
        guard Files.kind(directory.controlFile) != .missing else {
            throw .failed("there is no cluster in \(directory.path): no configuration is written there")
        }
        let usable = await usable(given)
        let isChanged = try writer(of: usable).write(role, parameters: usable.parameters)
        // Unless another one has come meanwhile.
        instance.remember { if $0.configuration == given { $0.readable = given } }
        return isChanged
    }

    /// The same for an operation that must not fail because somebody has configured what cannot be read: the lines that
    /// it is about change in the present file, and the rest waits. What was read before is not tried again: a promotion
    /// waits for this.
    func writeOrAmend(_ role: ConfigurationWriter.Role) async throws(PostgreSQLError) -> Bool {
        let given = configuration
        guard instance.remember({ $0.readable }) != given, let why = try await findRefusals(role, of: given) else {
            return try await writeTried(role, given)
        }
        log.warning("PostgreSQL cannot read the new configuration, the present one goes on: \(why)")
        let usable = await usable(given)
        return try writer(of: usable).amend(role, names: usable.parameters["synchronous_standby_names"])
    }

    /// After a start that failed: leaves out each parameter that the server names as wrong. Whether there was any.
    func dropRefusedParameters(_ role: ConfigurationWriter.Role) async -> Bool {
        var dropped = false
        for _ in 0..<Self.roundsMax {
            let usable = await usable()
            guard case .refused(let names) = await read(configuration.configurationFile, usable),
                note(names, of: usable)
            else { return dropped }
            dropped = true
            let fewer = await self.usable()
            _ = try? writer(of: fewer).write(role, parameters: fewer.parameters)
        }
        return dropped
    }
}

/// The parameters that PostgreSQL names in its complaints about a file.
enum RefusedParameters {
    /// `unrecognized configuration parameter "x"`, `invalid value for parameter "x": "y"`,
    /// `70000 is outside the valid range for parameter "port" (1 .. 65535)`, …
    static func find(in text: String) -> [String] {
        var names: [String] = []
        for line in text.split(separator: "\n") {
            guard let mark = line.firstRange(of: "parameter \"") else { continue }
            let name = String(line[mark.upperBound...].prefix { $0 != "\"" }).lowercased()
            if !name.isEmpty, !names.contains(name) { names.append(name) }
        }
        return names
    }
}
