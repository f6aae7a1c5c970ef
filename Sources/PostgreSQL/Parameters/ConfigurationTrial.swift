public import ClusterModel
import Glibc
import Posix

extension LocalPostgreSQL {
    /// What the PostgreSQL here would refuse of a dynamic configuration, or not start with: each key with its reason.
    /// Whatever is not known within a few seconds is no objection, and where there is no data directory nothing is.
    public func objections(to document: JSONObject) async -> [DynamicDocumentRules.Objection] {
        let configuration: LocalPostgreSQLConfiguration
        do { configuration = try convert(document) } catch {
            return [DynamicDocumentRules.Objection(key: "", reason: "\(error)")]
        }
        let trial = ConfigurationTrial(instance: instance, configuration: configuration)
        return await trial.objections()
    }
}

/// Tries a configuration on the programs at hand without putting it into force.
private struct ConfigurationTrial {
    let instance: Instance
    let configuration: LocalPostgreSQLConfiguration

    private typealias Objection = DynamicDocumentRules.Objection

    func objections() async -> [DynamicDocumentRules.Objection] {
        let version = instance.dataDirectory.version
        guard version > 0 else { return [] }
        var found = await judged(configuration.parameters, "parameters", version)
        for (role, key) in Self.roles {
            guard let settings = configuration.byRole[role] else { continue }
            found += await judged(settings.parameters, "parameters_\(key)", version)
            found += Self.rules(settings.hostBasedAuthentication, "pg_hba_\(key)")
        }
        found += Self.rules(configuration.hostBasedAuthentication, "pg_hba")
        found += StartRule.objections(configuration.parameters, version: version, ground).map { name, reason in
            Objection(key: "postgresql.parameters.\(name)", reason: reason)
        }
        if found.isEmpty { found = await asked() }
        var named: Set<String> = []
        return found.filter { named.insert($0.key).inserted }
    }

    private static let roles: [(LocalPostgreSQLConfiguration.Role, String)] = [
        (.primary, "primary"), (.replica, "replica"), (.standbyLeader, "standby_leader"),
    ]

    private func judged(_ parameters: ParameterMap, _ section: String, _ version: Int) async -> [Objection] {
        let judgement = ParameterRule.judge(parameters, version: version)
        var found = judgement.notes.map { note in
            Objection(key: "postgresql.\(section).\(note.parameter)", reason: note.text)
        }
        if !judgement.unknown.isEmpty, let described = await described() {
            for name in judgement.unknown where !described.contains(name.lowercased()) {
                found.append(
                    Objection(
                        key: "postgresql.\(section).\(name)",
                        reason: "is no parameter of PostgreSQL \(version / 10_000)"))
            }
        }
        return found
    }

    private func described() async -> Set<String>? {
        if let known = instance.remember({ $0.describedParameters }) { return known }
        let text = try? await instance.tools.succeed(invocation(["--describe-config"]))
        return text.map(DescribedParameters.names)
    }

    private func invocation(_ arguments: [String]) -> ToolRunner.Invocation {
        ToolRunner.Invocation(
            program: instance.program("postgres"), arguments: arguments, environment: Instance.plainLocale,
            deadline: BootClock.now() + .seconds(5))
    }

    private static func rules(_ lines: [String]?, _ key: String) -> [Objection] {
        (lines ?? []).enumerated().compactMap { index, line in
            AccessRuleText.mistake(in: line).map { Objection(key: "postgresql.\(key).\(index)", reason: $0) }
        }
    }

    /// What the server finds here to start with.
    private var ground: StartRule.Ground {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let page = sysconf(Int32(_SC_PAGESIZE))
        let memory = pages > 0 && page > 0 ? Int64(pages) * Int64(page) : nil
        return StartRule.Ground(memory: memory, libraries: libraries())
    }

    /// The names of the libraries that lie beside the server's own; nil where that place is not known.
    private func libraries() -> Set<String>? {
        guard !configuration.binDirectory.isEmpty else { return nil }
        for place in ["lib", "lib/postgresql", "lib64/postgresql", "lib64"] {
            let names = (try? Files.list("\(configuration.binDirectory)/../\(place)")) ?? []
            if names.contains("plpgsql.so") {
                return Set(names.filter { $0.hasSuffix(".so") }.map { String($0.dropLast(3)) })
            }
        }
        return nil
    }

    // MARK: Asking the server itself

    /// `postgres -C` upon a file with these parameters. The file stands in the data directory, where only PostgreSQL's
    /// user looks: values are nobody else's business, so they are on no command line.
    private func asked() async -> [Objection] {
        let included = included
        let text =
            (included.map { "include \(ConfigurationText.quote($0))\n" } ?? "")
            + ConfigurationText.parameters(configuration.parameters)
        let name = ".matriarch-trial-\(getpid())-\(BootClock.now().nanoseconds).conf"
        let path = "\(instance.dataDirectory.path)/\(name)"
        let writer = ConfigurationWriter(configuration: configuration) { _ in }
        guard (try? writer.put(text, path, mode: 0o600)) != nil else { return [] }
        defer { unlink(path) }
        let arguments = ["-D", instance.dataDirectory.path, "--config-file=\(path)", "-C", "data_directory"]
        guard let output = try? await instance.tools.run(invocation(arguments)), output.status != 0 else { return [] }
        let found = RefusedParameters.find(in: output.text).compactMap { name -> Objection? in
            guard let value = configuration.parameters[name] else { return nil }
            return Objection(
                key: "postgresql.parameters.\(name)",
                reason: "PostgreSQL refuses '\(Secrets.masked(value))'")
        }
        guard found.isEmpty, let included, output.text.firstRange(of: included) != nil else { return found }
        return [Objection(key: "postgresql.custom_conf", reason: "PostgreSQL here cannot read \(included)")]
    }

    /// The file that takes the place of the base, as the server would find it.
    private var included: String? {
        configuration.customConfiguration.map {
            $0.hasPrefix("/") ? $0 : "\(configuration.configurationDirectory)/\($0)"
        }
    }
}

/// What a server of these parameters would not start with although it can read each of them. Pure.
enum StartRule {
    struct Ground: Sendable {
        /// Bytes; nil where it is not known.
        var memory: Int64?
        /// Names of libraries that can be loaded; nil where they are not known.
        var libraries: Set<String>?
    }

    static func objections(
        _ parameters: ParameterMap, version: Int, _ ground: Ground
    ) -> [(name: String, reason: String)] {
        var found: [(name: String, reason: String)] = []
        let most = number(parameters, "max_connections") ?? 100
        let kept = (number(parameters, "superuser_reserved_connections") ?? 3)
        let reserved = version >= 160_000 ? number(parameters, "reserved_connections") ?? 0 : 0
        if kept + reserved >= most {
            let name = reserved > 0 && kept < most ? "reserved_connections" : "superuser_reserved_connections"
            found.append((name, "keeps \(kept + reserved) connections of \(most) (max_connections): none is left"))
        }
        if let memory = ground.memory, let bytes = sharedBuffers(parameters), bytes > memory {
            found.append(
                ("shared_buffers", "is \(bytes >> 20) MB, more than the \(memory >> 20) MB of memory of this host"))
        }
        if let libraries = ground.libraries {
            for name in names(parameters["shared_preload_libraries"] ?? "") where !libraries.contains(name) {
                found.append(("shared_preload_libraries", "\(name) is not installed on this host"))
            }
        }
        return found
    }

    private static func number(_ parameters: ParameterMap, _ name: String) -> Int64? {
        parameters[name].flatMap { ValueParsing.integer($0) }
    }

    private static func sharedBuffers(_ parameters: ParameterMap) -> Int64? {
        guard let text = parameters["shared_buffers"] else { return nil }
        // Without a unit it counts pages of 8 kB.
        if let pages = ValueParsing.integer(text) { return pages.multipliedReportingOverflow(by: 8192).partialValue }
        return ValueParsing.integer(text, unit: .bytes)
    }

    /// The names of a list; what is a path, or found through another setting, is not judged.
    private static func names(_ list: String) -> [String] {
        list.split(atByte: ",").map { part in
            let text = part.withoutBlanks
            return String(text.hasPrefix("$libdir/") ? text.dropFirst(8) : text)
        }.filter { name in !name.isEmpty && !name.hasByte("/") && !name.hasByte("\"") && !name.hasByte("'") }
            .map { $0.hasSuffix(".so") ? String($0.dropLast(3)) : $0 }
    }
}
