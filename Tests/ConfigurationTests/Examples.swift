import ClusterModel
import Configuration
import Glibc
import Posix
import TestSupport

/// Configurations for tests: the smallest one that is complete, and one as a laboratory of three nodes writes it.
enum Example {
    static let minimal = """
        scope: lab
        name: n1
        restapi: {listen: "127.0.0.1:8008"}
        etcd3: {hosts: ["127.0.0.1:2379"]}
        postgresql:
          listen: 127.0.0.1:5432
          data_dir: /data
          authentication:
            superuser: {username: postgres, password: secret}
            replication: {username: replicator, password: rep}
        """

    static let laboratory = """
        bootstrap:
          dcs:
            loop_wait: 10
            maximum_lag_on_failover: 1048576
            postgresql:
              parameters:
                max_connections: 60
                shared_buffers: 32MB
                wal_keep_size: 64MB
              use_pg_rewind: true
              use_slots: true
            retry_timeout: 10
            ttl: 30
          initdb:
          - encoding: UTF8
          - data-checksums
        etcd3:
          hosts:
          - 127.0.0.1:20001
        name: n1
        postgresql:
          authentication:
            replication:
              password: rep
              username: replicator
            rewind:
              password: rew
              username: rewinder
            superuser:
              password: secret
              username: postgres
          bin_dir: /usr/lib/postgresql/15/bin
          connect_address: 127.0.0.1:20201
          data_dir: /tmp/lab/n1/data
          listen: 127.0.0.1:20201
          parameters:
            unix_socket_directories: /tmp/lab/n1
          pg_hba:
          - local all all trust
          - host replication all 127.0.0.1/32 md5
          - host all all 127.0.0.1/32 md5
          pgpass: /tmp/lab/n1/pgpass
        restapi:
          connect_address: 127.0.0.1:20101
          listen: 127.0.0.1:20101
        scope: lab
        """

    /// The minimal configuration with `changes` merged into it as a later file would be.
    static func effective(
        _ changes: String = "{}", dynamic: JSONObject? = nil, environment: [String: String] = [:]
    ) throws -> EffectiveConfiguration {
        let directory = try TemporaryDirectory()
        try Files.replace("\(directory.path)/a.yml", with: minimal.utf8, mode: 0o600)
        try Files.replace("\(directory.path)/b.yml", with: changes.utf8, mode: 0o600)
        let local = try LocalConfiguration.load(path: directory.path, environment: environment)
        return try EffectiveConfiguration.effective(local: local, dynamic: dynamic)
    }

    /// The lines of the error that `changes` bring, without the directory.
    static func problems(_ changes: String, environment: [String: String] = [:]) -> [String] {
        do {
            _ = try effective(changes, environment: environment)
            return []
        } catch let error as ConfigurationError {
            return error.problems.map(\.description).map { line in
                let place = line.firstRange(of: "/a.yml:") ?? line.firstRange(of: "/b.yml:")
                return place.map { String(line[$0.lowerBound...].dropFirst()) } ?? line
            }
        } catch {
            return ["\(error)"]
        }
    }
}

extension EffectiveConfiguration {
    /// The settings of the one store that there is.
    var etcd: EtcdSettings {
        switch store {
        case .etcd(let settings): settings
        }
    }
}
