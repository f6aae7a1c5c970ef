/// The tags of a node (configuration.md §3.9): those with a meaning as properties, all of them in their order.
public struct Tags: Sendable, Hashable {
    /// The tags as configured or as read from a member key.
    public let raw: JSONObject

    public init(_ raw: JSONObject) { self.raw = raw }

    /// May never become leader.
    public var nofailover: Bool {
        if let value = raw["nofailover"] { return value.isTruthy }
        return priority("failover_priority") <= 0
    }

    /// The tie-break between nodes with the same position: higher wins; 0 for a node that may not lead.
    public var failoverPriority: Int {
        if raw["nofailover"]?.isTruthy == true { return 0 }
        return max(0, priority("failover_priority"))
    }

    /// May never be a synchronous standby.
    public var nosync: Bool {
        if let value = raw["nosync"] { return value.isTruthy }
        return priority("sync_priority") <= 0
    }

    /// Among standbys that may be synchronous the higher one goes first; 0 for a node that may not.
    public var syncPriority: Int {
        if raw["nosync"]?.isTruthy == true { return 0 }
        return max(0, priority("sync_priority"))
    }

    /// Where the node stands: what fails together has the same one. Ours; nil where nothing is said.
    public var zone: String? {
        guard let zone = raw["zone"], !zone.isNull else { return nil }
        let text = zone.comparableText
        return text.isEmpty ? nil : text
    }

    /// Not to be used by load balancers as a replica.
    public var noloadbalance: Bool { raw["noloadbalance"]?.isTruthy == true }

    /// A preferred source of base backups.
    public var clonefrom: Bool { raw["clonefrom"]?.isTruthy == true }

    /// The member to stream from in place of the leader.
    public var replicatefrom: String? {
        guard let name = raw["replicatefrom"]?.string, !name.isEmpty else { return nil }
        return name
    }

    /// Follows by archive recovery only: no streaming, no slot on the leader.
    public var nostream: Bool {
        guard let value = raw["nostream"], !value.isNull else { return false }
        return ["on", "true", "yes", "1"].contains(value.comparableText.lowercased())
    }

    /// What the member key and `/patroni` show: built-in tags only where they are true, except `nofailover` and
    /// `nosync` beside their priorities; all others always.
    public var published: JSONObject {
        let builtIn = ["clonefrom", "nofailover", "noloadbalance", "nosync", "nostream"]
        return JSONObject(
            raw.members.filter { member in
                guard builtIn.contains(member.key) else { return true }
                if member.value.isTruthy { return true }
                if member.key == "nofailover" { return raw["failover_priority"] != nil }
                if member.key == "nosync" { return raw["sync_priority"] != nil }
                return false
            }.map { ($0.key, $0.value) })
    }

    private func priority(_ key: String) -> Int {
        switch raw[key] {
        case .int(let value)?: Int(clamping: value)
        case .string(let text)?: Int(text) ?? 1
        default: 1
        }
    }
}
