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
    /// What was left out, in words for the log.
    public let warnings: [String]
    /// For `~/pgpass`; nil where HOME is unset.
    let homeDirectory: String?
    let settings: OriginatedTree

    /// The tree as configured.
    public var tree: JSONObject { settings.root }
    /// Only what was read from files can be read again.
    public var isReloadable: Bool { if case .path = source { true } else { false } }

    /// Whether `other` says the same, as the peer compares (configuration.md §2.5).
    public func isSame(as other: LocalConfiguration) -> Bool {
        JSONValue.object(tree).deepEquals(.object(other.tree))
    }

    /// Reads the configuration (configuration.md §1.2): `path` where it exists, else `PATRONI_CONFIGURATION`, else the
    /// other variables alone. `environment` is what the process was started with. Blocking: it reads files.
    public static func load(
        path: String?, environment: [String: String]
    ) throws(ConfigurationError) -> LocalConfiguration {
        let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 }
        if let path, Files.exists(path) {
            let variables = EnvironmentVariables(environment)
            var settings = try readFiles(path)
            settings.apply(patch: variables.originated)
            return LocalConfiguration(
                source: .path(path), warnings: variables.warnings, homeDirectory: home, settings: settings)
        }
        let missing = path.map { ["\($0) does not exist; the environment is used alone"] } ?? []
        if let text = environment[EnvironmentVariables.wholeConfiguration], !text.isEmpty {
            let name = EnvironmentVariables.wholeConfiguration
            let settings = try read(Array(text.utf8), name) { _ in .environment(name) }
            return LocalConfiguration(source: .variable, warnings: missing, homeDirectory: home, settings: settings)
        }
        let variables = EnvironmentVariables(environment)
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
        var settings = try readFile(name, Array(text.utf8))
        let variables = EnvironmentVariables(environment)
        settings.apply(patch: variables.originated)
        return LocalConfiguration(
            source: .path(name), warnings: variables.warnings, homeDirectory: environment["HOME"],
            settings: settings)
    }

    private static func readFiles(_ path: String) throws(ConfigurationError) -> OriginatedTree {
        var settings = OriginatedTree()
        for name in try fileNames(path) {
            let bytes = try reading { () throws(SystemError) in try Files.read(name, limit: YAML.Limit.bytes) }
            settings.apply(patch: try readFile(name, bytes))
        }
        return settings
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

    private static func readFile(_ name: String, _ bytes: [UInt8]) throws(ConfigurationError) -> OriginatedTree {
        try read(bytes, name) { .file(name, line: $0.line) }
    }

    private static func read(
        _ bytes: [UInt8], _ name: String, _ origin: (YAMLMark) -> SettingOrigin
    ) throws(ConfigurationError) -> OriginatedTree {
        let document: YAML.Document
        do throws(YAMLError) { document = try YAML.parse(bytes: bytes) } catch {
            throw ConfigurationError("\(name):\(error.mark.line):\(error.mark.column): \(error.message)")
        }
        guard case .object(let root) = document.value else {
            throw ConfigurationError("invalid config file \(name): it does not contain a mapping of keys to values")
        }
        return OriginatedTree(root) { document.marks[$0].map(origin) }
    }
}
