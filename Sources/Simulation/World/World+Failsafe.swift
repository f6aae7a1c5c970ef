import ClusterModel
import HighAvailability
import Node
import Ports

/// Failsafe mode: what a primary without the store and the others say to each other, late or not at all, and L4.
extension World {
    /// One question to all others, and who has answered.
    struct FailsafeRound {
        var node: Int
        var incarnation: Int
        var sent: BootInstant
        var ping: FailsafePing
        var waiting: Set<Int>
        var answers: [String: FailsafeAnswer] = [:]
    }

    /// A message of such a round.
    enum FailsafeMessage {
        /// The question is with a member.
        case asked(Int)
        /// A member's answer is with the primary.
        case answered(Int, FailsafeAnswer)
        /// Nobody is waited for any longer.
        case due
    }

    mutating func askFailsafe(
        _ ping: FailsafePing, _ members: [Member], sent: BootInstant, _ deadline: BootInstant, _ index: Int,
        _ incarnation: Int
    ) {
        let others = Set(members.compactMap { self.index(of: $0.name) })
        failsafeRounds.append(
            FailsafeRound(node: index, incarnation: incarnation, sent: sent, ping: ping, waiting: others))
        let round = failsafeRounds.count - 1
        for other in others.sorted() { queue.add(.failsafe(round, .asked(other)), at: now + peerDelay()) }
        queue.add(.failsafe(round, .due), at: others.isEmpty ? now : deadline)
    }

    private mutating func peerDelay() -> Duration {
        guard let longest = slowPeers.max() else { return generator.milliseconds(in: 1...15) }
        return generator.milliseconds(in: 1...max(1, Int(longest.nanoseconds / 1_000_000)))
    }

    mutating func handle(_ message: FailsafeMessage, of number: Int) {
        let round = failsafeRounds[number]
        switch message {
        case .asked(let peer):
            // A host that is suspended takes it when it wakes; what is cut off never arrives.
            guard !isCut(round.node, peer) else { return }
            guard nodes[peer].machine != nil else {
                return queue.add(
                    .failsafe(number, .answered(peer, .unreachable("connection refused"))), at: now + .milliseconds(1))
            }
            queue.add(
                .deliver(
                    node: peer, incarnation: nodes[peer].incarnation,
                    .failsafeAsked(number, round.ping)), at: now)
        case .answered(let peer, let answer):
            guard !isCut(round.node, peer), round.waiting.contains(peer) else { return }
            failsafeRounds[number].answers[name(peer)] = answer
            failsafeRounds[number].waiting.remove(peer)
            if failsafeRounds[number].waiting.isEmpty { end(number) }
        case .due: end(number)
        }
    }

    mutating func replyFailsafe(_ number: Int, _ answer: FailsafeAnswer, _ index: Int) {
        if case .accepted = answer { coverage.count(.promiseGiven) }
        queue.add(.failsafe(number, .answered(index, answer)), at: now + peerDelay())
    }

    private mutating func end(_ number: Int) {
        let round = failsafeRounds[number]
        // A second time nobody is told.
        guard round.node >= 0 else { return }
        failsafeRounds[number].node = -1
        failsafeRounds[number].waiting = []
        var answers = round.answers
        for peer in round.waiting { answers[name(peer)] = .unreachable("timed out") }
        queue.add(
            .deliver(node: round.node, incarnation: round.incarnation, .failsafe(sent: round.sent, answers)), at: now)
    }

    // MARK: Checks

    /// In failsafe mode a daemon that has just begun keeps back for a ttl, and who has promised for as long.
    func mayBeHeldBack(_ index: Int) -> Bool {
        let patience = nodes[index].ttl + .seconds(10)
        let promised = nodes[index].published?.snapshot.isFailsafeActive(at: now) ?? false
        return setup.isFailsafe && (now - nodes[index].daemonBegan < patience || promised)
    }

    /// S4 of a lease that others have granted: somebody else's claim may have been on its way, but nobody becomes a
    /// primary by it while it holds.
    mutating func checkPromises(_ index: Int) {
        let rival = nodes.indices.first { other in
            let node = nodes[other]
            return other != index && node.suspended == 0 && !node.isPaused && node.pausedUntil == nil
                && (node.postgreSQL.isPromoting || node.commits)
        }
        if let rival {
            violate(.S4, "\(name(index)) counts on promises, and \(name(rival)) becomes a primary meanwhile")
        }
    }

    /// Whom a `/failsafe` of others does not name takes no key: the primary would not have asked it (docs/failsafe.md).
    func isOutsideFailsafe(_ index: Int, _ view: ClusterView) -> Bool {
        guard setup.isFailsafe, let named = view.failsafe, !named.isEmpty else { return false }
        return named[name(index)] == nil
    }

    /// L1: whom `/failsafe` does not name cannot lead. When the store comes back from an outage no member has a key for
    /// a moment, and nobody loses its place by that.
    mutating func checkFailsafeMembers(_ request: StoreRequest, _ index: Int) {
        guard case .write(.failsafe, .document(let document), _, _) = request, let members = document.object,
            let snapshot = nodes[index].machine?.snapshot(), let named = snapshot.view?.failsafe
        else { return }
        for name in named.keys.sorted() where members[name] == nil {
            guard let seen = nodes[index].sawKey[name], now - seen < snapshot.settings.timings.ttl else { continue }
            violate(.L1, "\(self.name(index)) takes \(name) from /failsafe as soon as its key is gone")
        }
    }

    /// L4: with failsafe mode on, losing the store alone demotes nobody.
    mutating func checkFailsafe(_ index: Int) {
        guard setup.isFailsafe, let snapshot = nodes[index].machine?.snapshot(),
            snapshot.running?.plan.kind == .demoteOffline, isOnlyStoreGone(index, snapshot)
        else { return }
        violate(.L4, "\(name(index)) steps down although all members see each other")
    }

    /// Likewise where its guardian ends it.
    mutating func checkFailsafeKill(_ index: Int) {
        guard setup.isFailsafe, let snapshot = nodes[index].machine?.snapshot(), isOnlyStoreGone(index, snapshot) else {
            return
        }
        violate(.L4, "the guardian of \(name(index)) ends PostgreSQL although all members see each other")
    }

    /// Nothing but the store has been wrong for a whole lease, and this node knows whom to ask: it was told by the
    /// store while it led.
    private func isOnlyStoreGone(_ index: Int, _ snapshot: NodeSnapshot) -> Bool {
        let isCalm = nodes.allSatisfy { node in
            node.machine != nil && !node.isFrozen && node.answers && node.heldDown == 0 && node.stalled == 0
                && node.blocked == 0 && node.starvation.isEmpty && node.deaf == 0 && node.records.isPlain
                && !node.isPaused
                && now - node.disturbedAt > node.ttl + .seconds(10)
        }
        let isToldNot = snapshot.decision?.reasons.contains(.failsafe(.membersUnknown)) ?? false
        return isCalm && cuts.isEmpty && slowPeers.isEmpty && !isToldNot && snapshot.lease != nil
    }
}

extension PublishedSnapshot {
    /// A lease that others have granted: the key may have ended meanwhile, and S1 alone tells whether it was right.
    func leadsByPromises(at now: BootInstant) -> Bool {
        guard let until = snapshot.failsafeUntil, let lease = snapshot.lease else { return false }
        return until == lease.deadline && lease.isValid(at: now)
    }
}
