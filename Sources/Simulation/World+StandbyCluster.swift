import ClusterModel
import HighAvailability
import Node
import Ports

/// A cluster that is told to follow a primary elsewhere, and some time later that it is one of its own again. Nobody
/// answers there, so all that it had stays what it has.
extension World {
    mutating func followElsewhere() {
        configuration.followers += 1
        followsSince = followsSince ?? now
        hasFollowed = true
        writeConfiguration()
    }

    mutating func followNobody() {
        configuration.followers -= 1
        if configuration.followers == 0 { followsSince = nil }
        writeConfiguration()
    }

    /// Whether somebody may still go by `standby_cluster`, or has to.
    var mayFollow: Bool {
        configuration.followers > 0
            || nodes.indices.contains { nodes[$0].published?.snapshot.settings.isStandbyCluster == true }
    }

    /// Nobody is let write by a node that knows of `standby_cluster`; in pause who accepts writes goes on.
    mutating func checkOpening(_ operation: PostgreSQLOperation, _ index: Int) {
        guard let settings = nodes[index].machine?.snapshot().settings, settings.isStandbyCluster, !settings.isPaused
        else { return }
        violate(.standby, "\(name(index)) does \(operation.name) although standby_cluster is set")
    }

    /// Who was a primary is none any more soon after the section was set, where nothing hinders it.
    mutating func lookForWritesOfFollowers() {
        guard let since = followsSince, now - since > .seconds(60), storeIsDown == 0, storeDelays.isEmpty,
            lossyStore.isEmpty, !configuration.isPaused
        else { return }
        for index in nodes.indices where nodes[index].commits {
            guard isUndisturbed(index, for: .seconds(60)), nodes[index].isUndisturbed, nodes[index].blocked == 0,
                !isExcusedByPause(index), now - nodes[index].postgreSQL.cameUpAt > .seconds(60)
            else { continue }
            violate(.standby, "\(name(index)) accepts commits long after standby_cluster was set")
        }
    }

    /// What a snapshot says of it.
    mutating func noteFollowing(_ published: PublishedSnapshot, _ index: Int) {
        if published.snapshot.running?.plan.kind == .demoteCluster { coverage.count(.clusterDemoted) }
        if published.snapshot.role == .standbyLeader {
            coverage.count(.standbyLed)
            nodes[index].hasLedStandbys = true
        }
    }

    mutating func notePromotionOfFollowers(_ index: Int) {
        if nodes[index].hasLedStandbys { coverage.count(.clusterPromoted) }
        for other in nodes.indices { nodes[other].hasLedStandbys = false }
    }
}
