import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    /// A request goes out; without an answer by its deadline the node hears that nobody answered.
    mutating func send(_ effect: CycleEffect, _ index: Int, _ incarnation: Int) {
        let deadline = effect.deadline ?? now + .seconds(10)
        let arrives = now + generator.milliseconds(in: 1...4) + storeDelay
        requests += 1
        if arrives >= deadline || store.isDown || nodes[index].isCutFromStore {
            let refused = store.isDown && generator.oneIn(2)
            let event = effect.failure(.unreachable("no endpoint answers"))
            queue.add(
                .deliver(node: index, incarnation: incarnation, event), at: refused ? now + .milliseconds(2) : deadline)
            return
        }
        queue.add(.request(node: index, incarnation: incarnation, sent: now, effect), at: arrives)
    }

    /// The store takes a request that was on its way, also of a daemon that has died since.
    mutating func answer(_ effect: CycleEffect, _ index: Int, _ incarnation: Int, _ sent: BootInstant) {
        let name = nodes[index].name
        let ttl = nodes[index].configuredTTL
        if store.isDown || nodes[index].isCutFromStore {
            let event = effect.failure(.unreachable("the connection was lost"))
            queue.add(.deliver(node: index, incarnation: incarnation, event), at: effect.deadline ?? now)
            return
        }
        let event: CycleEvent
        switch effect {
        case .load: event = .loaded(.success(store.view()))
        case .renew(_, _): event = .renewed(.success(noted(store.renew(name, ttl: ttl, sent: sent, now))))
        case .acquire: event = .acquired(.success(acquired(store.acquire(name, ttl: ttl, sent: sent, now), index)))
        case .release(let status, _):
            if let status { _ = store.write(.status, Self.text(status), .leading, by: name) }
            event = .released(.success(store.release(name)))
        case .write(let key, let value, let condition, let purpose, _):
            event = .wrote(purpose, .success(store.write(key, value, condition, by: name)))
        case .delete(let key, let condition, let purpose, _):
            event = .wrote(purpose, .success(store.delete(key, condition, by: name)))
        case .touch(let value, _, _):
            store.touch(name, value, ttl: ttl, now)
            event = .touched(.success(()))
        case .setTimer, .observe, .askPeers, .compare, .perform, .breakOff, .applySlots, .checkpoint, .readHistory,
            .adoptConfiguration, .cacheConfiguration, .adoptTimings, .retryReceipt, .guardLease, .reply, .publish, .log,
            .exit:
            return
        }
        tellWatchers()
        let back = now + generator.milliseconds(in: 1...4) + storeDelay
        let deadline = effect.deadline ?? back
        if back > deadline {
            // Done, and not known to be done.
            let lost = effect.failure(.unreachable("no answer in time"))
            queue.add(.deliver(node: index, incarnation: incarnation, lost), at: deadline)
        } else {
            queue.add(.deliver(node: index, incarnation: incarnation, event), at: back)
        }
    }

    private mutating func noted(_ claim: LeaderClaim) -> LeaderClaim {
        if claim == .refused { count(.leaseRefused) }
        return claim
    }

    private mutating func acquired(_ claim: LeaderClaim, _ index: Int) -> LeaderClaim {
        guard case .held = claim else { return claim }
        count(.leaderElected)
        return claim
    }

    /// A watch tells each node of each change, a little later; one that is cut off hears nothing and reads again later.
    mutating func tellWatchers() {
        for change in store.takeChanges() {
            for index in nodes.indices where nodes[index].machine != nil && !nodes[index].isCutFromStore {
                // Some events are lost: the timer alone must carry the cycle.
                if generator.oneIn(20) { continue }
                let event = CycleEvent.storeChanged(
                    .changed(leaf: change.leaf, value: change.value, revision: change.revision))
                let at = now + generator.milliseconds(in: 1...30) + storeDelay
                queue.add(.deliver(node: index, incarnation: nodes[index].incarnation, event), at: at)
            }
        }
    }
}

extension CycleEffect {
    /// By when the node wants an answer.
    var deadline: BootInstant? {
        switch self {
        case .load(let deadline), .renew(_, let deadline), .acquire(let deadline), .release(_, let deadline),
            .write(_, _, _, _, let deadline), .delete(_, _, _, let deadline), .touch(_, _, let deadline),
            .observe(let deadline), .askPeers(_, _, let deadline), .compare(_, let deadline),
            .breakOff(let deadline), .applySlots(_, let deadline):
            deadline
        case .setTimer, .perform, .checkpoint, .readHistory, .adoptConfiguration, .cacheConfiguration, .adoptTimings,
            .retryReceipt, .guardLease, .reply, .publish, .log, .exit:
            nil
        }
    }

    /// The event that tells of a request that failed.
    func failure(_ error: DCSError) -> CycleEvent {
        switch self {
        case .load: .loaded(.failure(error))
        case .renew: .renewed(.failure(error))
        case .acquire: .acquired(.failure(error))
        case .release: .released(.failure(error))
        case .write(_, _, _, let purpose, _), .delete(_, _, let purpose, _): .wrote(purpose, .failure(error))
        case .touch: .touched(.failure(error))
        case .setTimer, .observe, .askPeers, .compare, .perform, .breakOff, .applySlots, .checkpoint, .readHistory,
            .adoptConfiguration, .cacheConfiguration, .adoptTimings, .retryReceipt, .guardLease, .reply, .publish, .log,
            .exit:
            .woken("")
        }
    }
}
