import ClusterModel
public import Ports

extension DistributedConfigurationStore {
    /// Tests say what stands in etcd as it is spelt there.
    func write(_ key: DCSKey, _ text: String, if condition: WriteCondition, deadline: BootInstant)
        async throws(DCSError) -> WriteOutcome
    {
        try await write(key, .text(text), if: condition, deadline: deadline)
    }
}

extension DCSValue: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self = .text(text) }
}
