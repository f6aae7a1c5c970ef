import ClusterModel
import HighAvailability
import Node
import Ports

/// L1 while something is broken and stays broken.
extension World {
    /// What may pass, beside the lease and a turn of the loop, until a node that could lead does: questions to who do
    /// not answer, a race that is run again, a slow promotion.
    private static let takeoverBound = Duration.seconds(35)
    private static let slowOperation = Duration.seconds(90)

    /// And what is waited for whoever led, before each of two races.
    var backoffBound: Duration { setup.raceBackoff > 0 ? .seconds(max(setup.raceBackoff, 10) * 2) : .zero }

    /// With a store that works and one standby that nothing is wrong with and that has everything, there is a primary
    /// soon.
    mutating func lookForPrimary() {
        let view = store.view(now)
        guard isPrimaryOwed(view) else {
            primaryOwedSince = nil
            return
        }
        let since = primaryOwedSince ?? now
        primaryOwedSince = since
        let ttl = nodes.map(\.ttl).max() ?? .seconds(30)
        // A disk that takes no WAL counts as dead after a ttl (SilenceArithmetic).
        let leader = store.leader.flatMap { index(of: $0.text) }
        let patience = leader.map { nodes[$0].stalled > 0 } == true ? ttl : .zero
        // One whose disk is slow has its time for a stop, and for a promotion.
        let slowness = leader.map { nodes[$0].slow > 0 } == true ? Self.slowOperation : .zero
        // Whoever is refused a promotion has asked first, and the next one begins only then.
        let refused = nodes.count { $0.refusedAt.map { now - $0 < ttl + .seconds(60) } ?? false }
        let asked = (Self.prePromoteLimit + .seconds(10)) * refused
        if now - since > patience + slowness + checkpointerPatience + asked + ttl + .seconds(10) + backoffBound
            + Self.takeoverBound
        {
            violate(.L1, "nobody has accepted commits for \((now - since).inSeconds) s, and somebody could")
        }
    }

    /// A leader that cannot be promoted makes way for one that can.
    mutating func checkFailedPromotions(_ index: Int) {
        let view = store.view(now)
        guard nodes[index].failedPromotions > 3, isPrimaryOwed(view), nodes[index].lateness.isEmpty,
            nodes[index].starvation.isEmpty,
            let other = nodes.indices.first(where: { $0 != index && couldLead($0, view) })
        else { return }
        violate(
            .L1,
            "\(name(index)) is promoted once more after \(nodes[index].failedPromotions - 1) failures in a row, "
                + "and \(name(other)) could lead")
    }

    private func isPrimaryOwed(_ view: ClusterView) -> Bool {
        let isQuiet =
            storeIsDown == 0 && storeDelays.isEmpty && isStoreFaithful && !setup.isSynchronous
            && !configuration.isPaused && !mayFollow && nodes.allSatisfy { !$0.isPaused }
            && store.failover == nil
            && store.keys["initialize"]?.value == .text(clusterIdentifier)
        if !isQuiet || nodes.contains(where: { $0.commits || $0.records.elder != nil }) { return false }
        // Who holds the key and starts has primary_start_timeout for it.
        if let leader = store.leader.flatMap({ index(of: $0.text) }), nodes[leader].failsStarts == 0,
            nodes[leader].postgreSQL.process == .starting
        {
            return false
        }
        // So has one whose start does not return (lookForStuckLeader).
        if let leader = store.leader.flatMap({ index(of: $0.text) }), nodes[leader].blocked > 0 {
            let kind = nodes[leader].published?.snapshot.running?.plan.kind
            if kind == .startPrimary || kind == .startStandby { return false }
        }
        return nodes.indices.contains { couldLead($0, view) }
    }

    /// The operator's command refused its promotion: it leaves the key to others for a ttl.
    func standsBack(_ index: Int) -> Bool {
        nodes[index].refusedAt.map { now - $0 < nodes[index].ttl + Self.prePromoteLimit + .seconds(5) } ?? false
    }

    private func couldLead(_ index: Int, _ view: ClusterView) -> Bool {
        let server = nodes[index].postgreSQL
        guard !standsBack(index), !isOutsideFailsafe(index, view), nodes[index].isUndisturbed,
            nodes[index].blocked == 0, nodes[index].answers, nodes[index].replicationFaults.isEmpty,
            !isBlind(index), !cuts.contains(where: { $0.contains(index) }),
            !setup.nofailover.contains(index), server.process == .running, server.isStandby, server.isInitialized,
            server.log.timeline >= view.timeline
        else { return false }
        return server.position >= view.status.optime
            // Who does not know its timeline may not lead, and is not waited for.
            && nodes.indices.allSatisfy { other in
                isBlind(other) || nodes[other].postgreSQL.log.end(without: promotedInVain) <= server.log.count
            }
    }
}
