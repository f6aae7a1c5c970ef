import Configuration

/// A node of which nothing is there but the directory that the test has made.
enum Example {
    /// `directory` is where its programs and its data are looked for; nobody listens where its store is.
    static func text(
        _ directory: String, scope: String = "lab", store: String = "127.0.0.2:1", besides: String = ""
    ) -> String {
        """
        scope: \(scope)
        name: n1
        restapi: {listen: "127.0.0.1:8008"}
        etcd3: {hosts: ["\(store)"]}
        postgresql:
          listen: 127.0.0.1:5432
          bin_dir: \(directory)
          data_dir: \(directory)
          pgpass: \(directory)/pgpass
          authentication:
            superuser: {username: postgres, password: secret}
            replication: {username: replicator, password: rep}
        \(besides)
        """
    }

    static func effective(
        _ directory: String, store: String = "127.0.0.2:1", besides: String = ""
    ) throws -> EffectiveConfiguration {
        let whole = text(directory, store: store, besides: besides)
        return try EffectiveConfiguration.effective(local: .parse(whole), dynamic: nil)
    }
}
