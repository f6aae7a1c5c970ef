public import ClusterModel

/// The one answer to "who must give up writes, and what does pause say": PostgreSQL here may accept writes, or does so
/// by the plan that runs, and this node has no right to it. Nil where it may not.
///
/// It is ended by `plan`, which is at once unless said otherwise, and compares its timeline before it follows
/// (`Memory.begins`). In pause PostgreSQL is its operator's and goes on.
func giveUpWrites(
    _ seen: Observation, _ memory: inout Memory, by plan: Plan? = nil, because reasons: [Reason]
) -> Decision? {
    guard hasWritesToLose(seen) else { return nil }
    if seen.settings.isPaused {
        return Decision(.wait, reasons.contains(.paused) ? reasons : reasons + [.paused])
    }
    let plan = plan ?? DemotionPlans.lost(seen)
    return Decision(seen.running == nil ? .carryOut(plan) : .breakOff(plan), reasons)
}

/// Whether there is anything to take down or to break off: PostgreSQL here accepts writes and no plan ends that, or the
/// plan that runs would let it. What the guardian and the deadlines go by is `mayBecomeWritable`.
func hasWritesToLose(_ seen: Observation) -> Bool {
    seen.running?.plan.kind.mayAcceptWrites(seen.local) ?? seen.local.mayYetAcceptWrites
}

/// Whether a server of ours may accept writes.
public enum WritesReason: Sendable, Hashable {
    case runningAsPrimaryWithoutLease
    case stillAcceptsWrites
    case sessionsMayGoOn
    case finished(PostgreSQLStatus.Finish)

    var explanation: Explanation {
        switch self {
        case .runningAsPrimaryWithoutLease:
            Explanation("primary-without-lease", "PostgreSQL here may accept writes without the lease")
        case .stillAcceptsWrites:
            Explanation(
                "still-accepts-writes",
                "PostgreSQL may accept writes still: the leader key goes only after it has ended")
        case .sessionsMayGoOn:
            Explanation(
                "sessions-may-go-on",
                "PostgreSQL has crashed: the leader key goes only after its last sessions have ended")
        case .finished(.shutDown):
            Explanation("finished-shut-down", "PostgreSQL has shut down, and its postmaster is still there to archive")
        case .finished(.killed):
            Explanation("finished-killed", "PostgreSQL was killed, and the kernel has not let it go yet")
        }
    }
}
