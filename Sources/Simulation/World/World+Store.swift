import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    var storeDelay: Duration { storeDelays.max() ?? .zero }

    func isUnreachable(_ index: Int) -> Bool { storeIsDown > 0 || nodes[index].cutFromStore > 0 }

    private mutating func isLost() -> Bool { lossyStore.min().map { generator.oneIn($0) } ?? false }

    /// A request goes out; without an answer by its deadline the node hears that nobody answered.
    mutating func send(_ request: StoreRequest, _ deadline: BootInstant, _ index: Int, _ incarnation: Int) {
        let sent = SentRequest(
            node: index, incarnation: incarnation, sent: now, session: nodes[index].leaderSession, request: request,
            deadline: deadline, life: store.life, floor: clients[index].floor)
        checkFailsafeMembers(request, index)
        checkAttempts(request, index)
        sendOff(sent)
    }

    /// To the store, by whichever endpoint.
    mutating func dispatch(_ sent: SentRequest) {
        let (index, deadline) = (sent.node, sent.deadline)
        let late = nodes[index].lateness.max().map { generator.milliseconds(in: 0...Int($0.nanoseconds / 1_000_000)) }
        let arrives = now + generator.milliseconds(in: 1...4) + storeDelay + (late ?? .zero)
        if late != nil, arrives >= deadline, !isUnreachable(index) {
            queue.add(.request(sent), at: arrives)
            return fail(sent, "no answer in time", at: deadline)
        }
        if arrives >= deadline || isUnreachable(index) || isLost() {
            let refused = storeIsDown > 0 && generator.oneIn(2)
            return fail(sent, "no endpoint answers", at: refused ? now + .milliseconds(2) : deadline)
        }
        queue.add(.request(sent), at: arrives)
    }

    mutating func fail(_ sent: SentRequest, _ why: String, at instant: BootInstant) {
        let answer = sent.request.failed(.unreachable(why))
        queue.add(.deliver(node: sent.node, incarnation: sent.incarnation, .store(answer)), at: max(instant, now))
    }

    /// The store takes a request that was on its way, also of a daemon that has died since.
    mutating func answer(_ sent: SentRequest) {
        let index = sent.node
        let reach = sent.request.reach
        // What was open went with the store's former life.
        let isCutOff = sent.life != store.life || isUnreachable(index)
        // Nobody waits for it any more, and the store takes it all the same.
        if now >= sent.deadline {
            if isCutOff || nodes[index].incarnation != sent.incarnation { return }
            coverage.count(.takenLate)
            _ = taken(sent)
            return tellWatchers()
        }
        if isCutOff { return fail(sent, "the connection was lost", at: sent.deadline) }
        // The adapter of a daemon that was restarted has no session yet; a late request of the old one opens none.
        let isOld = nodes[index].incarnation != sent.incarnation
        if isOld, reach == .session { return }
        if !isOld, !isKnown(sent) { return }
        let answer = taken(sent)
        if !isOld { follow(answer, index) }
        tellWatchers()
        let back = now + generator.milliseconds(in: 1...4) + storeDelay
        if back > sent.deadline || nodes[index].losesAnswers > 0 || isLost() {
            // Done, and not known to be done.
            if reach != .none { coverage.count(.unknownOutcome) }
            fail(sent, "no answer in time", at: sent.deadline)
        } else {
            queue.add(.deliver(node: index, incarnation: sent.incarnation, .store(answer)), at: back)
        }
    }

    /// What the store does with a request, and what it says.
    private mutating func taken(_ sent: SentRequest) -> StoreAnswer {
        if let refusal = refusedByFullStore(sent) ?? refusedUnsettled(sent) { return refusal }
        let index = sent.node
        let name = nodes[index].name
        let claimant = SimulatedStore.Claimant(name: name, session: sent.session)
        let ttl = nodes[index].ttl
        switch sent.request {
        case .load: return .loaded(.success(seen(by: index, lag: nodes[index].staleness.max())))
        case .refresh:
            // The member that prolongs the session is behind by a moment, and by more where it lags.
            let lag = max(nodes[index].staleness.max() ?? .zero, generator.milliseconds(in: 0...200))
            store.keepAlive(name, ttl: ttl, now)
            return .loaded(.success(seen(by: index, lag: lag)))
        case .renew(_, let replacingGone):
            let claim = store.renew(name, ttl: ttl, replacingGone: replacingGone, since: sent.sent, now)
            if case .held = claim { checkFormerLease(index) }
            return .renewed(.success(noted(claim, .renewalRefused)))
        case .acquire:
            let claim = noted(store.acquire(name, ttl: ttl, since: sent.sent, now), .claimRefused)
            if case .held = claim {
                checkFormerLease(index)
                checkElection(index)
            }
            return .acquired(.success(claim))
        case .release(let status):
            let isDone = store.release(status: status, by: claimant)
            if isDone { checkRelease(index, status) }
            if isDone, status != nil { handedOverAt = now }
            if isDone, status != nil { handOver(index) }
            return .released(.success(isDone))
        case .write(let key, let value, let condition, let purpose):
            let holds = store.holds(condition, key, claimant)
            let outcome =
                key == .initialize && value == .text("")
                ? store.claimInitialize(name, ttl: ttl, now)
                : store.write(key, setup.bug?.written(key, value) ?? value, condition, by: claimant)
            checkWrite(key, holds, outcome, index)
            if key == .initialize, case .written = outcome { checkDefinition(index) }
            if key == .rollingRestart, case .written = outcome { followRolling(by: index) }
            return .wrote(purpose, .success(outcome))
        case .delete(let key, let condition, let purpose):
            let holds = store.holds(condition, key, claimant)
            let outcome = store.delete(key, condition, by: claimant)
            checkWrite(key, holds, outcome, index)
            return .wrote(purpose, .success(outcome))
        case .touch(let value, _, let prolonging):
            store.touch(name, value, ttl: ttl, prolonging: prolonging, now)
            return .touched(.success(()))
        }
    }

    private mutating func seen(by index: Int, lag: Duration?) -> ClusterView {
        var view = lag.map { store.view(at: now - $0, now) } ?? store.view(now)
        view.life = clients[index].livesSeen
        clients[index].see(view, at: now, ttl: nodes[index].ttl)
        return view
    }

    /// What the daemon's client of the store keeps of an answer.
    private mutating func follow(_ answer: StoreAnswer, _ index: Int) {
        switch answer {
        case .renewed(.success(.held(_, _, let session))), .acquired(.success(.held(_, _, let session))):
            nodes[index].leaderSession = session
        case .released: nodes[index].leaderSession = nil
        case .loaded, .renewed, .acquired, .wrote, .touched: break
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
        let kind = nodes[index].published?.snapshot.running?.plan.kind
        handedOver = (log.branch, log.count - 1, Set(candidates))
        if kind == .handOver { coverage.count(.switchoverDone) }
        note("\(name(index)): the leader key is handed over")
    }

    // MARK: Watches

    /// A watch tells each node of each change, a little later; one that is cut off hears nothing.
    mutating func tellWatchers() {
        let header = store.header
        for change in store.takeChanges() {
            for index in nodes.indices where nodes[index].machine != nil {
                // One that is cut off is told nothing, and one whose watch waits for something else neither.
                if nodes[index].cutFromStore > 0 { continue }
                guard clients[index].brings(change, of: store.life, header, at: now, ttl: nodes[index].ttl) else {
                    checkWatch(index)
                    continue
                }
                tell(index, .changed(leaf: change.leaf, value: change.value, revision: change.revision))
            }
        }
    }

    private mutating func tell(_ index: Int, _ change: DCSEvent) {
        let incarnation = nodes[index].incarnation
        // Some events are lost: the timer alone must carry the cycle.
        if nodes[index].muted > 0 || generator.oneIn(20) { return }
        if nodes[index].compacted > 0 && generator.oneIn(2) {
            coverage.count(.resynchronized)
            return reply(.storeChanged(.resynchronized), to: index, incarnation, after: 50...1500)
        }
        let at = now + generator.milliseconds(in: 1...30) + storeDelay
        queue.add(.deliver(node: index, incarnation: incarnation, .storeChanged(change)), at: at)
        if nodes[index].repeats > 0 {
            reply(.storeChanged(change), to: index, incarnation, after: 1...5000)
        }
    }

    /// A watch that works again after a gap says so.
    mutating func resumeWatch(_ index: Int) {
        guard nodes[index].machine != nil else { return }
        coverage.count(.resynchronized)
        reply(.storeChanged(.resynchronized), to: index, nodes[index].incarnation, after: 10...500)
    }
}

extension StoreRequest {
    /// What a request may change in the store.
    fileprivate enum Reach: Hashable {
        case none, keys
        /// Keys, and it prolongs or opens the node's session.
        case session
    }

    fileprivate var reach: Reach {
        switch self {
        case .load: .none
        case .release, .write, .delete: .keys
        case .renew, .acquire, .touch, .refresh: .session
        }
    }
}
