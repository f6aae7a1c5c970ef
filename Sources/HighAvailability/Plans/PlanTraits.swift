public import ClusterModel

extension Plan.Kind {
    /// What the rules and the others must know of a kind of plan; a new kind is a case and its row here.
    struct Traits {
        var writes: Writes
        /// What the node shows as its role meanwhile; nil for what its server is.
        var shownRole: NodeRole?
        /// The node is away meanwhile, and takes nothing over, whatever its server answers still.
        var isAway = false
        /// An operator may break it off for a new base backup: what it leaves behind is replaced anyway, and nobody
        /// else waits for its end.
        var yieldsToReinitialize = false
        /// A server that hangs would hold it up for long.
        var mayBeCutShort = false
        var takesDown: TakingDown?
        /// What it stops was, or may have become, a primary, and may have gone on alone: its timeline is compared
        /// before it follows anybody.
        var isComparedAfter = false
        /// It takes PostgreSQL down only to start it again, or has the rules do so.
        var startsAgain = false
    }

    /// How a plan takes a primary down.
    public enum TakingDown: Sendable, Hashable {
        /// The lease has ended, or is about to: in good time before that, whatever it takes.
        case forLackOfLease
        /// Under the lease, for somebody else who is to lead; where nobody comes, this node leads again.
        case toHandOver
        /// Under the lease, and for good: the daemon ends, or the cluster follows a primary elsewhere.
        case forGood
    }

    /// Whether PostgreSQL may accept writes while the plan runs or when it is done, which only the holder of the lease
    /// may allow.
    enum Writes {
        /// It is taken down or kept in recovery. A bootstrap has no leader key to lose yet.
        case closed
        /// It will accept them.
        case opens
        /// As it was: a restart happens on standbys, too.
        case restarts
        /// As long as what is stopped still runs; then there is nothing left to lose.
        case ends
    }

    var traits: Traits {
        switch self {
        case .bootstrap: Traits(writes: .closed, shownRole: .uninitialized, isAway: true)
        case .clone, .startStandby, .rewind, .stopParted, .reclone, .reinitialize, .recoverSingleUser:
            Traits(writes: .closed, isAway: true, yieldsToReinitialize: true)
        case .copySlots: Traits(writes: .closed, isAway: true, yieldsToReinitialize: true, startsAgain: true)
        case .follow, .resumeReplay: Traits(writes: .closed, yieldsToReinitialize: true)
        case .startPrimary: Traits(writes: .opens)
        case .promote: Traits(writes: .opens, shownRole: .promoted, mayBeCutShort: true)
        case .handOver:
            Traits(
                writes: .ends, shownRole: .demoted, mayBeCutShort: true, takesDown: .toHandOver, startsAgain: true)
        case .demoteCluster:
            Traits(
                writes: .ends, shownRole: .demoted, mayBeCutShort: true, takesDown: .forGood, isComparedAfter: true)
        case .demote, .demoteOffline:
            Traits(writes: .closed, shownRole: .demoted, takesDown: .forLackOfLease, isComparedAfter: true)
        case .restart:
            Traits(writes: .restarts, isAway: true, yieldsToReinitialize: true, mayBeCutShort: true, startsAgain: true)
        case .shutdown: Traits(writes: .ends, isAway: true, mayBeCutShort: true, takesDown: .forGood)
        }
    }

    /// Whether PostgreSQL, which is as `local` says, may accept writes by this plan, or does still.
    func mayAcceptWrites(_ local: PostgreSQLStatus) -> Bool {
        switch traits.writes {
        case .closed: false
        case .opens: true
        case .restarts: !local.hasStandbySignal
        case .ends: local.mayYetAcceptWrites
        }
    }

    public var yieldsToReinitialize: Bool { traits.yieldsToReinitialize }

    /// Whether the node is away while it runs: nobody hands over to it.
    public var isAway: Bool { traits.isAway }

    public var takesDown: TakingDown? { traits.takesDown }

    /// Whether PostgreSQL is down in the middle of it, and runs when all is done: a daemon that ends there in pause
    /// leaves it down, as the next one starts nothing.
    public var startsAgain: Bool { traits.startsAgain }
}

/// Whether PostgreSQL accepts writes, or may before the running plan ends: what the guardian and the deadlines go by.
/// What a rule would break off is another question (`hasWritesToLose`): a plan that takes PostgreSQL down has a server
/// that accepts writes still, and nothing that would have to be broken off.
public func mayBecomeWritable(_ local: PostgreSQLStatus, _ running: RunningPlan?) -> Bool {
    local.mayYetAcceptWrites || running?.plan.kind.mayAcceptWrites(local) ?? false
}
