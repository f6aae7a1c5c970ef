import ClusterModel
import HighAvailability
import JSON
import Node
import Ports

extension CycleEffect {
    /// Where a simulated operation stands.
    enum OperationStage {
        case finish(PostgreSQLOperation)
        /// A clean stop waits for its standbys.
        case drain(PostgreSQLOperation, until: BootInstant)
    }
}

extension World {
    mutating func handle(_ event: Event) {
        switch event {
        case .deliver(let node, let incarnation, let event): deliver(event, to: node, incarnation)
        case .timer(let node, let incarnation, let number):
            if nodes[node].timers == number { deliver(.timer, to: node, incarnation) }
        case .request(let node, let incarnation, let sent, let effect): answer(effect, node, incarnation, sent)
        case .unanswered(let node, let incarnation, let request):
            guard pending.remove(request) != nil else { return }
            _ = (node, incarnation)
        case .operation(let node, let era, let plan, let incarnation, let stage):
            advance(stage, node, era, plan, incarnation)
        case .write: writeSomething()
        case .replicate: replicate()
        case .sweep:
            store.sweep(now)
            tellWatchers()
            queue.add(.sweep, at: now + .milliseconds(500))
        case .begin(let index): begin(setup.faults[index].kind)
        case .heal(let index): heal(setup.faults[index].kind)
        case .startDaemon(let node): startDaemon(node)
        case .end: break
        }
    }

    mutating func startDaemon(_ index: Int) {
        guard nodes[index].machine == nil else { return }
        nodes[index].incarnation += 1
        nodes[index].timers += 1
        nodes[index].plan = nil
        store.forgetSession(of: nodes[index].name)
        let name = nodes[index].name
        let setup = CycleMachine.Setup(
            scope: "sim", me: NodeIdentity(name: name),
            addresses: MemberKey.Addresses(
                connectionURL: "postgres://\(name):5432/postgres", apiURL: "http://\(name):8008/patroni",
                version: "4.1.4"),
            document: ["ttl": 30, "loop_wait": 10, "retry_timeout": 10])
        nodes[index].machine = CycleMachine(setup, now: now)
        note("\(name): the daemon starts")
        deliver(.timer, to: index, nodes[index].incarnation)
    }

    mutating func deliver(_ event: CycleEvent, to index: Int, _ incarnation: Int) {
        guard nodes[index].incarnation == incarnation, nodes[index].machine != nil else { return }
        let wall = now.nanoseconds + nodes[index].wallOffset
        guard let effects = nodes[index].machine?.step(event, now: now, wallTime: wall) else { return }
        for effect in effects { carryOut(effect, index, incarnation) }
    }

    func later(_ range: ClosedRange<Int>, _ generator: inout SeededGenerator) -> BootInstant {
        now + generator.milliseconds(in: range)
    }

    mutating func reply(_ event: CycleEvent, to node: Int, _ incarnation: Int, after range: ClosedRange<Int>) {
        let at = now + generator.milliseconds(in: range)
        queue.add(.deliver(node: node, incarnation: incarnation, event), at: at)
    }

    // MARK: Effects

    mutating func carryOut(_ effect: CycleEffect, _ index: Int, _ incarnation: Int) {
        switch effect {
        case .setTimer(let instant):
            nodes[index].timers += 1
            queue.add(.timer(node: index, incarnation: incarnation, number: nodes[index].timers), at: max(instant, now))
        case .publish, .cacheConfiguration, .adoptTimings, .reply: adoptTimings(effect, index)
        case .log(let level, let text):
            // The story is written only for those who read it.
            if setup.traces { note("\(nodes[index].name): \(level == .info ? "" : "[\(level)] ")\(text)") }
        case .exit: stopDaemon(index)
        case .observe:
            reply(.observed(status(index)), to: index, incarnation, after: 1...5)
        case .load, .renew, .acquire, .release, .write, .delete, .touch: send(effect, index, incarnation)
        case .askPeers(let members, let purpose, _): askPeers(members, purpose, index, incarnation)
        case .compare(let source, _): compare(source, index, incarnation)
        case .perform(let operation, let slots, let plan):
            apply(slots, index)
            perform(operation, plan, index, incarnation)
        // The simulated nodes are set up without a guardian.
        case .guardLease: break
        case .breakOff: breakOff(index, incarnation)
        case .applySlots(let actions, _): apply(actions, index)
        case .checkpoint: reply(.checkpointed(.success(())), to: index, incarnation, after: 10...2000)
        case .readHistory(let timeline):
            let history = nodes[index].postgreSQL.history
            let lines = history.map {
                TimelineHistory.Line(
                    timeline: $0.timeline, position: $0.position, reason: "no recovery target specified")
            }
            reply(
                .historyRead(timeline, lines, writtenAt: "2026-01-01T00:00:00+00:00"), to: index, incarnation,
                after: 1...5)
        case .adoptConfiguration(let document):
            nodes[index].postgreSQL.parameters = document
            reply(.configurationAdopted(.success(())), to: index, incarnation, after: 1...50)
        case .retryReceipt(let instant, let plan):
            queue.add(.deliver(node: index, incarnation: incarnation, .receiptRetry(plan: plan)), at: instant)
        }
    }

    private mutating func adoptTimings(_ effect: CycleEffect, _ index: Int) {
        if case .adoptTimings(let timings) = effect { nodes[index].configuredTTL = timings.ttl }
    }

    /// The daemon is gone; PostgreSQL stays as it is.
    mutating func stopDaemon(_ index: Int) {
        nodes[index].machine = nil
        nodes[index].incarnation += 1
        queue.add(.startDaemon(index), at: now + .seconds(5))
    }

    func status(_ index: Int) -> PostgreSQLStatus {
        nodes[index].postgreSQL.status(nodes[index].name, now: now, isStreaming: isStreaming(index))
    }

    func isStreaming(_ index: Int) -> Bool {
        guard let source = source(of: index) else { return false }
        return nodes[index].postgreSQL.canStream(from: nodes[source].postgreSQL)
    }

    /// The running server that a standby reaches under the name it follows.
    func source(of index: Int) -> Int? {
        let mine = nodes[index].postgreSQL
        guard mine.process == .running, mine.isStandby, let name = mine.upstream,
            let source = nodes.firstIndex(where: { $0.name == name }), source != index
        else { return nil }
        let process = nodes[source].postgreSQL.process
        return (process == .running || process == .stopping) && !isCut(index, source) ? source : nil
    }

    func isCut(_ left: Int, _ right: Int) -> Bool { cutPairs.contains([left, right]) }

    // MARK: Peers

    private mutating func askPeers(
        _ members: [Member], _ purpose: CycleEffect.PeerPurpose, _ index: Int, _ incarnation: Int
    ) {
        var answers: [String: PeerAnswer] = [:]
        var isSlow = false
        for member in members {
            guard let peer = nodes.firstIndex(where: { $0.name == member.name }) else { continue }
            if isCut(index, peer) {
                isSlow = true
                answers[member.name] = .unreachable("timed out")
            } else if nodes[peer].machine == nil {
                answers[member.name] = .unreachable("connection refused")
            } else {
                answers[member.name] = peerAnswer(peer)
            }
        }
        reply(.peersAnswered(purpose, answers), to: index, incarnation, after: isSlow ? 2000...2000 : 1...30)
    }

    private func peerAnswer(_ peer: Int) -> PeerAnswer {
        let status = status(peer)
        guard let facts = status.facts else { return .unreachable("no WAL position in its answer") }
        return .status(
            PeerStatus(
                isPrimary: !facts.inRecovery, position: facts.inRecovery ? facts.position : .zero,
                timeline: facts.timeline ?? 0))
    }

    private mutating func compare(_ source: Upstream, _ index: Int, _ incarnation: Int) {
        guard let peer = nodes.firstIndex(where: { $0.name == source.name }), !isCut(index, peer),
            nodes[peer].postgreSQL.process == .running
        else {
            let error = PostgreSQLError.query(state: "", message: "connection refused")
            return reply(.compared(.failure(error)), to: index, incarnation, after: 1...2000)
        }
        let facts = nodes[index].postgreSQL.divergence(from: nodes[peer].postgreSQL)
        reply(.compared(.success(facts)), to: index, incarnation, after: 2...40)
    }

    private mutating func apply(_ actions: [SlotAction], _ index: Int) {
        for action in actions {
            switch action {
            case .create(let name): nodes[index].postgreSQL.slots.insert(name)
            case .drop(let name): nodes[index].postgreSQL.slots.remove(name)
            case .advance: break
            }
        }
    }
}
