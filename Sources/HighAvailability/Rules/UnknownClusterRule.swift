import ClusterModel

/// A data directory, and a store that knows nothing of any cluster: etcd was made anew, or is another one. Who led last,
/// and how far, is then told by the directories alone, and by each of its own life only. An older one that defined the
/// cluster would take the rows of the others with it: they would be rewound to it.
enum UnknownCluster: Sendable, Hashable {
    /// A standby's: it comes up as one, and is not the cluster.
    case standby
    /// A primary's that has come through a failover: another may have gone on without it, as it went on itself.
    case formerPrimary(timeline: TimelineID)
}

/// Nil where this node may say whose cluster it is: a server that answers is judged by what it is, and one that
/// accepts writes is the cluster, whatever its timeline (an operator has started it, or it was never ended); on the
/// first timeline a directory is taken over as it stands; in a standby cluster the truth is elsewhere; and a daemon
/// that has seen a leader knows whom to ask. Stricter than Patroni, whose first daemon to begin defines the cluster.
func unknownCluster(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> UnknownCluster? {
    guard view.knowsNoCluster, memory.lastLeader == nil, !seen.settings.isStandbyCluster, seen.local.facts == nil else {
        return nil
    }
    // Somebody has started it.
    if seen.local.postmaster != nil { return seen.local.hasStandbySignal ? .standby : nil }
    guard let control = seen.local.control else { return nil }
    switch control.state {
    case .shutDownInRecovery, .inArchiveRecovery: return .standby
    case .startingUp, .shutDown, .shuttingDown, .inCrashRecovery, .inProduction:
        return control.checkpointTimeline > 1 ? .formerPrimary(timeline: control.checkpointTimeline) : nil
    }
}

extension ClusterView {
    /// Nothing stands there that a leader writes. A member key says only that a daemon runs.
    var knowsNoCluster: Bool {
        initialize.systemIdentifier == nil && leader == nil && history.lines.isEmpty && status.optime == .zero
            && sync.leader == nil && failsafe?.isEmpty ?? true
    }
}
