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
        ]
        return fixed.compactMap { path, old, new in
            if old == new { return nil }
            return ConfigurationProblem(
                SettingPath(dotted: path),
                "found '\(new)', where the running daemon goes by '\(old)': it changes with a restart of the daemon only"
            )
        }
    }
}
