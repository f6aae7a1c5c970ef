import ClusterModel
import Configuration
import ControlAPI
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
        addCommands(settings, effective.bootstrap, to: &configuration)
        configuration.baseBackupOptions = settings.baseBackupOptions
        configuration.rewindOptions = settings.rewindOptions
        configuration.usesRewind = settings.usesRewind
        configuration.usesSlots = settings.usesSlots
        let document = dynamic.flatMap { DynamicConfiguration(document: $0) }
        configuration.isSynchronous = document.map { $0.synchronousMode != .off } ?? false
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

    /// What the operator has run.
    private static func addCommands(
        _ settings: PostgreSQLSettings, _ bootstrap: BootstrapSettings?,
        to configuration: inout LocalPostgreSQLConfiguration
    ) {
        for callback in settings.callbacks {
            guard let event = CallbackEvent(rawValue: callback.name) else { continue }
            configuration.callbacks[event] = words(callback.value)
        }
        configuration.prePromote = settings.prePromote.flatMap(words)
        configuration.beforeStop = settings.beforeStop.flatMap(words)
        configuration.replicaMethods = settings.replicaMethods.map(replicaMethod)
        configuration.standbyCluster = map(settings.standbyRecovery)
        configuration.customBootstrap = bootstrap?.custom.map(customBootstrap)
    }

    /// Who is asked before a dynamic configuration goes into the store.
    static func rules(_ postgreSQL: LocalPostgreSQL) -> ConfigurationRules {
        ConfigurationRules(
            judge: { DynamicCheck.judge($0, inPlaceOf: $1) }, trial: { await postgreSQL.objections(to: $0) })
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

    private static func replicaMethod(
        _ method: PostgreSQLSettings.ReplicaMethod
    ) -> LocalPostgreSQLConfiguration.ReplicaMethod {
        guard let command = method.command else { return .baseBackup }
        var result = LocalPostgreSQLConfiguration.ReplicaMethod(name: method.name, command: words(command) ?? [])
        result.keepsData = method.options["keep_data"]?.isTruthy == true
        result.needsNoLeader = method.options["no_leader"]?.isTruthy == true
        result.takesNoParameters = method.options["no_params"]?.isTruthy == true
        let own: Set = result.takesNoParameters ? ["no_params", "no_leader", "keep_data", "command"] : ["command"]
        result.arguments = method.options.members.filter { !own.contains($0.key) }.map { option in
            "--\(option.key)=\(option.value.comparableText)"
        }
        return result
    }

    private static func customBootstrap(
        _ method: BootstrapSettings.CustomMethod
    ) -> LocalPostgreSQLConfiguration.CustomBootstrap {
        var result = LocalPostgreSQLConfiguration.CustomBootstrap(
            name: method.name, command: words(method.command) ?? [])
        result.takesNoParameters = method.options["no_params"]?.isTruthy == true
        result.keepsRecovery = method.options["keep_existing_recovery_conf"]?.isTruthy == true
        result.recovery = method.recovery.map(map)
        result.arguments = method.options.members
            .filter { !BootstrapSettings.CustomMethod.reserved.contains($0.key) }
            .map { "--\($0.key)=\($0.value.comparableText)" }
        return result
    }

    /// Of a command; nil where it has none.
    private static func words(_ command: String) -> [String]? {
        ShellWords.split(command).flatMap { $0.isEmpty ? nil : $0 }
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
