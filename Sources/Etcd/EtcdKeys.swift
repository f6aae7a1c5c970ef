/// The keys of one cluster (dcs.md §1).
struct EtcdKeys: Sendable, Hashable {
    /// `/service/batman`, without a slash at the end.
    let base: String
    private let name: String

    init(namespace: String, scope: String, name: String) {
        base = "/" + "\(namespace)/\(scope)".split(separator: "/").joined(separator: "/")
        self.name = name
    }

    /// What every key of the cluster begins with.
    var prefix: String { base + "/" }
    var leader: String { prefix + "leader" }
    var member: String { prefix + "members/" + name }

    /// The part of `key` below the prefix; nil for a key of somebody else's.
    func leaf(_ key: String) -> String? { key.hasPrefix(prefix) ? String(key.dropFirst(prefix.count)) : nil }

    /// The first key after all keys that begin with `prefix`: its last byte below 0xff counted up.
    static func end(ofPrefix prefix: String) -> [UInt8] {
        var bytes = Array(prefix.utf8)
        while let last = bytes.popLast() {
            if last < 0xff { return bytes + [last + 1] }
        }
        // etcd's word for "to the end of all keys".
        return [0]
    }
}
