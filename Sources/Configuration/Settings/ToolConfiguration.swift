public import ClusterModel
import Posix

/// What a command line needs of a configuration: where the cluster's keys are and how its members are asked. A daemon's
/// `patroni.yml` is one, and so is a file with a store alone (ctl.md §1.1); what only a daemon needs is not looked at.
public struct ToolConfiguration: Sendable, Hashable {
    /// Group and database of a Citus cluster (ctl.md §3.5).
    public struct Citus: Sendable, Hashable {
        public let group: Int
        public let database: String
    }

    /// The cluster that is meant where none is named.
    public let scope: String?
    /// Without slashes around it.
    public let namespace: String
    public let ctl: CtlSettings
    /// Nil where there is no section, or one that is not whole.
    public let citus: Citus?
    /// The times of etcd's client, which a tool takes as they are by default.
    public let timings = ClusterTimings()
    /// What was read, where it is a daemon's: with what it runs and where.
    public let daemon: LocalConfiguration?
    /// All that was read, with the store that counts.
    public let tree: JSONObject
    private let storeOutcome: Result<StoreSettings, ConfigurationError>

    /// Where the clusters' keys are. Commands that need no store go without one.
    public func store() throws(ConfigurationError) -> StoreSettings { try storeOutcome.get() }

    /// Reads the configuration: `path`, or the default place where it is nil, with the `PATRONI_*` variables over it,
    /// and the store of `storeURL` in place of the configured one. Blocking: it reads files.
    public static func load(
        path: String?, storeURL: String?, environment: [String: String]
    ) throws(ConfigurationError) -> ToolConfiguration {
        let local = try read(path, environment)
        var settings = local?.settings ?? OriginatedTree()
        if let storeURL {
            for section in ["zookeeper", "exhibitor", "consul", "etcd", "etcd3"] {
                settings.set(SettingPath([section]), nil)
            }
            let patch = try StoreURL.section(storeURL)
            settings.apply(patch: OriginatedTree(patch) { _ in .byDefault })
        }
        var reader = SettingReader(settings)
        let isDaemons = local?.tree["postgresql"]?.object != nil
        let configuration = ToolConfiguration(&reader, daemon: isDaemons ? local : nil)
        // The files of PostgreSQL's passwords are the daemon's business.
        let own = ["ctl", "restapi"] + StoreSettings.spokenSections
        for problem in local?.problems ?? [] where problem.path.elements.first.map(own.contains) == true {
            reader.report(problem)
        }
        if !reader.problems.isEmpty { throw ConfigurationError(reader.problems) }
        return configuration
    }

    private init(_ reader: inout SettingReader, daemon: LocalConfiguration?) {
        self.daemon = daemon
        tree = reader.tree.root
        scope = reader.filledText("scope")
        namespace = (reader.filledText("namespace") ?? "service").trimmingSlashes
        storeOutcome = Self.store(reader)
        ctl = CtlSettings(tool: &reader)
        let section = reader.raw("citus")?.object
        if let group = ValueParsing.integer(section?["group"]), let database = section?["database"]?.string {
            citus = Citus(group: Int(clamping: group), database: database)
        } else {
            citus = nil
        }
    }

    private static func store(_ reader: SettingReader) -> Result<StoreSettings, ConfigurationError> {
        guard StoreSettings.sections.contains(where: { reader.raw($0) != nil }) else {
            return .failure(
                ConfigurationError(
                    [
                        "Can not find suitable configuration of distributed configuration store",
                        "Available implementations: \(StoreSettings.spokenSections.joined(separator: ", "))",
                    ].map { ConfigurationProblem(SettingPath(), $0) }))
        }
        var own = SettingReader(reader.tree)
        let store = StoreSettings(&own)
        return own.problems.isEmpty ? .success(store) : .failure(ConfigurationError(own.problems))
    }

    private static func read(
        _ path: String?, _ environment: [String: String]
    ) throws(ConfigurationError) -> LocalConfiguration? {
        let place = path ?? defaultPath(environment)
        if let path, !Files.isReadable(path) {
            throw ConfigurationError(
                "Provided config file \(path) not existing or no read rights. Check the -c/--config-file parameter")
        }
        let isThere = place.map(Files.isReadable) ?? false
        if isThere || environment.contains(where: { $0.key.hasPrefix(EnvironmentVariables.prefix) }) {
            do throws(ConfigurationError) {
                return try LocalConfiguration.load(path: isThere ? place : nil, environment: environment)
            } catch {
                // Variables that say nothing are none.
                if isThere || !EnvironmentVariables(environment).tree.isEmpty { throw error }
            }
        }
        return nil
    }

    /// `patronictl.yaml` in the directory of the user's configuration files; nil where there is no home.
    private static func defaultPath(_ environment: [String: String]) -> String? {
        if let place = environment["XDG_CONFIG_HOME"], !place.isEmpty { return "\(place)/patroni/patronictl.yaml" }
        guard let home = environment["HOME"], !home.isEmpty else { return nil }
        return "\(home)/.config/patroni/patronictl.yaml"
    }
}

extension CtlSettings {
    /// Of a file that may be a daemon's: what is in `restapi` for the server counts here as what the servers show.
    fileprivate init(tool reader: inout SettingReader) {
        authentication = reader.authentication("ctl") ?? reader.authentication("restapi")
        isInsecure = reader.raw("ctl.insecure")?.isTruthy == true
        authorityFile = reader.path("ctl.cacert") ?? reader.path("restapi.cafile")
        certificateFile = reader.path("ctl.certfile")
        let keyFile = reader.path("ctl.keyfile")
        let keyFilePassword = reader.filledText("ctl.keyfile_password")
        self.keyFile = certificateFile == nil ? nil : keyFile
        self.keyFilePassword = certificateFile == nil ? nil : keyFilePassword
    }
}

/// `[SCHEME://]HOST[:PORT][/NAMESPACE]` (ctl.md §1.2).
enum StoreURL {
    private static let ports = ["zookeeper": 2181, "exhibitor": 8181, "consul": 8500, "etcd": 2379, "etcd3": 2379]

    /// The sections that the URL stands for.
    static func section(_ url: String) throws(ConfigurationError) -> JSONObject {
        var rest = url[...]
        var scheme: String?
        if let mark = rest.firstRange(of: "://") {
            scheme = String(rest[..<mark.lowerBound]).lowercased()
            rest = rest[mark.upperBound...]
        }
        let authority = rest.prefix { $0 != "/" }
        let path = rest[authority.endIndex...]
        if let text = portText(authority), !(1...65_535).contains(Int(text) ?? 0) {
            throw ConfigurationError("'\(text)' in the URL of the store is no port")
        }
        let parsed = HostPort(url: "x://\(authority.isEmpty ? "localhost" : authority)", defaultPort: 0)
        let host = parsed?.host ?? "localhost"
        let given = parsed.flatMap { $0.port == 0 ? nil : $0.port }
        let guessed = ports.filter { $0.key != "etcd3" && $0.value == given }.first?.key
        let name = scheme ?? guessed ?? "etcd"
        guard let standard = ports[name] else { throw ConfigurationError("Unknown dcs scheme: \(name)") }
        let address = HostPort(host: host, port: given ?? standard)
        var sections: JSONObject =
            switch name {
            case "zookeeper": [name: ["hosts": [.string(address.description)]]]
            case "exhibitor": [name: ["hosts": [.string(host)], "port": .int(Int64(address.port))]]
            default: [name: ["host": .string(address.description)]]
            }
        if path.utf8.count > 1 { sections["namespace"] = .string(String(path)) }
        return sections
    }

    /// What stands where a port does; nil where nothing does.
    private static func portText(_ authority: Substring) -> String? {
        guard let colon = authority.lastIndex(of: ":") else { return nil }
        let text = authority[colon...].dropFirst()
        return text.hasSuffix("]") || text.isEmpty ? nil : String(text)
    }
}
