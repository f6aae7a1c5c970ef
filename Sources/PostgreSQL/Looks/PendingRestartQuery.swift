import ClusterModel
import Ports

/// Which parameters of the configuration the running server does not have yet and will take only when it starts
/// (postgresql.md §13).
enum PendingRestartQuery {
    /// Parameters that are not to be compared: no file changes them for us, or they change with the role.
    private static let skipped: Set<String> = ["hot_standby", "config_file", "data_directory"]

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
        /// A file has set the value that the server runs with.
        var isFromFile = true
    }

    static func run(
        _ connection: PostgreSQLConnection, _ wanted: ParameterMap, deadline: BootInstant
    ) throws(PostgreSQLError) -> [PostgreSQLStatus.PendingRestart] {
        let rows = try connection.query(
            """
            SELECT name, setting, unit, vartype, current_setting(name, true), boot_val, pending_restart,
                source = 'configuration file'
            FROM pg_settings WHERE context = 'postmaster' OR pending_restart
            """, deadline: deadline)
        let settings = rows.compactMap { row -> Setting? in
            guard row.count == 8, let name = row[0], let setting = row[1], let type = row[3] else { return nil }
            return Setting(
                name: name, setting: setting, value: SettingValue(type: type, unit: row[2]), shown: row[4] ?? setting,
                fallback: row[5] ?? "", isFlagged: row[6] == "t", isFromFile: row[7] == "t")
        }
        var files = ParameterMap()
        if settings.contains(where: \.isFlagged) {
            // Of a name that stands twice the last one counts.
            let rows = try connection.query(
                "SELECT name, setting FROM pg_file_settings WHERE name IS NOT NULL ORDER BY seqno", deadline: deadline)
            files = ParameterMap(rows.compactMap { row in row[0].map { ($0, row[1] ?? "") } })
        }
        return compare(settings, wanted, files: files)
    }

    /// `wanted` is what the configuration says and a server of this version takes; `files` what stands in the files
    /// that the server has read, whoever has written it: ALTER SYSTEM, and what the base includes, change things too.
    static func compare(
        _ settings: [Setting], _ wanted: ParameterMap, files: ParameterMap = ParameterMap()
    ) -> [PostgreSQLStatus.PendingRestart] {
        settings.compactMap { setting in
            if skipped.contains(setting.name) || RecoveryParameters.names.contains(setting.name) { return nil }
            // What the command line holds the server never flags: a file does not change it.
            if ControlledParameters.commandLine.contains(setting.name) {
                guard let wanted = wanted[setting.name] else { return nil }
                let isOldLevel =
                    setting.name == "wal_level" && ["hot_standby", "archive"].contains(wanted.lowercased())
                return difference(setting, isOldLevel ? "replica" : wanted)
            }
            guard setting.isFlagged else { return nil }
            // The flag of what came into a file and went again stays: nothing of it is to come.
            let fallback = setting.isFromFile ? setting.fallback : nil
            return (files[setting.name] ?? wanted[setting.name] ?? fallback).flatMap { difference(setting, $0) }
        }
    }

    private static func difference(_ setting: Setting, _ text: String) -> PostgreSQLStatus.PendingRestart? {
        if setting.value.isSame(setting.setting, text) { return nil }
        return .init(parameter: setting.name, oldValue: setting.shown, newValue: setting.value.shown(text))
    }
}
