import ClusterModel

/// What is so only on a server of one role (configuration.md §1.7).
public struct RoleSettings: Sendable, Hashable {
    /// `parameters_<role>`. Each replaces the parameter of its name; none of those that all nodes agree on.
    public let parameters: [ParameterSetting]
    /// `pg_hba_<role>`. Replaces the whole of `pg_hba`; nil leaves it.
    public let hostBasedAuthentication: [String]?
    /// `pg_ident_<role>`. Replaces the whole of `pg_ident`; nil leaves it.
    public let identityMap: [String]?

    /// The paths of the three.
    typealias Keys = (parameters: String, hostBasedAuthentication: String, identityMap: String)

    static let primary: Keys = (
        "postgresql.parameters_primary", "postgresql.pg_hba_primary", "postgresql.pg_ident_primary"
    )
    static let replica: Keys = (
        "postgresql.parameters_replica", "postgresql.pg_hba_replica", "postgresql.pg_ident_replica"
    )
    static let standbyLeader: Keys = (
        "postgresql.parameters_standby_leader", "postgresql.pg_hba_standby_leader",
        "postgresql.pg_ident_standby_leader"
    )

    init(_ reader: inout SettingReader, _ keys: Keys) {
        let all = reader.parameters(keys.parameters) ?? []
        for setting in all where ControlledParameters.parameter(setting.name) != nil {
            reader.warn(
                "\(keys.parameters).\(setting.name)",
                "has no effect here: it is the same on all nodes, whatever their role")
        }
        parameters = all.filter { ControlledParameters.parameter($0.name) == nil }
        hostBasedAuthentication = reader.texts(keys.hostBasedAuthentication)
        identityMap = reader.texts(keys.identityMap)
    }
}
