import ClusterModel

/// Does this data directory belong to this cluster (ha-loop.md §7, §5.4, §5.5)? Nil where it does and nothing is to
/// mend.
func identityRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision? {
    // Not read is not wrong: a tool that is late, or being replaced, says nothing of a server that runs and answers.
    if seen.local.systemIdentifier == nil, seen.local.facts != nil { return nil }
    guard let local = seen.local.systemIdentifier, isValidSystemIdentifier(local) else {
        let invalid = Reason.identity(.systemIdentifierInvalid(seen.local.systemIdentifier))
        // The member key keeps the session alive: without this the leader key would stay with a node that cannot start.
        return seen.isNamedLeader ? giveUpKey(seen, because: invalid) : Decision(.wait, invalid)
    }
    if let cluster = view.initialize.systemIdentifier {
        if cluster == local { return configurationRule(seen, view) }
        let mismatch = Reason.identity(.systemIdentifierMismatch(cluster: cluster, local: local))
        if seen.isNamedLeader { return giveUpKey(seen, because: mismatch) }
        // In pause the operator may be at work on just this; the daemon only says so.
        return seen.settings.isPaused ? nil : leaveCluster(seen, memory, because: mismatch)
    }
    if seen.isNamedLeader { return Decision(.write(.systemIdentifier(local)), .identity(.nobodyInitialized)) }
    guard view.isUnlocked, !seen.settings.isPaused else { return nil }
    // A standby whose primary no daemon manages yet must not define the cluster. It waits for who does: the daemon's
    // end would help nobody where the store has but lost its keys.
    if let facts = seen.local.facts, facts.inRecovery, !memory.hasRunUnderUs {
        return Decision(.wait, .identity(.replicaWithoutCluster))
    }
    return Decision(.write(.systemIdentifier(local)), .identity(.nobodyInitialized))
}

/// The leader keeps `/config` in the store: one that is missing or empty is written again.
private func configurationRule(_ seen: Observation, _ view: ClusterView) -> Decision? {
    guard seen.isNamedLeader, view.config?.data.isEmpty ?? true, !seen.settings.document.isEmpty else { return nil }
    return Decision(.write(.configuration), .identity(.configurationMissing))
}

extension Memory {
    /// Whether a leader was seen since the daemon started: then a standby was running under its rule.
    fileprivate var hasRunUnderUs: Bool { lastLeader != nil }
}

/// Whose cluster the data directory is of.
public enum IdentityReason: Sendable, Hashable {
    case systemIdentifierInvalid(String?)
    case systemIdentifierMismatch(cluster: String, local: String)
    case replicaWithoutCluster
    case configurationMissing
    case nobodyInitialized

    var explanation: Explanation {
        switch self {
        case .systemIdentifierInvalid(let text):
            Explanation(
                "system-identifier-invalid", ["local": .fact(text)],
                "the system identifier of the data directory is not valid (\(text ?? "none")); consider reinitializing")
        case .systemIdentifierMismatch(let cluster, let local):
            Explanation(
                "system-identifier-mismatch", ["cluster": .fact(cluster), "local": .fact(local)],
                "system ID mismatch: the cluster is \(cluster), the data directory is of \(local): "
                    + "it belongs to a different cluster")
        case .replicaWithoutCluster:
            Explanation(
                "replica-without-cluster",
                "PostgreSQL runs as a replica and the cluster is not initialized: start the daemon on the primary first"
            )
        case .configurationMissing: Explanation("configuration-missing", "/config is missing or empty")
        case .nobodyInitialized: Explanation("nobody-initialized", "nobody has initialized the cluster")
        }
    }
}
