import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    /// Whether two nodes reach each other. A question needs both directions, so a cut of one is a cut.
    func isCut(_ left: Int, _ right: Int) -> Bool { !cuts.isEmpty && cuts.contains([left, right]) }

    mutating func observe(_ deadline: BootInstant, _ index: Int, _ incarnation: Int) {
        let status = status(index)
        noteInflow(status, index)
        guard !nodes[index].answers, status.postmaster != nil else {
            nodes[index].silentSince = nil
            feel(index, incarnation)
            return reply(.node(.observed(status)), to: index, incarnation, after: 1...5)
        }
        // Stopped processes owe an answer, and do nothing: the pulse tells, and no facts come.
        let since = nodes[index].silentSince ?? now
        nodes[index].silentSince = since
        let pulse = Pulse(
            takenAt: now, postmaster: nodes[index].postgreSQL.pid, unansweredSince: since, stillSince: since,
            processes: .init(total: 7, stopped: 7, isPostmasterStopped: true))
        queue.add(.deliver(node: index, incarnation: incarnation, .node(.felt(pulse))), at: now + .milliseconds(1))
        queue.add(.deliver(node: index, incarnation: incarnation, .node(.observed(status))), at: deadline)
    }

    mutating func status(_ index: Int) -> PostgreSQLStatus {
        receive(index)
        let seen = nodes[index].postgreSQL
        let server = setup.bug == .markIgnored ? seen.withoutMark : seen
        var status = server.status(now: now, streams(index), answers: nodes[index].answers)
        status.promotionWasAsked =
            nodes[index].postgreSQL.isPromoting && nodes[index].promotedIn == nodes[index].incarnation
        if isKept(index) { status.mayRemove = mayRemove(index) }
        noteTroubles(&status, index)
        status.canRewind = !setup.rewindless.contains(index)
        // Nobody has a backup of a cluster that is being made, but for the one of which it is made.
        let hasBackup = chapter != .making || setup.tempers.bootstrapCut != nil
        status.canRestoreAlone =
            nodes[index].records.restoresAlone
            || hasBackup && setup.faults.contains { $0.kind == .failCopies(index) }
        status.hasPrePromote = setup.faults.contains { $0.kind.asksBeforePromotion(of: index) }
        return status
    }

    mutating func askPeers(
        _ members: [Member], _ purpose: PeerPurpose, _ deadline: BootInstant, _ index: Int,
        _ incarnation: Int
    ) {
        var answers: [String: PeerAnswer] = [:]
        var isSlow = false
        for member in members {
            guard let peer = self.index(of: member.name) else { continue }
            if isCut(index, peer) || nodes[peer].isFrozen {
                isSlow = true
                answers[member.name] = .unreachable("timed out")
            } else if nodes[peer].machine == nil {
                answers[member.name] = .unreachable("connection refused")
            } else {
                answers[member.name] = peerAnswer(peer)
            }
        }
        let event = CycleEvent.peers(purpose, answers)
        if isSlow {
            queue.add(.deliver(node: index, incarnation: incarnation, event), at: deadline)
        } else {
            reply(event, to: index, incarnation, after: 1...30)
        }
    }

    private mutating func peerAnswer(_ peer: Int) -> PeerAnswer {
        guard let facts = status(peer).facts else { return .unreachable("no WAL position in its answer") }
        let kind = nodes[peer].published?.snapshot.running?.plan.kind
        var status = PeerStatus(
            isPrimary: !facts.inRecovery, position: facts.inRecovery ? facts.position : .zero,
            timeline: facts.timeline ?? 0,
            tags: identity(peer).tags, replayed: facts.inRecovery ? facts.replayedPosition : .zero,
            busy: kind.flatMap { $0.isAway ? $0.name : nil },
            isUnproven: nodes[peer].postgreSQL.isUnproven)
        status.standsBack = nodes[peer].published?.snapshot.standsBack(at: now) ?? []
        return .status(status)
    }

    mutating func compare(_ source: Upstream, _ deadline: BootInstant, _ index: Int, _ incarnation: Int) {
        guard let peer = reachable(source, from: index) else {
            let error = PostgreSQLError.query(state: "", message: "connection refused")
            return reply(.node(.compared(.failure(error))), to: index, incarnation, after: 1...2000)
        }
        receive(index)
        let facts = nodes[index].postgreSQL.divergence(from: self[server: peer])
        reply(.node(.compared(.success(facts))), to: index, incarnation, after: 2...40)
    }

    /// The running server that an upstream names, where this node reaches it.
    func reachable(_ source: Upstream, from index: Int) -> Int? {
        guard let peer = self.index(of: source.name), peer != index, !isCut(index, peer),
            self[server: peer].process == .running, answers(peer),
            peer == Self.elsewhere || nodes[peer].records.full == 0
        else { return nil }
        return peer
    }
}
