import ClusterModel

/// What a node owes the others beside its decisions. A new one is a case here, and says what it needs.
enum Chore: Int, CaseIterable, Sendable {
    /// In the order in which a cycle's end does them. The checkpoint after a promotion makes the control file show its
    /// timeline (postgresql.md §21.8).
    case cache, touch, slots, sync, status, failsafe, history, checkpoint, proof

    /// What has to be so before it is done.
    struct Needs: Sendable, Hashable {
        /// The store has answered, its view is known, and nobody else writes keys under our name.
        var store = true
        var leading = Leading.whatever
        var noPlan = NoPlan.whatever
    }

    /// As what this node has to lead.
    enum Leading: Sendable, Hashable {
        case whatever, primary
        /// As a primary, or as the leader of a standby cluster.
        case primaryOrStandby
    }

    /// Which plan may run beside it.
    enum NoPlan: Sendable, Hashable {
        case whatever, none, orPromotion
    }

    var needs: Needs {
        switch self {
        case .cache: Needs(store: false, noPlan: .none)
        case .proof: Needs(noPlan: .none)
        case .touch: Needs()
        // In failsafe mode they go on without the store.
        case .slots: Needs(store: false, noPlan: .orPromotion)
        case .status, .failsafe, .history: Needs(leading: .primaryOrStandby, noPlan: .none)
        case .sync, .checkpoint: Needs(leading: .primary, noPlan: .none)
        }
    }
}

/// Where the chores stand that are answered: no second one is begun before.
struct Chores: Sendable {
    enum State: Sendable, Hashable {
        case idle, wanted, running
    }

    private var states = Array(repeating: State.idle, count: Chore.allCases.count)

    subscript(chore: Chore) -> State { states[chore.rawValue] }

    mutating func want(_ chore: Chore) { states[chore.rawValue] = .wanted }
    mutating func begin(_ chore: Chore) { states[chore.rawValue] = .running }
    mutating func end(_ chore: Chore) { states[chore.rawValue] = .idle }

    /// When the last checkpoint that was asked for was done.
    private var checkpointedAt: BootInstant?

    /// A look that began before the last checkpoint has ended may not have seen it.
    func mayOweCheckpoint(seenAt: BootInstant) -> Bool {
        self[.checkpoint] == .idle && checkpointedAt.map { seenAt > $0 } ?? true
    }

    mutating func checkpointIsDone(at now: BootInstant) {
        end(.checkpoint)
        checkpointedAt = now
    }
}
