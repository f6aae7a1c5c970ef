/// Which steps lead from the present quorum to the wanted one (ha-loop.md §17.6, §18), so that at no instant somebody
/// may win the leader key who lacks a commit that was acknowledged. Pure: states in, steps out.
///
/// Who may win is any set of `quorum + 1` of `voters` and `leader`; who may have acknowledged is the primary and any
/// `number` of `standbys`. The two always meet. For commits that were acknowledged under earlier settings the same
/// holds by the standbys that have confirmed: they have received all that was written before the settings changed.
///
/// The way is of three steps at most, whatever is to change: `/sync` is widened until it covers both the old and the
/// new `synchronous_standby_names`; these are set; and once standbys have confirmed them, `/sync` is narrowed to what
/// is wanted. A step that fails, or a leader that dies between two of them, leaves a state that is safe, from which the
/// next call goes on. The peer's way has more steps; both end in the same state, and each goes on from the other's.
public struct QuorumResolver: Sendable, Hashable {
    /// `/sync`: its leader, quorum and voters.
    public var leader: String
    public var quorum: Int
    public var voters: Set<String>
    /// `synchronous_standby_names`: `ANY number (standbys)`.
    public var number: Int
    public var standbys: Set<String>

    /// What is wanted, and what was seen.
    public struct Wish: Sendable, Hashable {
        /// The primary: this node.
        public var leader: String
        /// Standbys that stream and may be synchronous.
        public var active: Set<String>
        /// Of `active`, those that have received all that was written before `synchronous_standby_names` last changed.
        public var confirmed: Set<String>
        /// How many are to acknowledge each commit (`synchronous_node_count`), 1 at least.
        public var count: Int
        /// `synchronous_mode_strict`: commits wait rather than be acknowledged by nobody but the primary.
        public var isStrict: Bool

        public init(
            leader: String, active: Set<String>, confirmed: Set<String>, count: Int, isStrict: Bool = false
        ) {
            self.leader = leader
            self.active = active
            self.confirmed = confirmed
            self.count = count
            self.isStrict = isStrict
        }
    }

    /// One step, carried out before the next is begun.
    public enum Step: Sendable, Hashable {
        /// Write `/sync`, if it has not changed since it was read.
        case writeSync(leader: String, quorum: Int, voters: Set<String>)
        /// Set `synchronous_standby_names`; zero and nobody switch it off.
        case setStandbys(number: Int, names: Set<String>)
    }

    public init(leader: String, quorum: Int, voters: Set<String>, number: Int, standbys: Set<String>) {
        self.leader = leader
        self.quorum = quorum
        self.voters = voters
        self.number = min(number, standbys.count)
        self.standbys = standbys
    }

    /// What is to be done next; nil where all is as wanted, or where standbys must confirm first.
    public func next(_ wish: Wish) -> Step? {
        if leader != wish.leader { return takeOver(wish) }
        if wish.active.isEmpty { return withoutStandbys(wish) }
        let wanted = min(max(1, wish.count), wish.active.count)
        if number != wanted || standbys != wish.active {
            return widened(wish, wanted) ?? .setStandbys(number: wanted, names: wish.active)
        }
        return narrowed(wish, wanted)
    }

    /// All steps that may be taken now, one after another.
    public func steps(_ wish: Wish) -> [Step] {
        var state = self
        var wish = wish
        var steps: [Step] = []
        while let step = state.next(wish), steps.count < 4 {
            steps.append(step)
            state = state.after(step)
            // What was confirmed was confirmed under other settings.
            if case .setStandbys = step { wish.confirmed = [] }
        }
        return steps
    }

    public func after(_ step: Step) -> QuorumResolver {
        switch step {
        case .writeSync(let leader, let quorum, let voters):
            QuorumResolver(leader: leader, quorum: quorum, voters: voters, number: number, standbys: standbys)
        case .setStandbys(let number, let names):
            QuorumResolver(leader: leader, quorum: quorum, voters: voters, number: number, standbys: names)
        }
    }

    /// What a node sets before it is promoted (ha-loop.md §17.7): so many of the others must acknowledge its commits
    /// that whoever may win by the `/sync` of its predecessor has them.
    public func beforePromotion(of candidate: String) -> Step {
        let members = voters.union([leader])
        let others = members.subtracting([candidate])
        let number = voters.isEmpty ? 0 : others.count - quorum
        return .setStandbys(number: max(0, number), names: number > 0 ? others : [])
    }

    /// A new leader: its predecessor becomes a voter in its place.
    private func takeOver(_ wish: Wish) -> Step {
        if voters.isEmpty { return .writeSync(leader: wish.leader, quorum: 0, voters: []) }
        let others = voters.union([leader]).subtracting([wish.leader])
        if others.union(standbys).count > quorum + number {
            return .setStandbys(number: others.count - quorum, names: others)
        }
        return .writeSync(leader: wish.leader, quorum: quorum, voters: others)
    }

    /// Nobody streams. Commits go on alone, and nobody but this node may lead until somebody has confirmed again.
    private func withoutStandbys(_ wish: Wish) -> Step? {
        if wish.isStrict { return nil }
        if !voters.isEmpty { return .writeSync(leader: leader, quorum: 0, voters: []) }
        return standbys.isEmpty ? nil : .setStandbys(number: 0, names: [])
    }

    /// Before `ANY wanted (active)`: `/sync` must also cover what will be acknowledged by it. Nil where it does.
    private func widened(_ wish: Wish, _ wanted: Int) -> Step? {
        // Nobody may win but the leader, who has everything.
        if voters.isEmpty { return nil }
        let all = voters.union(wish.active)
        // A newcomer has nothing yet, so each raises what is needed by one.
        let needed = max(
            quorum + all.subtracting(voters).count, all.union(standbys).count - number, all.count - wanted)
        if all == voters, needed == quorum { return nil }
        return .writeSync(leader: leader, quorum: needed, voters: all)
    }

    /// `synchronous_standby_names` is as wanted: `/sync` follows as far as standbys have confirmed.
    private func narrowed(_ wish: Wish, _ wanted: Int) -> Step? {
        let confirmed = wish.confirmed.intersection(wish.active).count
        if confirmed == 0 { return nil }
        let needed = wish.active.count - min(wanted, confirmed)
        if voters == wish.active, quorum == needed { return nil }
        return .writeSync(leader: leader, quorum: needed, voters: wish.active)
    }
}
