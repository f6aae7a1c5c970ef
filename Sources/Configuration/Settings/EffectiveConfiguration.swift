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
    public let watchdog: WatchdogSettings
    /// The section of a later version as it stands.
    public let citus: JSONObject?
    /// What deserves a line in the log.
    public let warnings: [String]
    let merged: OriginatedTree

    /// `/<namespace>/<scope>/`, the prefix of every key in the DCS.
    public var storePrefix: String { "/\(namespace)/\(scope)/".collapsingSlashes }

    /// The merged tree.
    public var tree: JSONObject { merged.root }

    /// Where the value at `path` (`postgresql.listen`) came from; nil for a key that is nowhere set.
    public func origin(of path: String) -> SettingOrigin? {
        let path = SettingPath(dotted: path)
        return merged.value(at: path) == nil ? nil : merged.origin(of: path)
    }

    /// What is wrong with what the key asks for, with the place where it stands.
    public func problem(_ path: String, _ message: String) -> ConfigurationProblem {
        ConfigurationProblem(SettingPath(dotted: path), message, origin(of: path))
    }

    /// A name that the synchronous mode needs for itself.
    static let reservedName = SynchronousNames.placeholder

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
        for problem in local.problems { reader.report(problem) }
        for path in local.settings.pathsWithNUL {
            reader.reportAsItIs(path, "holds a NUL, at which every program but this one would take the text to end")
        }

        let configuration = EffectiveConfiguration(&reader, adjusted.timings, layers.tree, local.homeDirectory)
        if !reader.problems.isEmpty {
            throw ConfigurationError(reader.problems.map(local.located), besides: reader.warnings)
        }
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
        EffectiveConfiguration.checkPorts(&reader, restAPI, postgreSQL)
        bootstrap = BootstrapSettings(&reader)
        log = LogSettings(&reader)
        guardian = GuardianSettings(&reader)
        tags = Tags(reader.object("tags") ?? JSONObject())
        watchdog = WatchdogSettings(&reader)
        citus = reader.object("citus")
        // Whoever asks for what is so anyway has lost nothing.
        for key in SettingTable.keys {
            guard let why = key.withoutEffect, let value = reader.raw(key.path), value.isTruthy, value != key.standard
            else { continue }
            reader.warn(key.path, why)
        }
        for (tag, remark) in TagRules.surprises(tags.raw) { reader.warn("tags.\(tag)", remark) }
        for warning in TagRules.contradictions(tags.raw) { reader.warn(warning) }
        warnings = reader.warnings
        self.merged = merged
    }

    /// The REST API comes first, and PostgreSQL would never start.
    private static func checkPorts(
        _ reader: inout SettingReader, _ restAPI: RestAPISettings, _ postgreSQL: PostgreSQLSettings
    ) {
        let hosts = [restAPI.listenHost] + postgreSQL.listen.hosts
        let isShared = hosts.contains(where: Wildcard.isMeant) || hosts.dropFirst().contains(restAPI.listenHost)
        guard restAPI.listenPort != 0, restAPI.listenPort == postgreSQL.listen.port, isShared else { return }
        reader.report("restapi.listen", "port \(restAPI.listenPort) is that of postgresql.listen")
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
        SettingTable.remarks(onLocal: local.tree).map { path, remark in
            let (path, text) = remark.told(at: path)
            return ConfigurationProblem(path, text, local.settings.origin(of: path)).description
        }
    }
}

/// Tags that do not say what they seem to.
public enum TagRules {
    /// What counts for something else than it reads, with the reason: `nofailover: "false"` keeps a node from leading,
    /// as with Patroni.
    public static func surprises(_ tags: JSONObject) -> [(tag: String, remark: String)] {
        tags.members.compactMap { member in remark(member.key, member.value).map { (member.key, $0) } }
    }

    private static func remark(_ tag: String, _ value: JSONValue) -> String? {
        if value.isNull { return nil }
        switch tag {
        case "nofailover", "nosync", "clonefrom", "noloadbalance":
            let isPlain = value.bool != nil || value == 0 || value == 1
            return isPlain ? nil : "is no boolean, and counts as \(value.isTruthy ? "true" : "false")"
        case "nostream":
            return ValueParsing.bool(value) == nil ? "is no boolean, and counts as false" : nil
        case "failover_priority", "sync_priority":
            let isWhole = value.int != nil || value.string.flatMap { Int($0) } != nil
            return isWhole ? nil : "is no whole number, and counts as 1"
        case "replicatefrom":
            return value.string == nil ? "is no text, and counts for nothing (quote a number)" : nil
        default: return nil
        }
    }

    /// Tags that contradict each other; the boolean wins (observable-text.md §1).
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
