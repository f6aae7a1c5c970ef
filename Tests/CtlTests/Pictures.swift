import ClusterModel
import JSON

@testable import Ctl

/// Clusters made of what would stand in the store.
enum Pictures {
    static let identifier = "7400000000000000001"
    private static let megabyte: Int64 = 1 << 20

    /// `keys` are leaves below the cluster's path.
    static func view(_ keys: [String: String]) -> ClusterView {
        let entries = keys.sorted { $0.key < $1.key }.map { StoredEntry(leaf: $0.key, value: $0.value, revision: 1) }
        return ClusterView(entries: entries, revision: 1) { try? JSON.parse($0) }
    }

    static func picture(_ name: String, _ keys: [String: String]) -> ClusterPicture {
        ClusterPicture(
            name: name, group: nil, isCitus: false,
            groups: [ClusterPicture.Group(number: nil, view: view(keys))])
    }

    static func citus(_ name: String, group: Int? = nil, _ groups: [Int: [String: String]]) -> ClusterPicture {
        ClusterPicture(
            name: name, group: group, isCitus: true,
            groups: groups.sorted { $0.key < $1.key }.map { ClusterPicture.Group(number: $0.key, view: view($0.value)) }
        )
    }

    /// The value of a member's key.
    static func member(
        _ host: String, port: Int = 5432, role: String = "replica", state: String = "running",
        _ more: JSONObject = [:]
    ) -> String {
        var object: JSONObject = [
            "conn_url": .string("postgres://\(host):\(port)/postgres"), "role": .string(role), "state": .string(state),
            "timeline": 4,
        ]
        for member in more.members { object[member.key] = member.value.isNull ? nil : member.value }
        return JSON.text(object, .compact)
    }

    /// The example of ctl.md §5.2.
    static var orders: [String: String] {
        [
            "initialize": identifier, "leader": "pg-a", "config": #"{"synchronous_mode": true, "pause": true}"#,
            "sync": #"{"leader": "pg-a", "sync_standby": "pg-b"}"#,
            "status": #"{"optime": \#(240 * megabyte)}"#,
            "members/pg-a": member("192.0.2.1", role: "primary"),
            "members/pg-b": member(
                "192.0.2.2",
                [
                    "replication_state": "streaming", "receive_lsn": .int(240 * megabyte),
                    "replay_lsn": .int(239 * megabyte),
                ]),
            "members/pg-c": member("192.0.2.3", state: "stopped", ["timeline": .null]),
        ]
    }
}
