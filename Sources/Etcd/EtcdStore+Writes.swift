public import ClusterModel
import JSON
public import Ports

/// The permanent keys: every write is one transaction that compares first (S9).
extension EtcdStore {
    public func write(_ key: DCSKey, _ value: DCSValue, if condition: WriteCondition, deadline: BootInstant)
        async throws(DCSError) -> WriteOutcome
    {
        let value = value.stored
        let path = keys.prefix + key.rawValue
        let answer = try await put(key, path, value, condition, deadline)
        if answer.value.succeeded { return .written(answer.value.revision) }
        // An attempt without an answer may have been the one that wrote. An empty value is everybody's, so whose it is
        // cannot be told: then it counts as the other's (two nodes must not both bootstrap).
        if answer.isRepeated, !value.isEmpty, let found = answer.value.found, found.value == value {
            return .written(found.revision)
        }
        return .refused
    }

    /// The claim to make a cluster hangs on our session: where the claimant is gone for good, everybody else would wait
    /// for it for ever. The identifier that takes its place stays, like every other value.
    private func put(
        _ key: DCSKey, _ path: String, _ value: String, _ condition: WriteCondition, _ deadline: BootInstant
    ) async throws(DCSError) -> Answer<EtcdTransactionReply> {
        guard key == .initialize, value.isEmpty else {
            return try await conditionally(path, condition, EtcdOperation.put(path, value), deadline)
        }
        return try await withLease(deadline) { (lease) async throws(EtcdError) in
            let body = EtcdMessages.transaction(
                await self.compares(path, condition), then: [EtcdOperation.put(path, value, lease: lease.id)],
                else: [EtcdOperation.get(path)])
            return try await self.transaction(body, deadline)
        }
    }

    public func delete(_ key: DCSKey, if condition: WriteCondition, deadline: BootInstant) async throws(DCSError)
        -> WriteOutcome
    {
        let path = keys.prefix + key.rawValue
        let answer = try await conditionally(path, condition, EtcdOperation.delete(path), deadline)
        let isGone = answer.isRepeated && answer.value.found == nil
        return answer.value.succeeded || isGone ? .written(answer.value.revision) : .refused
    }

    private func conditionally(
        _ path: String, _ condition: WriteCondition, _ operation: JSONValue, _ deadline: BootInstant
    ) async throws(DCSError) -> Answer<EtcdTransactionReply> {
        do throws(EtcdError) {
            let compares = await compares(path, condition)
            let body = EtcdMessages.transaction(compares, then: [operation], else: [EtcdOperation.get(path)])
            return try await transaction(body, deadline)
        } catch {
            throw DCSError(error)
        }
    }

    func compares(_ path: String, _ condition: WriteCondition) async -> [JSONValue] {
        switch condition {
        case .absent: return [EtcdCompare.absent(path)]
        case .unchanged(let revision): return [EtcdCompare.unchanged(path, since: revision)]
        case .leading:
            var compares = [EtcdCompare.value(keys.leader, is: name)]
            // The name alone would also be that of a second daemon with our name.
            if let leaderLease, await transport.version?.canCompareLeases == true {
                compares.append(EtcdCompare.lease(keys.leader, is: leaderLease))
            }
            return compares
        case .leadingAsSeen(let revision):
            return await compares(path, .leading) + compares(path, .asSeen(revision))
        }
    }

    func transaction(_ body: JSONObject, _ deadline: BootInstant) async throws(EtcdError)
        -> Answer<EtcdTransactionReply>
    {
        try await transport.call(EtcdTransport.transactionPath, body, deadline: deadline) { EtcdTransactionReply($0) }
    }
}

/// How values are spelt in etcd, as Patroni spells them.
extension DCSValue {
    /// What a change brought: a member's key is read, for what it says tells whom the change concerns. Everything else
    /// is loaded by whoever needs it.
    init(_ text: String, of leaf: String) {
        let document = leaf.hasPrefix("members/") ? try? JSON.parse(text) : nil
        self = document.map { .document($0) } ?? .text(text)
    }

    var stored: String {
        switch self {
        case .text(let text): text
        case .document(let value): JSON.text(value, .compact)
        }
    }
}
