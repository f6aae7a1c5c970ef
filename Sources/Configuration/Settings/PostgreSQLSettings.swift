public import ClusterModel

/// The `postgresql` section, merged (configuration.md §3.6).
public struct PostgreSQLSettings: Sendable, Hashable {
    /// What PostgreSQL listens on; the hosts are `listen_addresses`.
    public let listen: ListenAddress
    /// Where the other members reach this server.
    public let connectAddress: HostPort
    public let proxyAddress: HostPort?
    public let dataDirectory: String
    /// Where `postgresql.conf` stands.
    public let configurationDirectory: String
    public let configurationBaseName: String
    /// Included in place of the base configuration.
    public let customConfiguration: String?
    /// For our own connections.
    public let database: String
    /// Empty: the programs are found through PATH.
    public let binDirectory: String
    /// Programs that are called otherwise here.
    public let binaryNames: [ParameterSetting]
    /// The password file that we write.
    public let passwordFile: String
    /// Nobody has named the file: it stands in the home directory, if it can.
    public let hasDefaultPasswordFile: Bool
    /// Where a password file can always stand: only PostgreSQL's own user may enter the data directory.
    public let privatePasswordFile: String
    public let krbsrvname: String?
    /// Permitted connection parameters in the order of configuration.md §3.6.2, `username` and `password` among them.
    public let superuser: [ParameterSetting]
    public let replication: [ParameterSetting]
    /// The user of pg_rewind; nil for the superuser.
    public let rewindUser: [ParameterSetting]?
    public let usesUnixSocket: Bool
    public let usesUnixSocketForReplication: Bool
    /// Merged; the controlled ones first, with their values for any version (`ControlledParameters.adapted`).
    public let parameters: [ParameterSetting]
    /// The lines of pg_hba.conf; nil leaves the file alone.
    public let hostBasedAuthentication: [String]?
    /// The lines of pg_ident.conf; nil leaves the file alone.
    public let identityMap: [String]?
    /// What is so only on a server of a role (configuration.md §1.7).
    public let ofPrimary: RoleSettings
    public let ofReplica: RoleSettings
    public let ofStandbyLeader: RoleSettings
    public let recovery: [ParameterSetting]
    public let usesSlots: Bool
    public let usesRewind: Bool
    public let removesDataDirectoryOnRewindFailure: Bool
    public let removesDataDirectoryOnDivergedTimelines: Bool
    /// What `standby_cluster` says of recovery; empty where the cluster follows nobody.
    public let standbyRecovery: [ParameterSetting]
    /// Tried in order until one succeeds; in a standby cluster those that it names.
    public let replicaMethods: [ReplicaMethod]
    /// Rendered: `--max-rate=100M`.
    public let baseBackupOptions: [String]
    public let rewindOptions: [String]
    /// Commands by their events: `on_role_change`.
    public let callbacks: [ParameterSetting]
    public let prePromote: String?
    public let beforeStop: String?
    /// How long a start may take where the caller does not say.
    public let startTimeout: Duration

    /// `basebackup`, or a command of the user's with its section.
    public struct ReplicaMethod: Sendable, Hashable {
        public let name: String
        /// Its command, by default its name; nil for `basebackup`.
        public let command: String?
        public let options: JSONObject
    }

    private static let forbiddenForBaseBackup: Set<String> = [
        "pgdata", "format", "wal-method", "xlog-method", "gzip", "version", "dbname", "host", "port", "username",
        "password",
    ]
    private static let forbiddenForRewind: Set<String> = [
        "target-pgdata", "source-pgdata", "source-server", "write-recovery-conf", "dry-run", "restore-target-wal",
        "config-file", "no-ensure-shutdown", "version", "help",
    ]

    init(_ reader: inout SettingReader, scope: String, homeDirectory: String?) {
        _ = reader.object("postgresql")
        let listen = PostgreSQLSettings.listen(&reader)
        self.listen = listen
        connectAddress = PostgreSQLSettings.connectAddress(&reader, listen)
        proxyAddress = PostgreSQLSettings.address(&reader, "postgresql.proxy_address")
        dataDirectory = reader.path("postgresql.data_dir") ?? ""
        if dataDirectory == "/" { reader.wrong("postgresql.data_dir", "a directory of its own") }
        if dataDirectory.isEmpty, reader.raw("postgresql.data_dir")?.isTruthy != true {
            reader.missing("postgresql.data_dir", "a path")
        }
        configurationDirectory = reader.path("postgresql.config_dir") ?? dataDirectory
        configurationBaseName = reader.filledText("postgresql.config_base_name") ?? "postgresql"
        customConfiguration = reader.filledText("postgresql.custom_conf", allowed: "a path")
            .map(PathText.plain)
        database = reader.filledText("postgresql.database") ?? "postgres"
        binDirectory = reader.path("postgresql.bin_dir") ?? ""
        binaryNames = reader.parameters("postgresql.bin_name") ?? []
        privatePasswordFile = "\(dataDirectory)/.matriarch-pgpass"
        let named = reader.path("postgresql.pgpass")
        hasDefaultPasswordFile = named == nil
        let home = homeDirectory.flatMap { PathText.absolute($0 + "/pgpass", from: PathText.workingDirectory) }
        passwordFile = named ?? home ?? privatePasswordFile
        krbsrvname = reader.filledText("postgresql.krbsrvname")
        superuser = PostgreSQLSettings.credentials(&reader, "superuser") ?? []
        replication = PostgreSQLSettings.credentials(&reader, "replication") ?? []
        rewindUser = PostgreSQLSettings.credentials(&reader, "rewind")
        usesUnixSocket = reader.bool("postgresql.use_unix_socket")
        usesUnixSocketForReplication = reader.bool("postgresql.use_unix_socket_repl")
        parameters = PostgreSQLSettings.parameters(&reader, listen, scope)
        hostBasedAuthentication = reader.texts("postgresql.pg_hba")
        identityMap = reader.texts("postgresql.pg_ident")
        ofPrimary = RoleSettings(&reader, RoleSettings.primary)
        ofReplica = RoleSettings(&reader, RoleSettings.replica)
        ofStandbyLeader = RoleSettings(&reader, RoleSettings.standbyLeader)
        recovery = reader.parameters("postgresql.recovery_conf") ?? []
        usesSlots = reader.bool("postgresql.use_slots")
        usesRewind = reader.bool("postgresql.use_pg_rewind")
        removesDataDirectoryOnRewindFailure = reader.bool("postgresql.remove_data_directory_on_rewind_failure")
        removesDataDirectoryOnDivergedTimelines = reader.bool(
            "postgresql.remove_data_directory_on_diverged_timelines")
        (standbyRecovery, replicaMethods) = PostgreSQLSettings.elsewhere(&reader)
        baseBackupOptions = PostgreSQLSettings.baseBackupOptions(&reader)
        rewindOptions = PostgreSQLSettings.options(
            &reader, "pg_rewind", "postgresql.rewind", PostgreSQLSettings.forbiddenForRewind)
        callbacks = PostgreSQLSettings.callbacks(&reader)
        prePromote = reader.command("postgresql.pre_promote")
        beforeStop = reader.command("postgresql.before_stop")
        startTimeout = PostgreSQLSettings.startTimeout(&reader)
    }

    /// How a standby cluster recovers, and how replicas are made, which a standby cluster may say for itself.
    private static func elsewhere(_ reader: inout SettingReader) -> ([ParameterSetting], [ReplicaMethod]) {
        let elsewhere = reader.raw("standby_cluster")?.object.flatMap { StandbyCluster($0) }
        let recovery = (elsewhere?.recovery ?? [:]).sorted { $0.key < $1.key }
            .map { ParameterSetting(name: $0.key, value: $0.value) }
        return (recovery, replicaMethods(&reader, of: elsewhere == nil ? "postgresql" : "standby_cluster"))
    }

    private static func callbacks(_ reader: inout SettingReader) -> [ParameterSetting] {
        let callbacks = reader.parameters("postgresql.callbacks") ?? []
        for callback in callbacks { reader.checkCommand("postgresql.callbacks.\(callback.name)", callback.value) }
        return callbacks
    }

    private static func startTimeout(_ reader: inout SettingReader) -> Duration {
        .seconds(reader.integer("postgresql.pg_ctl_timeout"))
    }

    // MARK: Addresses

    private static func listen(_ reader: inout SettingReader) -> ListenAddress {
        let nothing = ListenAddress(hosts: ["localhost"], port: 5432)
        let allowed = "<HOST>[,<HOST>...]:<PORT>"
        guard let text = reader.filledText("postgresql.listen", allowed: allowed) else {
            if reader.raw("postgresql.listen")?.isTruthy != true { reader.missing("postgresql.listen", allowed) }
            return nothing
        }
        if let address = ListenAddress(text, defaultPort: 5432), (1...65_535).contains(address.port) { return address }
        reader.wrong("postgresql.listen", allowed)
        return nothing
    }

    /// Without one: what our own connections use.
    private static func connectAddress(_ reader: inout SettingReader, _ listen: ListenAddress) -> HostPort {
        if let address = address(&reader, "postgresql.connect_address") {
            Wildcard.warn(&reader, "postgresql.connect_address", address.host)
            return address
        }
        let local = listen.hosts.contains { Wildcard.isMeant(by: $0) || ["localhost", "127.0.0.1"].contains($0) }
        return HostPort(host: local ? "localhost" : listen.hosts.first ?? "localhost", port: listen.port)
    }

    private static func address(_ reader: inout SettingReader, _ path: String) -> HostPort? {
        guard let text = reader.filledText(path, allowed: "<HOST>:<PORT>") else { return nil }
        if let address = HostPort(text, defaultPort: 5432), address.isUsable { return address }
        reader.wrong(path, "<HOST>:<PORT>")
        return nil
    }

    // MARK: Users

    private static func credentials(_ reader: inout SettingReader, _ user: String) -> [ParameterSetting]? {
        let path = "postgresql.authentication.\(user)"
        let isNeeded = user != "rewind"
        guard reader.object(path) != nil else {
            if isNeeded, reader.raw(path) == nil { reader.missing("\(path).username", "the name of a role") }
            return nil
        }
        let settings = SettingTable.credentialKeys.compactMap { key in
            credential(&reader, path, key).map { ParameterSetting(name: key, value: $0) }
        }
        for setting in settings where setting.value.hasByte("\n") || setting.value.hasByte("\r") {
            reader.report("\(path).\(setting.name)", "holds a line break, which no password file can carry")
        }
        if isNeeded, settings.first?.name != "username", reader.raw("\(path).username")?.isTruthy != true {
            reader.missing("\(path).username", "the name of a role")
        }
        return settings.isEmpty ? nil : settings
    }

    /// Files are named from where the daemon was started, and read by the server in another directory, too.
    private static func credential(_ reader: inout SettingReader, _ path: String, _ key: String) -> String? {
        let place = "\(path).\(key)"
        guard let text = reader.filledText(place) else { return nil }
        let kind = SettingTable.byPath[place]?.kind
        // `system` stands for the certificates of the machine.
        if case .path? = kind, text != "system" { return reader.path(place) }
        guard case .word? = kind else { return text }
        let word = reader.word(place)
        return word.isEmpty ? nil : word
    }

    // MARK: Parameters

    /// The controlled ones in their order, then the others in theirs.
    private static func parameters(
        _ reader: inout SettingReader, _ listen: ListenAddress, _ scope: String
    ) -> [ParameterSetting] {
        let merged = reader.parameters("postgresql.parameters") ?? []
        let derived = [
            "listen_addresses": listen.hosts.joined(separator: ","), "port": String(listen.port), "cluster_name": scope,
        ]
        let controlled = ControlledParameters.names.compactMap { name in
            (derived[name] ?? merged.first { $0.name == name }?.value).map { ParameterSetting(name: name, value: $0) }
        }
        return controlled + merged.filter { ControlledParameters.parameter($0.name) == nil }
    }

    // MARK: Replicas and tools

    private static func replicaMethods(_ reader: inout SettingReader, of section: String) -> [ReplicaMethod] {
        let names = reader.texts("\(section).create_replica_methods", separator: ",")
        // Of `standby_cluster` an empty list says nothing.
        let isUnsaid = names == nil || section != "postgresql" && names?.isEmpty == true
        return (isUnsaid ? ["basebackup"] : names ?? []).map { name in
            if name == "basebackup" { return ReplicaMethod(name: name, command: nil, options: JSONObject()) }
            let options = reader.object("postgresql.\(name)") ?? JSONObject()
            let command = reader.filledText("postgresql.\(name).command") ?? name
            reader.checkCommand("postgresql.\(name).command", command)
            return ReplicaMethod(name: name, command: command, options: options)
        }
    }

    /// Compression on our side would leave a directory that is no data directory.
    private static func baseBackupOptions(_ reader: inout SettingReader) -> [String] {
        let options = options(&reader, "pg_basebackup", "postgresql.basebackup", forbiddenForBaseBackup)
        return options.filter { option in
            // The tool takes the beginning of a name for the name; `--com` is the first that means no other option.
            let name = option.split(atByte: "=")[0].utf8.dropFirst(2)
            guard name.count >= 3, "compress".utf8.starts(with: name), !option.hasPrefix("--compress=server")
            else { return true }
            reader.warn("postgresql.basebackup", "option --compress is left out: only the server may compress")
            return false
        }
    }

    private static func options(
        _ reader: inout SettingReader, _ tool: String, _ path: String, _ forbidden: Set<String>
    ) -> [String] {
        let options = ToolOptions(tool, reader.raw(path), forbidden: forbidden)
        for problem in options.problems { reader.warn(path, "\(problem); it is left out") }
        return options.arguments
    }
}
