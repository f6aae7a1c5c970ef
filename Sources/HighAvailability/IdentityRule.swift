import ClusterModel

/// Does this data directory belong to this cluster (ha-loop.md §7, §5.4, §5.5)? Nil where it does and nothing is to
/// mend.
func identityRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision? {
    guard let local = seen.local.systemIdentifier, isValidSystemIdentifier(local) else {
        let invalid = Reason.systemIdentifierInvalid(seen.local.systemIdentifier)
        // The member key keeps the session alive: without this the leader key would stay with a node that cannot start.
        return seen.isNamedLeader ? giveUpKey(seen, because: invalid) : Decision(.wait, invalid)
    }
    if let cluster = view.initialize.systemIdentifier {
        if cluster == local { return configurationRule(seen, view) }
        let mismatch = Reason.systemIdentifierMismatch(cluster: cluster, local: local)
        if seen.isNamedLeader { return giveUpKey(seen, because: mismatch) }
        // In pause the operator may be at work on just this; the daemon only says so.
        return seen.settings.isPaused ? nil : leaveCluster(seen, memory, because: mismatch)
    }
    if seen.isNamedLeader { return Decision(.write(.systemIdentifier(local)), .nobodyInitialized) }
    guard view.isUnlocked, !seen.settings.isPaused else { return nil }
    // A standby whose primary no daemon manages yet must not define the cluster. It waits for who does: the daemon's
    // end would help nobody where the store has but lost its keys.
    if let facts = seen.local.facts, facts.inRecovery, !memory.hasRunUnderUs {
        return Decision(.wait, .replicaWithoutCluster)
    }
    return Decision(.write(.systemIdentifier(local)), .nobodyInitialized)
}

/// The leader keeps `/config` in the store: one that is missing or empty is written again.
private func configurationRule(_ seen: Observation, _ view: ClusterView) -> Decision? {
    guard seen.isNamedLeader, view.config?.data.isEmpty ?? true, !seen.settings.document.isEmpty else { return nil }
    return Decision(.write(.configuration), .configurationMissing)
}

extension Memory {
    /// Whether a leader was seen since the daemon started: then a standby was running under its rule.
    fileprivate var hasRunUnderUs: Bool { lastLeader != nil }
}
