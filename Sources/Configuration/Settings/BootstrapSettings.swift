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
    /// `initdb`, or the name of a custom method whose section has a command.
    public let method: String

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
        let wanted = reader.filledText("bootstrap.method") ?? "initdb"
        let section = wanted == "initdb" ? nil : reader.object("bootstrap.\(wanted)")
        method = section?["command"]?.isTruthy == true ? wanted : "initdb"
    }

    /// A cluster must not be born with times that no node can use.
    private static func checkTimings(_ reader: inout SettingReader, _ document: JSONObject?) {
        guard let document else { return }
        do throws(ClusterTimings.Invalid) { _ = try ClusterTimings.adjusted(document: document) } catch {
            reader.wrong("bootstrap.dcs.\(error.key)", "a whole number of seconds")
        }
    }
}
