public import ClusterModel

/// Does this data directory belong to this cluster (ha-loop.md §7, §5.4, §5.5)? Nil where it does and nothing is to
/// mend.
func identityRule(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Decision? {
    // Not read is not wrong: a tool that is late, or being replaced, says nothing of a server that runs and answers.
    // One that does not, and may accept writes without a right to it, is ended by the rules that come.
    if seen.local.systemIdentifier == nil, seen.local.postmaster != nil,
        seen.local.facts != nil || !seen.isNamedLeader
    {
        return nil
    }
    guard let local = seen.local.systemIdentifier, isValidSystemIdentifier(local) else {
        let invalid = unidentified(seen.local)
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
    if seen.isNamedLeader { return repair(.systemIdentifier(local), seen, because: .identity(.nobodyInitialized)) }
    guard view.isUnlocked, !seen.settings.isPaused else { return nil }
    // A standby whose primary no daemon manages yet must not define the cluster. It waits for who does: the daemon's
    // end would help nobody where the store has but lost its keys. A standby cluster has none but standbys.
    if let facts = seen.local.facts, facts.inRecovery, !memory.hasRunUnderUs, !isKnown(local, view, memory),
        !seen.settings.isStandbyCluster
    {
        return Decision(.wait, .identity(.replicaWithoutCluster))
    }
    switch unknownCluster(seen, view, memory) {
    case .standby?: return nil
    case .formerPrimary(let timeline)?: return Decision(.wait, .identity(.directoryOutlivedStore(timeline: timeline)))
    case nil: return Decision(.write(.systemIdentifier(local)), .identity(.nobodyInitialized))
    }
}

/// Why nothing is known of the data directory, or nothing that is right.
func unidentified(_ local: PostgreSQLStatus) -> Reason {
    guard local.systemIdentifier == nil, let trouble = local.controlTrouble else {
        return .identity(.systemIdentifierInvalid(local.systemIdentifier))
    }
    return .identity(.controlFile(trouble))
}

/// The leader keeps `/config` in the store: one that is missing or empty is written again.
private func configurationRule(_ seen: Observation, _ view: ClusterView) -> Decision? {
    guard seen.isNamedLeader, view.config?.data.isEmpty ?? true, !seen.settings.document.isEmpty else { return nil }
    return repair(.configuration, seen, because: .identity(.configurationMissing))
}

/// What a leader writes again of what the store has lost: with a lease that was just renewed, because a store that is
/// full refuses every write and prolongs a session all the same. While it refuses, this node leads on without: nothing
/// that a leader does waits for it.
private func repair(_ repair: DCSRepair, _ seen: Observation, because reason: Reason) -> Decision? {
    if seen.repairsWait { return nil }
    switch seen.renewal {
    case nil: return Decision(.ask(.renewal), reason)
    case .held?: return Decision(.write(repair), reason)
    case .refused?: return nil
    }
}

/// A store that still knows the cluster, and from which this daemon has read whose it is: one key of it has been lost
/// since, and whoever leads next is found as ever.
private func isKnown(_ local: String, _ view: ClusterView, _ memory: Memory) -> Bool {
    memory.systemIdentifierInStore == local && !view.knowsNoCluster
}

extension Memory {
    /// Whether a leader was seen since the daemon started: then a standby was running under its rule.
    fileprivate var hasRunUnderUs: Bool { lastLeader != nil }
}

/// Whose cluster the data directory is of.
public enum IdentityReason: Sendable, Hashable {
    case systemIdentifierInvalid(String?)
    /// The control file tells nothing, and so nothing of the directory is known.
    case controlFile(PostgreSQLStatus.ControlTrouble)
    case systemIdentifierMismatch(cluster: String, local: String)
    case replicaWithoutCluster
    /// The store knows of no cluster, and the directory has lived in one.
    case directoryOutlivedStore(timeline: TimelineID)
    case configurationMissing
    case nobodyInitialized

    var explanation: Explanation {
        switch self {
        case .systemIdentifierInvalid(let text):
            Explanation(
                "system-identifier-invalid", ["local": .fact(text)],
                "the system identifier of the data directory is not valid (\(text ?? "none")); consider reinitializing")
        case .controlFile(let trouble): trouble.explanation
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
        case .directoryOutlivedStore(let timeline):
            Explanation(
                "directory-outlived-store", ["timeline": .fact(timeline)],
                "the store knows of no cluster, and the data directory is of a primary on timeline \(timeline): "
                    + "its cluster has changed its primary before, and may have gone on without it"
            )
        case .configurationMissing: Explanation("configuration-missing", "/config is missing or empty")
        case .nobodyInitialized: Explanation("nobody-initialized", "nobody has initialized the cluster")
        }
    }

    var needsOperator: String? {
        switch self {
        case .controlFile(let trouble): trouble.remedy
        case .systemIdentifierInvalid:
            "the control file of the data directory holds no valid system identifier. Restore the directory from a "
                + "backup, or ask for a new copy (POST /reinitialize)"
        case .replicaWithoutCluster:
            "PostgreSQL here is a standby, and the store knows no cluster (/initialize is not there). Start the daemon "
                + "on the node whose PostgreSQL is its primary: it writes the key, or says what it waits for. Where "
                + "there is none any more, promote the standby that has most (pg_ctl promote), and its daemon goes on "
                + "from there"
        case .directoryOutlivedStore(let timeline):
            "the store knows nothing of the cluster whose primary's data stands here, on timeline \(timeline): nobody "
                + "can tell whether it was the last. If the store is the wrong one, or can be restored, see to that. "
                + "Else look at every node (pg_controldata: the highest timeline, then the highest location), and "
                + "start PostgreSQL by hand where the data is that is to go on (pg_ctl start): a primary that runs is "
                + "the cluster, its daemon writes the key, and the others follow it. So it is with a backup that was "
                + "restored here"
        case .systemIdentifierMismatch, .configurationMissing, .nobodyInitialized: nil
        }
    }
}

extension PostgreSQLStatus.ControlTrouble {
    fileprivate var explanation: Explanation {
        switch self {
        case .missing(let path):
            Explanation("control-file-missing", ["path": .fact(path)], "\(path) is missing")
        case .damaged(let what):
            Explanation("control-file-damaged", ["what": .fact(what)], "the control file is damaged: \(what)")
        case .unreadable(let why):
            Explanation("control-file-unreadable", ["why": .fact(why)], "the control file cannot be read: \(why)")
        case .notAsked(let why):
            Explanation("control-file-not-asked", ["why": .fact(why)], "pg_controldata tells nothing: \(why)")
        }
    }

    /// What is wrong, and what an operator can do; the file is looked at again in every cycle.
    fileprivate var remedy: String {
        switch self {
        case .missing(let path):
            "\(path) is missing, and PostgreSQL does not start without it. Put the data directory back as it was, "
                + "restore it from a backup, or ask for a new copy (POST /reinitialize)"
        case .damaged(let what):
            "the control file is damaged, or postgresql.bin_dir is of another version: \(what). Restore the data "
                + "directory from a backup, or ask for a new copy (POST /reinitialize)"
        case .unreadable(let why):
            "the control file cannot be read: \(why). Give the data directory and all in it to the user of PostgreSQL, "
                + "and see to its disk"
        case .notAsked(let why):
            "pg_controldata, without which nothing is known of the data directory, does not do its work: \(why). See "
                + "to postgresql.bin_dir, and to the load of the machine"
        }
    }
}
