import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    var storeDelay: Duration { storeDelays.max() ?? .zero }

    private func isUnreachable(_ index: Int) -> Bool { storeIsDown > 0 || nodes[index].cutFromStore > 0 }

    private mutating func isLost() -> Bool { lossyStore.min().map { generator.oneIn($0) } ?? false }

    /// A request goes out; without an answer by its deadline the node hears that nobody answered.
    mutating func send(_ effect: CycleEffect, _ index: Int, _ incarnation: Int) {
        let deadline = effect.deadline ?? now + .seconds(10)
        let arrives = now + generator.milliseconds(in: 1...4) + storeDelay
        if arrives >= deadline || isUnreachable(index) || isLost() {
            let refused = storeIsDown > 0 && generator.oneIn(2)
            return fail(
                effect, "no endpoint answers", at: refused ? now + .milliseconds(2) : deadline, index, incarnation)
        }
        let session = nodes[index].leaderSession
        queue.add(
            .request(node: index, incarnation: incarnation, sent: now, session: session, effect), at: arrives)
    }

    private mutating func fail(
        _ effect: CycleEffect, _ why: String, at instant: BootInstant, _ index: Int, _ incarnation: Int
    ) {
        queue.add(
            .deliver(node: index, incarnation: incarnation, effect.failure(.unreachable(why))), at: max(instant, now))
    }

    /// The store takes a request that was on its way, also of a daemon that has died since.
    mutating func answer(
        _ effect: CycleEffect, _ index: Int, _ incarnation: Int, _ sent: BootInstant, _ session: String?
    ) {
        let deadline = effect.deadline ?? now
        if isUnreachable(index) { return fail(effect, "the connection was lost", at: deadline, index, incarnation) }
        // The adapter of a daemon that was restarted has no session yet; a late request of the old one opens none.
        let isOld = nodes[index].incarnation != incarnation
        if isOld, effect.opensSession { return }
        guard let event = taken(effect, index, sent, session) else { return }
        if !isOld { follow(event, index) }
        tellWatchers()
        let back = now + generator.milliseconds(in: 1...4) + storeDelay
        if back > deadline || nodes[index].losesAnswers > 0 || isLost() {
            // Done, and not known to be done.
            if effect.writes { coverage.count(.unknownOutcome) }
            fail(effect, "no answer in time", at: deadline, index, incarnation)
        } else {
            queue.add(.deliver(node: index, incarnation: incarnation, event), at: back)
        }
    }

    /// What the store does with a request, and what it says.
    private mutating func taken(_ effect: CycleEffect, _ index: Int, _ sent: BootInstant, _ session: String?)
        -> CycleEvent?
    {
        let name = nodes[index].name
        let claimant = SimulatedStore.Claimant(name: name, session: session)
        let ttl = nodes[index].ttl
        switch effect {
        case .load:
            guard let lag = nodes[index].staleness.max() else { return .loaded(.success(store.view(now))) }
            return .loaded(.success(store.view(at: now - lag, now)))
        case .renew(_, let replacingGone, _):
            let claim = store.renew(name, ttl: ttl, replacingGone: replacingGone, since: sent, now)
            return .renewed(.success(noted(claim, .renewalRefused)))
        case .acquire:
            let claim = noted(store.acquire(name, ttl: ttl, since: sent, now), .claimRefused)
            if case .held = claim { checkElection(index) }
            return .acquired(.success(claim))
        case .release(let status, _):
            let isDone = store.release(status: status.map(Self.text), by: claimant)
            if isDone { checkRelease(index) }
            if isDone, status != nil { handOver(index) }
            return .released(.success(isDone))
        case .write(let key, let value, let condition, let purpose, _):
            let holds = store.holds(condition, key, claimant)
            let outcome = store.write(key, setup.bug?.written(key, value) ?? value, condition, by: claimant)
            checkWrite(key, holds, outcome, index)
            return .wrote(purpose, .success(outcome))
        case .delete(let key, let condition, let purpose, _):
            let holds = store.holds(condition, key, claimant)
            let outcome = store.delete(key, condition, by: claimant)
            checkWrite(key, holds, outcome, index)
            return .wrote(purpose, .success(outcome))
        case .touch(let value, _, _):
            store.touch(name, value, ttl: ttl, now)
            return .touched(.success(()))
        case .setTimer, .observe, .askPeers, .compare, .perform, .breakOff, .applySlots, .checkpoint, .readHistory,
            .adoptConfiguration, .cacheConfiguration, .adoptTimings, .retryReceipt, .guardLease, .reply, .publish, .log,
            .exit:
            return nil
        }
    }

    /// What the daemon's client of the store keeps of an answer.
    private mutating func follow(_ event: CycleEvent, _ index: Int) {
        switch event {
        case .renewed(.success(.held(_, _, let session))), .acquired(.success(.held(_, _, let session))):
            nodes[index].leaderSession = session
        case .released: nodes[index].leaderSession = nil
        default: break
        }
    }

    private mutating func noted(_ claim: LeaderClaim, _ state: Coverage.State) -> LeaderClaim {
        if claim == .refused { coverage.count(state) }
        return claim
    }

    private mutating func handOver(_ index: Int) {
        let log = nodes[index].postgreSQL.log
        // Without its last record, the checkpoint, which no client waits for.
        let candidates = nodes.indices.filter { $0 != index && nodes[$0].postgreSQL.log.count >= log.count - 1 }
        let kind = nodes[index].published?.running?.plan.kind
        handedOver = (log.branch, log.count - 1, Set(candidates))
        if kind == .handOver { coverage.count(.switchoverDone) }
        note("\(name(index)): the leader key is handed over")
    }

    // MARK: Watches

    /// A watch tells each node of each change, a little later; one that is cut off hears nothing.
    mutating func tellWatchers() {
        for change in store.takeChanges() {
            for index in nodes.indices where nodes[index].machine != nil {
                tell(index, .changed(leaf: change.leaf, value: change.value, revision: change.revision))
            }
        }
    }

    private mutating func tell(_ index: Int, _ change: DCSEvent) {
        let node = nodes[index]
        // Some events are lost: the timer alone must carry the cycle.
        if node.cutFromStore > 0 || node.muted > 0 || generator.oneIn(20) { return }
        if node.compacted > 0 && generator.oneIn(2) {
            coverage.count(.resynchronized)
            return reply(.storeChanged(.resynchronized), to: index, node.incarnation, after: 50...1500)
        }
        let at = now + generator.milliseconds(in: 1...30) + storeDelay
        queue.add(.deliver(node: index, incarnation: node.incarnation, .storeChanged(change)), at: at)
        if node.repeats > 0 {
            reply(.storeChanged(change), to: index, node.incarnation, after: 1...5000)
        }
    }

    /// A watch that works again after a gap says so.
    mutating func resumeWatch(_ index: Int) {
        guard nodes[index].machine != nil else { return }
        coverage.count(.resynchronized)
        reply(.storeChanged(.resynchronized), to: index, nodes[index].incarnation, after: 10...500)
    }
}

extension CycleEffect {
    /// Requests that prolong or open the node's session.
    fileprivate var opensSession: Bool {
        switch self {
        case .renew, .acquire, .touch: true
        case .load, .release, .write, .delete, .setTimer, .observe, .askPeers, .compare, .perform, .breakOff,
            .applySlots, .checkpoint, .readHistory, .adoptConfiguration, .cacheConfiguration, .adoptTimings,
            .retryReceipt, .guardLease, .reply, .publish, .log, .exit:
            false
        }
    }

    fileprivate var writes: Bool {
        switch self {
        case .release, .write, .delete: true
        default: opensSession
        }
    }

    /// By when the node wants an answer.
    var deadline: BootInstant? {
        switch self {
        case .load(let deadline), .renew(_, _, let deadline), .acquire(let deadline), .release(_, let deadline),
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
    fileprivate func failure(_ error: DCSError) -> CycleEvent {
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
