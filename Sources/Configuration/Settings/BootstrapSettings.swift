public import ClusterModel

/// The `bootstrap` section: read only where a new cluster is made (configuration.md §3.3).
public struct BootstrapSettings: Sendable, Hashable {
    /// Becomes `/config`; nil where the section has none, and then this node cannot make a cluster.
    public let dynamicConfiguration: JSONObject?
    /// Rendered: `--encoding=UTF8`, `--data-checksums`.
    public let initdbOptions: [String]
    /// Appended to pg_hba.conf where `postgresql.pg_hba` is unset.
    public let hostBasedAuthentication: [String]
    /// A command that gets the connection string as its last argument.
    public let postBootstrap: String?
    /// The method that takes the place of initdb; nil for initdb.
    public let custom: CustomMethod?

    /// A command that fills the data directory of a new cluster.
    public struct CustomMethod: Sendable, Hashable {
        public let name: String
        public let command: String
        /// Its section: what it is told, and how.
        public let options: JSONObject
        /// `recovery_conf`: how far its server recovers; nil for what it has left.
        public let recovery: [ParameterSetting]?

        /// What is not handed on to the command.
        public static let reserved: Set<String> = [
            "command", "no_params", "keep_existing_recovery_conf", "recovery_conf", "scope", "datadir",
        ]
    }

    /// What initdb is given by ourselves, or must not be given.
    private static let forbidden: Set<String> = ["pgdata", "nosync", "pwfile", "sync-only", "version"]

    /// Nil where there is no such section.
    init?(_ reader: inout SettingReader) {
        guard reader.object("bootstrap") != nil else { return nil }
        dynamicConfiguration = reader.object("bootstrap.dcs")
        if dynamicConfiguration == nil, reader.raw("bootstrap.dcs") == nil {
            reader.missing("bootstrap.dcs", "a mapping, where a bootstrap section stands")
        }
        BootstrapSettings.checkTimings(&reader, dynamicConfiguration)
        let options = ToolOptions("initdb", reader.raw("bootstrap.initdb"), forbidden: BootstrapSettings.forbidden)
        for problem in options.problems { reader.report("bootstrap.initdb", problem) }
        initdbOptions = options.arguments
        hostBasedAuthentication = reader.texts("bootstrap.pg_hba") ?? []
        postBootstrap = reader.filledText("bootstrap.post_bootstrap") ?? reader.filledText("bootstrap.post_init")
        custom = BootstrapSettings.customMethod(&reader)
    }

    /// Without a command of its own a method is initdb, as with Patroni.
    private static func customMethod(_ reader: inout SettingReader) -> CustomMethod? {
        guard let name = reader.filledText("bootstrap.method"), name != "initdb" else { return nil }
        let path = "bootstrap.\(name)"
        guard let options = reader.object(path), let command = reader.command("\(path).command") else {
            reader.warn("bootstrap.method", "\(path).command is not there: initdb makes the cluster")
            return nil
        }
        let recovery = options["recovery_conf"] == nil ? nil : reader.parameters("\(path).recovery_conf")
        return CustomMethod(name: name, command: command, options: options, recovery: recovery)
    }

    /// A cluster must not be born with times that no node can use.
    private static func checkTimings(_ reader: inout SettingReader, _ document: JSONObject?) {
        guard let document else { return }
        do throws(ClusterTimings.Invalid) { _ = try ClusterTimings.adjusted(document: document) } catch {
            reader.wrong("bootstrap.dcs.\(error.key)", "a whole number of seconds")
        }
    }
}
