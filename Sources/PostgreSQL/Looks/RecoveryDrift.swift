import ClusterModel
import Posix

/// Which settings of recovery somebody else has changed. Pure.
enum RecoveryDrift {
    static let statement = "SELECT name, setting, sourcefile FROM pg_settings WHERE name = ANY ($1::text[])"
    /// The parameters that are asked for, as an array.
    static let names = "{" + RecoveryParameters.names.sorted().joined(separator: ",") + "}"

    /// Of rows of name, value and file: those that are not as wanted, and those that ALTER SYSTEM has set, of which we
    /// set none.
    static func altered(_ rows: [[String?]], wanted: ParameterMap) -> [String] {
        let actual = ParameterMap(rows.compactMap { row in row[0].map { ($0, row[1] ?? "") } })
        let bySystem = rows.filter { row in row.count > 2 && row[2]?.hasSuffix("/postgresql.auto.conf") == true }
        let names = FollowRule.differing(wanted: wanted, actual: actual) + bySystem.compactMap { $0[0] }
        return Set(names).sorted()
    }
}

extension Instance {
    /// The recovery settings in force that are not ours. Until this node was told whom to follow it has none.
    func alteredRecovery(_ connection: PostgreSQLConnection, _ deadline: BootInstant) -> [String] {
        guard case .known(let upstream) = remember({ $0.upstream }) else { return [] }
        // What cannot be asked counts as unchanged: the question comes again in the next cycle.
        guard
            let rows = try? connection.query(
                RecoveryDrift.statement, [RecoveryDrift.names], deadline: deadline)
        else { return [] }
        let wanted = RecoveryParameters.forStandby(
            of: upstream, configuration, serverVersion: dataDirectory.version)
        return RecoveryDrift.altered(rows, wanted: wanted)
    }
}
