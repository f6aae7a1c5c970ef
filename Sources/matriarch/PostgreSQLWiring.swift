import ClusterModel
import Configuration
import Posix
import PostgreSQL

/// The configuration's settings as the PostgreSQL controller takes them: the one place that knows both.
enum PostgreSQLWiring {
    /// `dynamic` is the document that `effective` was made with.
    static func configuration(_ effective: EffectiveConfiguration, dynamic: JSONObject?) -> LocalPostgreSQLConfiguration
    {
        let settings = effective.postgreSQL
        var configuration = LocalPostgreSQLConfiguration(
            name: effective.name, scope: effective.scope,
            listenAddresses: settings.listen.hosts.joined(separator: ","), port: settings.listen.port,
            connectAddress: settings.connectAddress, dataDirectory: settings.dataDirectory,
            configurationDirectory: settings.configurationDirectory,
            passwordFile: PasswordFile.place(
                settings.passwordFile, isDefault: settings.hasDefaultPasswordFile,
                otherwise: settings.privatePasswordFile),
            superuser: credentials(settings.superuser, settings),
            replication: credentials(settings.replication, settings),
            parameters: map(
                ControlledParameters.adapted(settings.parameters, toVersion: version(settings.dataDirectory))))
        if keepsLogicalSlots(dynamic) { configuration.parameters["hot_standby_feedback"] = "on" }
        configuration.configurationBaseName = settings.configurationBaseName
        configuration.customConfiguration = settings.customConfiguration
        configuration.binDirectory = settings.binDirectory
        configuration.binaryNames = Dictionary(
            settings.binaryNames.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        configuration.database = settings.database
        configuration.rewind = settings.rewindUser.map { credentials($0, settings) }
        configuration.usesUnixSocket = settings.usesUnixSocket
        configuration.usesUnixSocketForReplication = settings.usesUnixSocketForReplication
        configuration.hostBasedAuthentication = settings.hostBasedAuthentication
        configuration.identityMap = settings.identityMap
        configuration.byRole = [
            .primary: roleSettings(settings.ofPrimary), .replica: roleSettings(settings.ofReplica),
            .standbyLeader: roleSettings(settings.ofStandbyLeader),
        ]
        configuration.recovery = map(settings.recovery)
        configuration.baseBackupOptions = settings.baseBackupOptions
        configuration.rewindOptions = settings.rewindOptions
        configuration.usesRewind = settings.usesRewind
        configuration.usesSlots = settings.usesSlots
        configuration.removesDataDirectoryOnRewindFailure = settings.removesDataDirectoryOnRewindFailure
        configuration.removesDataDirectoryOnDivergedTimelines = settings.removesDataDirectoryOnDivergedTimelines
        configuration.startTimeout = settings.startTimeout
        configuration.retryTimeout = effective.timings.retryTimeout
        if let bootstrap = effective.bootstrap {
            configuration.initdbOptions = bootstrap.initdbOptions
            configuration.bootstrapHostBasedAuthentication = bootstrap.hostBasedAuthentication
            configuration.postBootstrap = bootstrap.postBootstrap
        }
        return configuration
    }

    /// Copies of logical slots need catalog rows that the primary keeps only for a standby that asks for them
    /// (postgresql.md §22.4). A cascade passes the request on, so every node makes it.
    private static func keepsLogicalSlots(_ dynamic: JSONObject?) -> Bool {
        guard let dynamic, let settings = DynamicConfiguration(document: dynamic), settings.useSlots,
            !settings.isStandbyCluster
        else { return false }
        return PermanentSlot.read(dynamic).slots.contains { $0.isLogical }
    }

    /// `krbsrvname` goes into every connection to PostgreSQL, as an option of each user (configuration.md §3.6.1).
    private static func credentials(
        _ options: [ParameterSetting], _ settings: PostgreSQLSettings
    ) -> LocalPostgreSQLConfiguration.Credentials {
        var options = map(options)
        if let name = settings.krbsrvname { options["krbsrvname"] = name }
        return LocalPostgreSQLConfiguration.Credentials(options)
    }

    private static func roleSettings(_ settings: RoleSettings) -> LocalPostgreSQLConfiguration.RoleSettings {
        LocalPostgreSQLConfiguration.RoleSettings(
            parameters: map(settings.parameters), hostBasedAuthentication: settings.hostBasedAuthentication,
            identityMap: settings.identityMap)
    }

    private static func map(_ settings: [ParameterSetting]) -> ParameterMap {
        ParameterMap(settings.map { ($0.name, $0.value) })
    }

    /// `server_version_num` of the data directory; of a cluster that is not there yet, the oldest that we make.
    private static func version(_ dataDirectory: String) -> Int {
        guard let text = try? Files.readText("\(dataDirectory)/PG_VERSION"),
            let major = Int(text.prefix { $0.isNumber })
        else { return 150_000 }
        return major * 10_000
    }
}
