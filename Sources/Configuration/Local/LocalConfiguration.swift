public import ClusterModel
import Posix

/// What stands on this node: the file or the directory of files, and the variables over it, before any default.
public struct LocalConfiguration: Sendable, Hashable {
    /// Where it was read from.
    public enum Source: Sendable, Hashable {
        /// A file or a directory of files.
        case path(String)
        /// `PATRONI_CONFIGURATION`.
        case variable
        /// The other `PATRONI_*` variables alone.
        case environment
    }

    public let source: Source
    /// What was left out, or means something else than it seems to, in words for the log.
    public private(set) var warnings: [String]
    /// Files of passwords that cannot be read. Who needs those passwords goes no further.
    private(set) var problems: [ConfigurationProblem] = []
    /// For `~/pgpass`; nil where HOME is unset.
    let homeDirectory: String?
    private(set) var settings: OriginatedTree

    /// The tree as configured.
    public var tree: JSONObject { settings.root }
    /// Only what was read from files can be read again.
    public var isReloadable: Bool { if case .path = source { true } else { false } }

    /// Whether `other` says the same, as Patroni compares (configuration.md §2.5).
    public func isSame(as other: LocalConfiguration) -> Bool {
        JSONValue.object(tree).deepEquals(.object(other.tree))
    }

    /// Reads the configuration (configuration.md §1.2): `path` where it exists, else `PATRONI_CONFIGURATION`, else the
    /// other variables alone. `environment` is what the process was started with. Blocking: it reads files.
    public static func load(
        path: String?, environment: [String: String]
    ) throws(ConfigurationError) -> LocalConfiguration {
        let files = SecretFiles(environment)
        let whole = files.environment[EnvironmentVariables.wholeConfiguration].flatMap { $0.isEmpty ? nil : $0 }
        var configuration = try load(path, files.environment, whole)
        configuration.fill(files)
        configuration.problems += notText(environment)
        return configuration
    }

    /// Reads the same files again. Without them there is nothing to go by: the variables alone are another
    /// configuration than the one that runs.
    public func again(environment: [String: String]) throws(ConfigurationError) -> LocalConfiguration {
        guard case .path(let path) = source else { return self }
        guard try LocalConfiguration.isThere(path) else {
            throw ConfigurationError("\(path) does not exist any more; what was read before holds on")
        }
        let fresh = try LocalConfiguration.load(path: path, environment: environment)
        guard fresh.source == source else { throw ConfigurationError("\(path) has just gone") }
        return fresh
    }

    /// A file that cannot be looked at is not one that is missing: without it the variables alone would count.
    private static func isThere(_ path: String) throws(ConfigurationError) -> Bool {
        try reading { () throws(SystemError) in try Files.look(path, followingLinks: true) } != .missing
    }

    private static func load(
        _ path: String?, _ environment: [String: String], _ whole: String?
    ) throws(ConfigurationError) -> LocalConfiguration {
        let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 }
        if let path, try isThere(path) {
            let variables = EnvironmentVariables(environment)
            var (settings, warnings) = try readFiles(path)
            if settings.root.isEmpty, variables.tree.isEmpty {
                throw ConfigurationError("Config is empty: \(warnings.first ?? path), and no PATRONI_* variable is set")
            }
            settings.apply(patch: variables.originated)
            if whole != nil {
                warnings.append("\(EnvironmentVariables.wholeConfiguration) does not count, because \(path) is there")
            }
            return LocalConfiguration(
                source: .path(path), warnings: warnings + variables.warnings, homeDirectory: home, settings: settings)
        }
        let missing = path.map { ["\($0) does not exist; the environment is used alone"] } ?? []
        let variables = EnvironmentVariables(environment)
        if let whole {
            let name = EnvironmentVariables.wholeConfiguration
            let (settings, warnings) = try read(Array(whole.utf8), name) { _ in .environment(name) }
            let others = Set(variables.names.values).sorted()
            let passedOver = others.isEmpty ? [] : ["\(others.joined(separator: ", ")) do not count beside \(name)"]
            return LocalConfiguration(
                source: .variable, warnings: missing + warnings + passedOver, homeDirectory: home, settings: settings)
        }
        guard !variables.tree.isEmpty else {
            let found = path.map { "\($0) does not exist" } ?? "no file was named"
            throw ConfigurationError("Config is empty: \(found) and no PATRONI_* variable is set")
        }
        return LocalConfiguration(
            source: .environment, warnings: missing + variables.warnings, homeDirectory: home,
            settings: variables.originated)
    }

    /// A configuration that is at hand as text, for tools and tests.
    public static func parse(
        _ text: String, name: String = "patroni.yml", environment: [String: String] = [:]
    ) throws(ConfigurationError) -> LocalConfiguration {
        var (settings, warnings) = try readFile(name, Array(text.utf8))
        let variables = EnvironmentVariables(environment)
        settings.apply(patch: variables.originated)
        return LocalConfiguration(
            source: .path(name), warnings: warnings + variables.warnings, homeDirectory: environment["HOME"],
            settings: settings)
    }

    /// A problem that stands nowhere, because a key is missing, is that of its section, or of where all begins.
    func located(_ problem: ConfigurationProblem) -> ConfigurationProblem {
        if problem.origin != nil { return problem }
        let first = settings.root.keys.first.map { SettingPath([$0]) }
        let origin = settings.origin(of: problem.path) ?? first.flatMap { settings.origin(of: $0) }
        return ConfigurationProblem(problem.path, problem.message, origin)
    }

    /// Passwords that stand in files.
    private mutating func fill(_ files: SecretFiles) {
        warnings += files.warnings
        problems += files.problems
        let filled = SecretFiles.fill(&settings)
        warnings += filled.warnings
        problems += filled.problems
    }

    /// Variables that were no UTF-8: what took the place of their bytes is not what the operator has written.
    private static func notText(_ environment: [String: String]) -> [ConfigurationProblem] {
        environment.sorted { $0.key < $1.key }.compactMap { name, value in
            guard name.hasPrefix(EnvironmentVariables.prefix), value.unicodeScalars.contains("\u{FFFD}"),
                EnvironmentTable.reads(String(name.dropFirst(EnvironmentVariables.prefix.count)))
            else { return nil }
            return ConfigurationProblem(SettingPath(), "holds bytes that are no text in UTF-8", .environment(name))
        }
    }

    private typealias Reading = (settings: OriginatedTree, warnings: [String])

    private static func readFiles(_ path: String) throws(ConfigurationError) -> Reading {
        let names = try fileNames(path)
        var settings = OriginatedTree()
        var warnings = names.isEmpty ? ["no file in \(path) ends in .yml or .yaml"] : []
        for name in names {
            let bytes = try reading { () throws(SystemError) in try Files.read(name, limit: YAML.Limit.bytes) }
            let file = try readFile(name, bytes)
            settings.apply(patch: file.settings)
            warnings += file.warnings
        }
        return (settings, warnings)
    }

    /// The file itself, or the YAML files of a directory in the order of their names.
    private static func fileNames(_ path: String) throws(ConfigurationError) -> [String] {
        switch Files.kind(followingLinks: path) {
        case .file: return [path]
        case .directory:
            return try reading { () throws(SystemError) in try Files.list(path) }
                .filter { $0.hasSuffix(".yml") || $0.hasSuffix(".yaml") }
                .map { "\(path)/\($0)" }
                .filter { Files.kind(followingLinks: $0) == .file }
        case .missing, .symbolicLink, .other:
            throw ConfigurationError("invalid config path \(path): neither a file nor a directory")
        }
    }

    private static func reading<Value>(
        _ body: () throws(SystemError) -> Value
    ) throws(ConfigurationError) -> Value {
        do throws(SystemError) { return try body() } catch { throw ConfigurationError(error.description) }
    }

    private static func readFile(_ name: String, _ bytes: [UInt8]) throws(ConfigurationError) -> Reading {
        try read(bytes, name) { .file(name, line: $0.line) }
    }

    private static func read(
        _ bytes: [UInt8], _ name: String, _ origin: (YAMLMark) -> SettingOrigin
    ) throws(ConfigurationError) -> Reading {
        let document: YAML.Document
        do throws(YAMLError) { document = try YAML.parse(bytes: bytes) } catch {
            throw ConfigurationError("\(name):\(error.mark.line):\(error.mark.column): \(error.message)")
        }
        guard case .object(let root) = document.value else {
            throw ConfigurationError("invalid config file \(name): it does not contain a mapping of keys to values")
        }
        return (
            OriginatedTree(root) { document.marks[$0].map(origin) }, surprises(document).map { "\(origin($0)): \($1)" }
        )
    }

    /// What YAML 1.1 reads otherwise than most people.
    private static func surprises(_ document: YAML.Document) -> [(YAMLMark, String)] {
        let doubled = document.doubled.map { ($0.mark, "\($0.key) stands twice in one mapping: the last one counts") }
        let spelled = document.spellings.sorted { $0.key < $1.key }.compactMap { path, text -> (YAMLMark, String)? in
            guard let key = SettingTable.key(at: path), key.kind.isText, let mark = document.marks[path],
                let value = OriginatedTree.value(at: path, in: document.value.object ?? JSONObject())
            else { return nil }
            let isSecret = Secrets.isSecret(path.elements)
            let read = isSecret ? "another number" : "the number \(value.comparableText)"
            let shown = isSecret ? "the value" : text
            return (mark, "\(path): \(shown) is read as \(read): quote it if a text is meant")
        }
        return doubled + spelled
    }
}
