import ClusterModel
import HighAvailability
import Node
import Ports

/// A store that is full takes nothing that it would have to keep (etcd's alarm NOSPACE); what is read, deleted and
/// prolonged goes on.
extension World {
    /// Whoever asks it gets an answer, and what it says holds.
    var isStoreFaithful: Bool {
        lossyStore.isEmpty && storeIsFull == 0 && troubles.isSlight && isStoreOfOneLife
    }

    /// What a full store says to a request that it does not take.
    mutating func refusedByFullStore(_ sent: SentRequest) -> StoreAnswer? {
        guard storeIsFull > 0, mustKeep(sent) else { return nil }
        coverage.count(.storeFull)
        return sent.request.failed(.failed("mvcc: database space exceeded"))
    }

    private func mustKeep(_ sent: SentRequest) -> Bool {
        let name = name(sent.node)
        let session = store.session(of: name, ttl: nodes[sent.node].ttl)
        switch sent.request {
        case .load, .refresh, .delete: return false
        case .acquire, .write: return true
        case .renew: return session == nil || store.leader?.session != session
        case .release(let status): return status != nil
        case .touch(let value, _, _):
            let key = store.keys["members/\(name)"]
            return session == nil || key?.session != session || key?.value != .object(value)
        }
    }

    /// Progress: what is refused is tried again after a while, and not at once.
    mutating func checkAttempts(_ request: StoreRequest, _ index: Int) {
        guard storeIsFull > 0, nodes[index].deferred.isEmpty else { return }
        switch request {
        case .load, .refresh, .delete, .renew, .release, .touch: return
        case .acquire, .write: break
        }
        var recent = nodes[index].records.attempts.filter { now - $0 < .seconds(2) }
        recent.append(now)
        nodes[index].records.attempts = recent
        if recent.count > 20 {
            violate(.progress, "\(name(index)) asks a store that is full \(recent.count) times in two seconds")
        }
    }
}
