/// What a key below the cluster's path holds (dcs.md §2): what is read is told by its leaf alone.
public enum ClusterLeaf: Sendable, Hashable {
    case initialize, config, leader, status, failover, sync, history, failsafe
    case rollingRestart
    /// The position of old versions, which write no `/status`.
    case legacyOptime
    /// The key of this member.
    case member(String)
    /// Nobody's that we know of.
    case unknown

    /// The key below the cluster's path: `leader`, `members/n1`; only direct children of `members` are members.
    public init(_ leaf: String) {
        switch leaf {
        case "initialize": self = .initialize
        case "config": self = .config
        case "leader": self = .leader
        case "status": self = .status
        case "failover": self = .failover
        case "sync": self = .sync
        case "history": self = .history
        case "failsafe": self = .failsafe
        case "rolling_restart": self = .rollingRestart
        case "optime/leader": self = .legacyOptime
        default: self = Self.member(leaf).map { .member($0) } ?? .unknown
        }
    }

    private static func member(_ leaf: String) -> String? {
        let directory = "members/"
        guard leaf.hasPrefix(directory) else { return nil }
        let name = leaf.utf8.dropFirst(directory.utf8.count)
        return name.isEmpty || name.contains(UInt8(ascii: "/")) ? nil : String(Substring(name))
    }
}
