import ClusterModel

/// What a standby needs to know of its recovery (postgresql.md §14).
enum RecoveryParameters {
    /// Every parameter that belongs to recovery, of any version; none is written as an ordinary one.
    static let names: Set<String> = [
        "archive_cleanup_command", "pause_at_recovery_target", "primary_conninfo", "primary_slot_name",
        "promote_trigger_file", "recovery_end_command", "recovery_min_apply_delay", "recovery_target",
        "recovery_target_action", "recovery_target_inclusive", "recovery_target_lsn", "recovery_target_name",
        "recovery_target_time", "recovery_target_timeline", "recovery_target_xid", "restore_command", "standby_mode",
        "trigger_file",
    ]

    /// A parameter that the configuration has no business with: it says where to stop or whom to follow.
    private static func isDecidedHere(_ name: String) -> Bool {
        name.hasPrefix("recovery_target") || name == "primary_conninfo" || name == "primary_slot_name"
            || name == "standby_mode" || name == "trigger_file" || name == "pause_at_recovery_target"
    }

    /// The settings of a standby of `upstream`; without one it waits for WAL that nobody sends.
    static func forStandby(
        of upstream: Upstream?, _ configuration: LocalPostgreSQLConfiguration, serverVersion: Int
    ) -> ParameterMap {
        var result = configured(configuration)
        for entry in configuration.standbyCluster.entries { result[entry.name] = entry.value }
        // Who waits is the standby leader; the others have from it what it has.
        if upstream?.remote == nil, configuration.standbyCluster["recovery_min_apply_delay"] != nil {
            result["recovery_min_apply_delay"] = configured(configuration)["recovery_min_apply_delay"]
        }
        guard let upstream, upstream.hasAddress, upstream.name != configuration.name else { return result }
        var connection = primaryConnection(upstream, configuration, serverVersion: serverVersion)
        if configuration.usesSlots, let slot = slot(at: upstream, configuration) {
            result["primary_slot_name"] = slot
            // Of several hosts only the primary is certain to have it.
            if upstream.remote != nil, upstream.address.isSeveral { connection["target_session_attrs"] = "read-write" }
        }
        result["primary_conninfo"] = ConnectionString.render(connection)
        return result
    }

    /// A member has a slot for this one; a primary elsewhere has what its operator says, for the standby leader alone.
    private static func slot(at upstream: Upstream, _ configuration: LocalPostgreSQLConfiguration) -> String? {
        guard let remote = upstream.remote else { return SlotName.of(member: configuration.name) }
        return remote.leads ? remote.slotName : nil
    }

    /// What does not depend on the upstream. Those that stand among the ordinary parameters take the place of
    /// `recovery_conf`, as with Patroni. The targets are emptied: one that an include file sets would end recovery.
    static func configured(_ configuration: LocalPostgreSQLConfiguration) -> ParameterMap {
        let among = configuration.parameters.filter { names.contains($0) }
        var result = (among.isEmpty ? configuration.recovery : among)
            .filter { names.contains($0) && !isDecidedHere($0) }
        result["recovery_target_timeline"] = "latest"
        for name in ["", "_name", "_time", "_xid", "_lsn"] { result["recovery_target" + name] = "" }
        return result
    }

    /// What fetches WAL for a standby.
    static func restoreCommand(_ configuration: LocalPostgreSQLConfiguration) -> String? {
        configuration.standbyCluster["restore_command"] ?? configured(configuration)["restore_command"]
    }

    /// What the operator has given a new cluster to recover by, in the names of today.
    static func given(_ recovery: ParameterMap) -> ParameterMap {
        let former: Set = ["standby_mode", "trigger_file", "promote_trigger_file", "pause_at_recovery_target"]
        var result = recovery.filter { names.contains($0) && !former.contains($0) }
        if let pause = recovery["pause_at_recovery_target"], result["recovery_target_action"] == nil {
            let isOff = ["off", "false", "no", "0"].contains(pause.lowercased())
            result["recovery_target_action"] = isOff ? "promote" : "pause"
        }
        return result
    }

    /// The connection of the receiver; the password stands in the password file only (postgresql.md §16.1).
    static func primaryConnection(
        _ upstream: Upstream, _ configuration: LocalPostgreSQLConfiguration, serverVersion: Int
    ) -> ParameterMap {
        let credentials = configuration.replication
        var result = ParameterMap()
        if serverVersion >= 170_000 { result["dbname"] = configuration.database }
        if let user = credentials.userName { result["user"] = user }
        if credentials.password != nil { result["passfile"] = configuration.passwordFile }
        result["host"] = upstream.address.host
        result["port"] = String(upstream.address.port)
        result["application_name"] = configuration.name
        result["sslmode"] = "prefer"
        result["gssencmode"] = "prefer"
        if serverVersion >= 130_000 { result["channel_binding"] = "prefer" }
        for option in credentials.connectionOptions { result[option.name] = option.value }
        return result
    }

    /// Whether the settings that a server runs with are those that are wanted. Defaults that nobody has written count
    /// as written; the password is in the file, so the file's name is compared.
    static func connectsTo(wanted: ParameterMap, actual: ParameterMap) -> Bool {
        let defaults: ParameterMap = [
            "sslmode": "prefer", "gssencmode": "prefer", "channel_binding": "prefer", "sslnegotiation": "postgres",
        ]
        return wanted.entries.allSatisfy { $0.value == actual[$0.name] ?? defaults[$0.name] }
    }
}

/// The parameters that go to the command line too, where nothing that a client or a file says overrides them
/// (configuration.md §5.1).
enum ControlledParameters {
    static let commandLine = [
        "listen_addresses", "port", "cluster_name", "wal_level", "hot_standby", "max_connections", "max_wal_senders",
        "max_prepared_transactions", "max_locks_per_transaction", "track_commit_timestamp", "max_replication_slots",
        "max_worker_processes", "wal_log_hints",
    ]

    /// `--max_connections=100`, those that are set, in the order above.
    static func arguments(_ parameters: ParameterMap) -> [String] {
        commandLine.compactMap { name in parameters[name].map { "--\(name)=\($0)" } }
    }

    /// Raises what a standby must not undercut to what its primary had (postgresql.md §12.4): otherwise it refuses to
    /// start, or stops replaying. Each raise waits for a restart in which it is no longer needed.
    static func raised(_ parameters: ParameterMap, to minimums: [(parameter: String, value: Int)]) -> (
        parameters: ParameterMap, pending: [PostgreSQLStatus.PendingRestart]
    ) {
        var result = parameters
        var pending: [PostgreSQLStatus.PendingRestart] = []
        for (name, minimum) in minimums {
            guard let text = parameters[name], let value = Int(text), value < minimum else { continue }
            result[name] = String(minimum)
            pending.append(.init(parameter: name, oldValue: String(minimum), newValue: text))
        }
        return (result, pending)
    }
}
