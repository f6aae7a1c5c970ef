public import ClusterModel

/// What an operator's tool asks of the store beyond what a daemon does (ctl.md §2).
public protocol StoreAdministration: DistributedConfigurationStore {
    /// The groups of a Citus cluster, each a cluster of its own below the path of the whole (ctl.md §3.5), read at once
    /// and linearizably.
    func loadGroups(deadline: BootInstant) async throws(DCSError) -> [Int: ClusterView]

    /// Deletes every key below the cluster's path, those of its groups as well. How many there were.
    func removeAll(deadline: BootInstant) async throws(DCSError) -> Int

    /// How the store itself is: what of it endangers the clusters that rest on it.
    func condition(deadline: BootInstant) async throws(DCSError) -> StoreCondition
}

/// How a store is, as far as it tells.
public struct StoreCondition: Sendable, Hashable {
    /// How many servers make it up.
    public let servers: Int
    /// What they complain of.
    public let alarms: [Alarm]

    /// In the store's own words, with what is to be done about it there.
    public struct Alarm: Sendable, Hashable {
        public let name: String
        public let remedy: String

        public init(name: String, remedy: String) {
            self.name = name
            self.remedy = remedy
        }
    }

    public init(servers: Int, alarms: [Alarm]) {
        self.servers = servers
        self.alarms = alarms
    }
}
