public import ClusterModel

/// What holds on this node: defaults, the dynamic configuration and the local one in one typed value, with the origin
/// of every key (configuration.md §1.4).
public struct EffectiveConfiguration: Sendable, Hashable {
    public let name: String
    public let scope: String
    /// Without slashes around it.
    public let namespace: String
    /// Adjusted to fit into the lease.
    public let timings: ClusterTimings
    public let restAPI: RestAPISettings
    public let ctl: CtlSettings
    public let store: StoreSettings
    public let postgreSQL: PostgreSQLSettings
    /// A node without one never makes a new cluster.
    public let bootstrap: BootstrapSettings?
    public let log: LogSettings
    public let guardian: GuardianSettings
    public let tags: Tags
    /// The sections of later versions as they stand: `watchdog`, `citus`.
    public let watchdog: JSONObject?
    public let citus: JSONObject?
    /// What deserves a line in the log.
    public let warnings: [String]
    private let merged: OriginatedTree

    /// `/<namespace>/<scope>/`, the prefix of every key in the DCS.
    public var storePrefix: String { "/\(namespace)/\(scope)/".collapsingSlashes }

    /// The merged tree.
    public var tree: JSONObject { merged.root }

    /// Where the value at `path` (`postgresql.listen`) came from; nil for a key that is nowhere set.
    public func origin(of path: String) -> SettingOrigin? {
        let path = SettingPath(dotted: path)
        return merged.value(at: path) == nil ? nil : merged.origin(of: path)
    }

    /// A name that the synchronous mode needs for itself.
    static let reservedName = "__patroni_strict_sync_replica_placeholder__"

    /// Merges and checks. `dynamic` is `/config`, or `bootstrap.dcs` where there is none yet. Every problem is named;
    /// times in `dynamic` that are no numbers make it unfit as a whole.
    public static func effective(
        local: LocalConfiguration, dynamic: JSONObject?
    ) throws(ConfigurationError) -> EffectiveConfiguration {
        let dynamic = dynamic ?? JSONObject()
        let adjusted = try timings(dynamic)
        let layers = SettingLayers(local: local, dynamic: dynamic)
        var reader = SettingReader(layers.tree)
        for warning in local.warnings + unknownKeys(local) + layers.warnings + adjusted.warnings {
            reader.warn(warning)
        }
        for path in local.settings.pathsWithNUL {
            reader.reportAsItIs(path, "holds a NUL, at which every program but this one would take the text to end")
        }

        let configuration = EffectiveConfiguration(&reader, adjusted.timings, layers.tree, local.homeDirectory)
        if !reader.problems.isEmpty { throw ConfigurationError(reader.problems) }
        return configuration
    }

    private init(
        _ reader: inout SettingReader, _ timings: ClusterTimings, _ merged: OriginatedTree, _ homeDirectory: String?
    ) {
        name = EffectiveConfiguration.identifier(&reader, "name")
        scope = EffectiveConfiguration.identifier(&reader, "scope")
        if name == EffectiveConfiguration.reservedName {
            reader.report("name", "Node 'name' can't be set to '\(EffectiveConfiguration.reservedName)'")
        }
        namespace = (reader.filledText("namespace") ?? "service").trimmingSlashes
        self.timings = timings
        restAPI = RestAPISettings(&reader)
        ctl = CtlSettings(&reader, restAPI: restAPI)
        store = StoreSettings(&reader)
        postgreSQL = PostgreSQLSettings(&reader, scope: scope, homeDirectory: homeDirectory)
        bootstrap = BootstrapSettings(&reader)
        log = LogSettings(&reader)
        guardian = GuardianSettings(&reader)
        tags = Tags(reader.object("tags") ?? JSONObject())
        watchdog = reader.object("watchdog")
        citus = reader.object("citus")
        if reader.raw("bootstrap.users") != nil {
            reader.warn("bootstrap.users", "is not supported since 4.0; make users in a post_bootstrap command")
        }
        for setting in KnownSettings.withoutEffect where reader.raw(setting.path)?.isTruthy == true {
            reader.warn(setting.path, setting.reason)
        }
        for warning in TagRules.contradictions(tags.raw) { reader.warn(warning) }
        warnings = reader.warnings
        self.merged = merged
    }

    /// A name stands in keys of the DCS and in URLs.
    private static func identifier(_ reader: inout SettingReader, _ key: String) -> String {
        guard let value = reader.raw(key) else {
            reader.missing(key, "a text")
            return ""
        }
        guard let text = value.string, !text.isEmpty, !text.hasByte("/"), !text.hasControlBytes else {
            let quote = value.int != nil || value.object != nil ? " (quote a number)" : ""
            reader.wrong(key, "a text without slashes\(quote)")
            return ""
        }
        return text
    }

    private static func timings(
        _ dynamic: JSONObject
    ) throws(ConfigurationError) -> (timings: ClusterTimings, warnings: [String]) {
        do throws(ClusterTimings.Invalid) { return try ClusterTimings.adjusted(document: dynamic) } catch {
            let message = "found \(Secrets.shown(error.found.comparableText)), allowed is a whole number of seconds"
            throw ConfigurationError([ConfigurationProblem(SettingPath([error.key]), message, .dynamic)])
        }
    }

    private static func unknownKeys(_ local: LocalConfiguration) -> [String] {
        KnownSettings.unknown(in: local.tree).map { unknown in
            let path = SettingPath(Array(unknown.path.elements.dropLast()))
            if unknown.nearest == nil, Secrets.isSecret(path.elements) {
                // `admin: secret` written in one word is a key.
                return ConfigurationProblem(path, "holds an unknown key", local.settings.origin(of: path)).description
            }
            let hint = unknown.nearest.map { "; did you mean \(path.appending($0))?" } ?? ""
            return ConfigurationProblem(unknown.path, "unknown key\(hint)", local.settings.origin(of: unknown.path))
                .description
        }
    }
}

/// Tags that contradict each other; the boolean wins (observable-text.md §1).
public enum TagRules {
    public static func contradictions(_ tags: JSONObject) -> [String] {
        [("nofailover", "failover_priority"), ("nosync", "sync_priority")].compactMap { flag, priority in
            guard let flagValue = tags[flag], !flagValue.isNull, let value = tags[priority],
                let number = ValueParsing.integer(value), flagValue.isTruthy == (number > 0)
            else { return nil }
            let shown = flagValue.comparableText
            return "Conflicting configuration between \(flag): \(shown) and \(priority): \(value.comparableText). "
                + "Defaulting to \(flag): \(shown)"
        }
    }
}

extension String {
    /// Runs of slashes become one.
    var collapsingSlashes: String {
        var result = ""
        for scalar in unicodeScalars where scalar != "/" || result.unicodeScalars.last != "/" {
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    var trimmingSlashes: String {
        var bytes = utf8[...]
        while bytes.first == UInt8(ascii: "/") { bytes = bytes.dropFirst() }
        while bytes.last == UInt8(ascii: "/") { bytes = bytes.dropLast() }
        return String(Substring(bytes))
    }
}
