import ClusterModel

/// A leader whose server runs, and whose data directory is seen to be gone or out of order: one stat that fails for a
/// moment must not cost the leadership, so it is looked at once more before anything follows. Nil where there is
/// nothing to wait for.
func directoryTroubleRule(_ seen: Observation, _ memory: Memory) -> Decision? {
    guard seen.isNamedLeader, let trouble = memory.directoryTrouble, !trouble.isConfirmed else { return nil }
    // Its disk does not answer any more: no other look will come.
    if case .hung = seen.health { return nil }
    let reason: Reason
    switch seen.local.dataDirectory {
    case .initialized, .unseen: return nil
    case .empty: reason = .bootstrap(.dataDirectoryEmpty)
    case .inaccessible(let why): reason = .bootstrap(.dataDirectoryInaccessible(why))
    }
    switch seen.renewal {
    case nil: return Decision(.ask(.renewal), reason, .bootstrap(.lookedAtOnceMore))
    case .held?: return Decision(.wait, reason, .bootstrap(.lookedAtOnceMore))
    case .refused?: return nil
    }
}

extension Memory {
    /// Only a server that may serve is worth the wait.
    mutating func noteDirectory(_ local: PostgreSQLStatus) {
        guard local.postmaster != nil, local.finish == nil else { return directoryTrouble = nil }
        switch local.dataDirectory {
        case .initialized, .unseen: directoryTrouble = nil
        case .empty, .inaccessible:
            directoryTrouble = DirectoryTrouble(
                first: directoryTrouble?.first ?? local.observedAt, last: local.observedAt)
        }
    }

    /// What was seen of the data directory, or of a receiver, has to be seen once more.
    public var hasToLookAgain: Bool {
        if awaitsLook { return true }
        if let directoryTrouble, !directoryTrouble.isConfirmed { return true }
        if received != nil { return true }
        if let lacking, !lacking.isConfirmed { return true }
        guard let obstacle, !obstacle.isConfirmed else { return false }
        return failedStarts > 0 || startingSince != nil
    }
}
