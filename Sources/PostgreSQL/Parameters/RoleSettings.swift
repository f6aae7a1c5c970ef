extension LocalPostgreSQLConfiguration {
    /// What a server is, as far as settings may depend on it (configuration.md §1.7).
    public enum Role: Sendable, Hashable, CaseIterable {
        case primary
        case replica
        case standbyLeader
    }

    /// `parameters_<role>`, `pg_hba_<role>` and `pg_ident_<role>`.
    public struct RoleSettings: Sendable, Hashable {
        /// Each replaces the parameter of its name; none of the controlled ones.
        public var parameters: ParameterMap
        /// Replaces the whole list; nil leaves it.
        public var hostBasedAuthentication: [String]?
        /// Replaces the whole list; nil leaves it.
        public var identityMap: [String]?

        public init(
            parameters: ParameterMap = ParameterMap(), hostBasedAuthentication: [String]? = nil,
            identityMap: [String]? = nil
        ) {
            self.parameters = parameters
            self.hostBasedAuthentication = hostBasedAuthentication
            self.identityMap = identityMap
        }
    }

    /// The configuration of a server of `role`: nil, before there is any server, is that of all of them. To be asked of
    /// the configuration as it was given: the settings of another role are not taken back.
    func resolved(for role: Role?) -> LocalPostgreSQLConfiguration {
        var result = self
        if let own = role.flatMap({ self.byRole[$0] }) {
            for entry in own.parameters.entries
            where !ControlledParameters.commandLine.contains(entry.name.lowercased()) {
                result.parameters[entry.name] = entry.value
            }
            result.hostBasedAuthentication = own.hostBasedAuthentication ?? result.hostBasedAuthentication
            result.identityMap = own.identityMap ?? result.identityMap
        }
        result.placeFile("hba_file", standard: hostBasedAuthenticationFile)
        result.placeFile("ident_file", standard: identityFile)
        return result
    }

    /// A name that is not absolute is one in `config_dir` (configuration.md §5.2): the server would look for it where
    /// its data is. One that names the file which is generated anyway says nothing.
    private mutating func placeFile(_ parameter: String, standard: String) {
        guard let name = parameters[parameter] else { return }
        let path = name.utf8.first == UInt8(ascii: "/") ? name : "\(configurationDirectory)/\(name)"
        parameters[parameter] = path == standard || name.isEmpty ? nil : path
    }
}
