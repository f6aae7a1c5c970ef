import ClusterModel
import JSON

/// Clusters that stand in the store and run nowhere: each situation that a listing shows.
struct StoredCluster: Sendable, CustomStringConvertible {
    let name: String
    /// Leaf to value.
    let keys: [String: String]

    var description: String { name }

    private static let megabyte: Int64 = 1 << 20
    static let identifier = "7400000000000000001"

    static func member(
        _ number: Int, role: String = "replica", state: String = "running", _ more: JSONObject = [:]
    ) -> String {
        var object: JSONObject = [
            "conn_url": .string("postgres://127.0.0.\(number):5432/postgres"),
            // Nobody listens there.
            "api_url": "http://127.0.0.1:1/patroni", "state": .string(state), "role": .string(role),
            "version": "4.1.5", "timeline": 4,
        ]
        for member in more.members { object[member.key] = member.value.isNull ? nil : member.value }
        return JSON.text(object, .compact)
    }

    /// One primary, one that streams, one that is stopped.
    private static var healthyKeys: [String: String] {
        [
            "initialize": identifier, "leader": "n1", "status": #"{"optime": \#(500 * megabyte)}"#,
            "config": #"{"ttl": 30, "loop_wait": 10, "postgresql": {"parameters": {"max_connections": 100}}}"#,
            "history": """
            [[1, 25623960, "no recovery target specified", "2026-01-01T10:00:00.123456+00:00", "n2"],\
            [2, 25624000, "no recovery target specified"]]
            """,
            "members/n1": member(1, role: "primary", ["xlog_location": .int(500 * megabyte)]),
            "members/n2": member(
                2,
                [
                    "xlog_location": .int(499 * megabyte), "receive_lsn": .int(499 * megabyte),
                    "replay_lsn": .int(498 * megabyte + megabyte / 2), "replication_state": "streaming",
                ]),
            "members/n3": member(3, state: "stopped", ["timeline": .null]),
        ]
    }

    private static func with(_ name: String, _ changes: [String: String?]) -> StoredCluster {
        var keys = healthyKeys
        for (leaf, value) in changes { keys[leaf] = value }
        return StoredCluster(name: name, keys: keys)
    }

    static let all: [StoredCluster] = [
        with("healthy", [:]), with("paused", ["config": #"{"pause": true}"#]),
        with(
            "sync",
            [
                "config": #"{"synchronous_mode": true}"#,
                "sync": #"{"leader": "n1", "sync_standby": "n2", "quorum": 0}"#,
            ]),
        with(
            "quorum",
            [
                "config": #"{"synchronous_mode": "quorum"}"#,
                "sync": #"{"leader": "n1", "sync_standby": "n2,n3", "quorum": 1}"#,
            ]),
        with(
            "standby",
            [
                "config": #"{"standby_cluster": {"host": "192.0.2.1"}}"#,
                "members/n1": member(1, role: "standby_leader", ["replication_state": "streaming"]),
            ]),
        with(
            "pending",
            [
                "members/n2": member(
                    2,
                    [
                        "pending_restart": true,
                        "pending_restart_reason": [
                            "max_connections": ["old_value": "100", "new_value": "200"],
                            "shared_preload_libraries": [
                                "old_value": "a", "new_value": .string(String(repeating: "b", count: 60)),
                            ],
                        ],
                        "scheduled_restart": ["schedule": "2030-01-01T10:00:00+00:00", "postgres_version": "15.9"],
                        "tags": ["nofailover": true, "zone": "é 1", "since": "2020-01-01", "replicatefrom": "n3"],
                    ])
            ]),
        with(
            "scheduled",
            ["failover": #"{"leader": "n1", "member": "n2", "scheduled_at": "2030-01-01T10:00:00+00:00"}"#]),
        with("dead", ["members/n2": nil]),
        with("leaderless", ["leader": nil, "initialize": "1234567890"]),
        with(
            "cascade",
            [
                "members/n4": member(4, ["tags": ["replicatefrom": "n2"]]),
                "members/n5": member(5, ["tags": ["replicatefrom": "n4"]]),
                "members/n6": member(6, ["tags": ["replicatefrom": "gone"]]), "members/n7": "no JSON at all",
            ]),
        StoredCluster(name: "empty", keys: [:]),
        StoredCluster(
            name: "forty",
            keys: Dictionary(
                uniqueKeysWithValues: (1...40).map { ("members/n\($0)", member($0, ["lag": 1])) }
            ).merging(["leader": "n1", "initialize": identifier]) { $1 }),
    ]

    /// Three groups of a Citus cluster, as one scope.
    static let citus: [String: String] = {
        var keys: [String: String] = [:]
        for group in 0..<3 { for (leaf, value) in healthyKeys { keys["\(group)/\(leaf)"] = value } }
        keys["1/config"] = #"{"pause": true}"#
        return keys
    }()
}
