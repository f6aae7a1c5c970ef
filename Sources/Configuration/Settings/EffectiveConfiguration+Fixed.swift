import ClusterModel

extension EffectiveConfiguration {
    /// What a running daemon cannot change: who it is, where its keys stand and which data directory it leads. A server
    /// of the one and a file of the other would make it take a directory for what another one holds.
    ///
    /// - Returns: a problem for each that is another one than `before`; all of it waits for a restart of the daemon.
    public func fixedChanges(since before: EffectiveConfiguration) -> [ConfigurationProblem] {
        let fixed = [
            ("scope", before.scope, scope), ("name", before.name, name), ("namespace", before.namespace, namespace),
            ("postgresql.data_dir", before.postgreSQL.dataDirectory, postgreSQL.dataDirectory),
            ("postgresql.config_dir", before.postgreSQL.configurationDirectory, postgreSQL.configurationDirectory),
            (
                "postgresql.config_base_name", before.postgreSQL.configurationBaseName,
                postgreSQL.configurationBaseName
            ),
        ]
        return fixed.compactMap { path, old, new in
            if old == new { return nil }
            return problem(
                path,
                "found '\(new)', where the running daemon goes by '\(old)': "
                    + "it changes with a restart of the daemon only")
        }
    }

    /// What has changed since `begun`, with which the daemon was started, and counts from its next start on, in words.
    public func changesOfNextStart(since begun: EffectiveConfiguration) -> [String] {
        let present = SettingReader(merged)
        let before = SettingReader(begun.merged)
        return SettingTable.keys.compactMap { key in
            let path = SettingPath(dotted: key.path)
            guard key.level == .local, key.application == .daemon, key.kind != .section, key.withoutEffect == nil,
                // The REST server tells of its own; those of the top and of PostgreSQL are in `fixedChanges`; the
                // sections of stores that are not used are told as such.
                let section = path.elements.first, path.elements.count > 1,
                !["restapi", "postgresql"].contains(section),
                section == store.section || !StoreSettings.sections.contains(section)
            else { return nil }
            let (new, old) = (present.raw(key.path) ?? key.standard, before.raw(key.path) ?? key.standard)
            if (new ?? .null).deepEquals(old ?? .null) { return nil }
            let message = "the change holds from the next start of the daemon on"
            return ConfigurationProblem(path, message, merged.origin(of: path)).description
        }
    }
}
