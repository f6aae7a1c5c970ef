import ClusterModel
import JSON

/// The configuration of a test's node. JSON is YAML, so the files are written as JSON.
struct NodeConfiguration {
    var name: String
    var directory: String
    var restPort: Int
    var postgresqlPort: Int
    var etcdPort: Int
    var binDirectory: String
    var dynamic: JSONObject
    var tags: JSONObject
    /// What comes on top of the addresses.
    var restAPI: JSONObject = [:]
    var ctl: JSONObject = [:]
    /// What is put over all of it, section by section.
    var local: JSONObject = [:]

    /// The shortest times that Patroni allows (configuration.md §7): tests wait for leases to expire.
    static let quick: JSONObject = [
        "ttl": 20, "loop_wait": 2, "retry_timeout": 3, "maximum_lag_on_failover": 1_048_576,
        "postgresql": [
            "use_pg_rewind": true, "use_slots": true,
            "parameters": [
                "wal_keep_size": "64MB", "max_connections": 60, "shared_buffers": "16MB", "fsync": "off",
            ],
        ],
    ]

    /// The same with a lease of five seconds, which Patroni does not know.
    static let quickest: JSONObject = {
        var dynamic = quick
        dynamic["ttl"] = 5
        dynamic["loop_wait"] = 1
        dynamic["retry_timeout"] = 2
        return dynamic
    }()

    static let password = "only-for-tests"

    var text: String {
        let rest: JSONValue = .string("127.0.0.1:\(restPort)")
        let postgresql: JSONValue = .string("127.0.0.1:\(postgresqlPort)")
        var restAPI: JSONObject = ["listen": rest, "connect_address": rest]
        for setting in self.restAPI.members { restAPI[setting.key] = setting.value }
        func account(_ name: String) -> JSONValue {
            ["username": .string(name), "password": .string(NodeConfiguration.password)]
        }
        var document: JSONObject = [
            "scope": "demo", "name": .string(name),
            "restapi": .object(restAPI), "ctl": .object(ctl),
            "etcd3": ["hosts": [.string("127.0.0.1:\(etcdPort)")]],
            "bootstrap": ["dcs": .object(dynamic), "initdb": [["encoding": "UTF8"], "data-checksums"]],
            "tags": .object(tags),
            "postgresql": [
                "listen": postgresql, "connect_address": postgresql,
                "data_dir": .string("\(directory)/data"), "bin_dir": .string(binDirectory),
                "pgpass": .string("\(directory)/pgpass"),
                "authentication": [
                    "superuser": account("postgres"), "replication": account("replicator"),
                    "rewind": account("rewinder"),
                ],
                "pg_hba": [
                    "local all all scram-sha-256", "host replication replicator 127.0.0.1/32 scram-sha-256",
                    "host all all 127.0.0.1/32 scram-sha-256",
                ],
                "parameters": ["unix_socket_directories": .string(directory)],
            ],
        ]
        for section in local.members {
            var merged = document[section.key]?.object ?? [:]
            guard let settings = section.value.object else {
                document[section.key] = section.value
                continue
            }
            for setting in settings.members { merged[setting.key] = setting.value }
            document[section.key] = .object(merged)
        }
        return JSON.text(document)
    }
}
