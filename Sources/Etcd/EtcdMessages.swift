import ClusterModel

/// The bodies of requests to the JSON gateway (dcs.md §5.3).
enum EtcdMessages {
    /// A range below `prefix`, linearizable.
    static func range(prefix: String, countOnly: Bool = false) -> JSONObject {
        var body = span(prefix)
        if countOnly { body["count_only"] = true }
        return body
    }

    /// What was put below `prefix` after `revision`, linearizable; the answer counts all keys nevertheless.
    static func changes(prefix: String, after revision: Revision) -> JSONObject {
        var body = span(prefix)
        body["min_mod_revision"] = .int(revision + 1)
        return body
    }

    /// One key, linearizable.
    static func key(_ key: String) -> JSONObject { ["key": .string(Base64.encode(key))] }

    static func leaseGrant(ttl: Duration) -> JSONObject {
        ["TTL": .int(max(1, ttl.components.seconds))]
    }

    static func leaseKeepalive(_ lease: String) -> JSONObject { ["ID": .string(lease)] }

    static func authenticate(_ username: String, _ password: String) -> JSONObject {
        ["name": .string(username), "password": .string(password)]
    }

    /// A watch on every key below `prefix`. Progress notifications keep the place in the log known while nothing
    /// happens, so that a compaction in between costs no full read.
    static func watch(prefix: String, from revision: Revision) -> JSONObject {
        var request = span(prefix)
        request["start_revision"] = .string(String(revision))
        request["progress_notify"] = true
        return ["create_request": .object(request)]
    }

    static func transaction(_ compares: [JSONValue], then success: [JSONValue], else failure: [JSONValue] = [])
        -> JSONObject
    {
        var body: JSONObject = ["compare": .array(compares), "success": .array(success)]
        if !failure.isEmpty { body["failure"] = .array(failure) }
        return body
    }

    private static func span(_ prefix: String) -> JSONObject {
        [
            "key": .string(Base64.encode(prefix)),
            "range_end": .string(Base64.encode(EtcdKeys.end(ofPrefix: prefix))),
        ]
    }
}

/// What must hold for a transaction's success branch. Equality is the gateway's default operator.
enum EtcdCompare {
    static func absent(_ key: String) -> JSONValue {
        ["target": "CREATE", "create_revision": "0", "key": .string(Base64.encode(key))]
    }

    static func unchanged(_ key: String, since revision: Revision) -> JSONValue {
        ["target": "MOD", "mod_revision": .string(String(revision)), "key": .string(Base64.encode(key))]
    }

    static func value(_ key: String, is value: String) -> JSONValue {
        ["target": "VALUE", "value": .string(Base64.encode(value)), "key": .string(Base64.encode(key))]
    }

    static func lease(_ key: String, is lease: String) -> JSONValue {
        ["target": "LEASE", "lease": .string(lease), "key": .string(Base64.encode(key))]
    }

    /// The key is as it was seen; nil for absent.
    static func asSeen(_ key: String, _ revision: Revision?) -> JSONValue {
        if let revision { unchanged(key, since: revision) } else { absent(key) }
    }
}

/// What a branch of a transaction does.
enum EtcdOperation {
    static func put(_ key: String, _ value: String, lease: String? = nil) -> JSONValue {
        var put: JSONObject = ["key": .string(Base64.encode(key)), "value": .string(Base64.encode(value))]
        put["lease"] = lease.map { .string($0) }
        return ["request_put": .object(put)]
    }

    static func delete(_ key: String) -> JSONValue {
        ["request_delete_range": ["key": .string(Base64.encode(key))]]
    }

    static func get(_ key: String) -> JSONValue { ["request_range": ["key": .string(Base64.encode(key))]] }

    static func transaction(_ body: JSONObject) -> JSONValue { ["request_txn": .object(body)] }
}
