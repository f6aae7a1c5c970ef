import ClusterModel
import Ports

/// Which parameters of the configuration the running server does not have yet and will take only when it starts
/// (postgresql.md §13).
enum PendingRestartQuery {
    /// Parameters of ours that are not to be compared: they say where files are, or change with the role.
    private static let skipped: Set<String> = [
        "hot_standby", "hba_file", "ident_file", "config_file", "data_directory", "external_pid_file",
    ]

    /// Parameters with a value that asks the server to find a good one itself.
    private static let workedOut = [
        "wal_buffers": "-1", "transaction_buffers": "0", "subtransaction_buffers": "0", "commit_timestamp_buffers": "0",
    ]

    /// A row of pg_settings.
    struct Setting: Sendable, Hashable {
        var name: String
        var setting: String
        var value: SettingValue
        /// With its unit, as SHOW prints it.
        var shown: String
        /// The value without any file or command line.
        var fallback: String
        /// What the server says itself; it knows nothing of parameters that its command line holds.
        var isFlagged: Bool
    }

    static func run(
        _ connection: PostgreSQLConnection, _ configuration: LocalPostgreSQLConfiguration, deadline: BootInstant
    ) throws(PostgreSQLError) -> [PostgreSQLStatus.PendingRestart] {
        let rows = try connection.query(
            """
            SELECT name, setting, unit, vartype, current_setting(name, true), boot_val, pending_restart
            FROM pg_settings WHERE context = 'postmaster' OR pending_restart
            """, deadline: deadline)
        let settings = rows.compactMap { row -> Setting? in
            guard row.count == 7, let name = row[0], let setting = row[1], let type = row[3] else { return nil }
            return Setting(
                name: name, setting: setting, value: SettingValue(type: type, unit: row[2]), shown: row[4] ?? setting,
                fallback: row[5] ?? "", isFlagged: row[6] == "t")
        }
        return compare(settings, configuration.parameters)
    }

    static func compare(_ settings: [Setting], _ parameters: ParameterMap) -> [PostgreSQLStatus.PendingRestart] {
        settings.compactMap { setting in
            if skipped.contains(setting.name) || RecoveryParameters.names.contains(setting.name) { return nil }
            guard let wanted = parameters[setting.name] else {
                guard setting.isFlagged else { return nil }
                return .init(parameter: setting.name, oldValue: setting.shown, newValue: setting.fallback)
            }
            // The server shows the size that it has worked out in place of the value that asks it to.
            if let asks = workedOut[setting.name], setting.value.isSame(asks, wanted), !setting.isFlagged { return nil }
            let isOldLevel = setting.name == "wal_level" && ["hot_standby", "archive"].contains(wanted.lowercased())
            let text = isOldLevel ? "replica" : wanted
            if setting.value.isSame(setting.setting, text), !setting.isFlagged { return nil }
            return .init(parameter: setting.name, oldValue: setting.shown, newValue: wanted)
        }
    }
}
