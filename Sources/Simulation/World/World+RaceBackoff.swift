import ClusterModel
import HighAvailability
import Node

/// `primary_race_backoff`: whom a standby waits for that could take the key.
extension World {
    /// What a daemon has seen of the leader key.
    struct SeenKey {
        /// Since when nobody has held it.
        var freeSince: BootInstant?
        var lastHolder: String?
    }

    /// By the view itself: what is published comes behind it, after the questions that a cycle asks, and those may take
    /// seconds.
    mutating func noteLeaderKey(_ event: CycleEvent, _ index: Int) {
        guard case .store(.loaded) = event, nodes[index].machine?.hasView == true else { return }
        let leader = nodes[index].machine?.seenLeader
        nodes[index].leaderKey.freeSince = leader == nil ? nodes[index].leaderKey.freeSince ?? now : nil
        nodes[index].leaderKey.lastHolder = leader ?? nodes[index].leaderKey.lastHolder
    }

    /// What the node sees of the WAL that it streams.
    mutating func noteInflow(_ status: PostgreSQLStatus, _ index: Int) {
        guard let facts = status.facts, facts.inRecovery, facts.receiver?.isStreaming == true else {
            return nodes[index].inflow = nil
        }
        let records = SimulatedPostgreSQL.records(facts.receivedPosition)
        let before = nodes[index].inflow
        nodes[index].inflow = (records, before.map { records > $0.records } ?? false ? now : before?.grewAt)
    }

    /// A claim may come to the store so late, and be of a race that was long ago.
    private static let latestRequest = Duration.seconds(25)

    /// A standby takes the key by a race, and nobody has handed it over.
    mutating func checkRaceBackoff(_ index: Int, _ snapshot: NodeSnapshot) {
        let settings = snapshot.settings
        guard let view = snapshot.view, settings.primaryRaceBackoff > .zero, !settings.isPaused,
            !settings.isStandbyCluster, view.status.handedOverBy == nil, view.failover?.candidate == nil,
            storeDelay == .zero, isStoreFaithful, isUndisturbed(index, for: Self.latestRequest)
        else { return }
        let waited = nodes[index].leaderKey.freeSince.map { now - $0 } ?? .zero
        let loopWait = settings.timings.loopWait
        if waited < loopWait {
            return violate(
                .backoff, "\(name(index)) leads after \(waited.inSeconds) s without waiting for who has led")
        }
        // A look that is on its way to the daemon is none yet.
        guard waited < settings.primaryRaceBackoff, let grewAt = nodes[index].inflow?.grewAt,
            grewAt <= snapshot.local.observedAt, now - grewAt + .milliseconds(100) < loopWait,
            snapshot.local.facts?.receiver?.isStreaming == true
        else { return }
        violate(.backoff, "\(name(index)) leads although WAL has come in, of a primary that may live")
    }
}
