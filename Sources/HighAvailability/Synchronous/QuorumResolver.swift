/// Which steps lead from the present quorum to the wanted one (ha-loop.md §17.6, §18), so that at no instant somebody
/// may win the leader key who lacks a commit that was acknowledged. Pure: states in, steps out.
///
/// For commits that were acknowledged under earlier settings the same holds by the standbys that have confirmed: they
/// have received all that was written before the settings changed.
///
/// The way is of three steps at most, whatever is to change: `/sync` is widened until it covers both the old and the
/// new `synchronous_standby_names`; these are set; and once standbys have confirmed them, `/sync` is narrowed to what
/// is wanted. A step that fails, or a leader that dies between two of them, leaves a state that is safe, from which the
/// next call goes on. Patroni's way has more steps; both end in the same state, and each goes on from the other's.
public struct QuorumResolver: Sendable, Hashable {
    public var state: SynchronousState

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

    public init(_ state: SynchronousState) { self.state = state }

    /// What is to be done next; nil where all is as wanted, or where standbys must confirm first.
    public func next(_ wish: Wish) -> ResolverStep? {
        if state.leader != wish.leader { return state.alone(wish.leader) }
        // Somebody else has set the names: who has what was acknowledged since, nobody knows.
        if !state.isCovered { return state.alone(wish.leader) }
        if wish.active.isEmpty { return state.withoutStandbys(strict: wish.isStrict) }
        let wanted = min(max(1, wish.count), wish.active.count)
        if state.number != wanted || state.standbys != wish.active {
            return widened(wish, wanted) ?? .setStandbys(number: wanted, names: wish.active)
        }
        return narrowed(wish, wanted)
    }

    /// Before `ANY wanted (active)`: `/sync` must also cover what will be acknowledged by it. Nil where it does.
    private func widened(_ wish: Wish, _ wanted: Int) -> ResolverStep? {
        let voters = state.voters
        // Nobody may win but the leader, who has everything.
        if voters.isEmpty { return nil }
        let all = voters.union(wish.active)
        // A newcomer has nothing yet, so each raises what is needed by one.
        let needed = max(
            state.quorum + all.subtracting(voters).count, all.union(state.standbys).count - state.number,
            all.count - wanted)
        if all == voters, needed == state.quorum { return nil }
        return needed >= all.count
            ? state.alone(wish.leader) : .writeSync(leader: wish.leader, quorum: needed, voters: all)
    }

    /// `synchronous_standby_names` is as wanted: `/sync` follows as far as standbys have confirmed.
    private func narrowed(_ wish: Wish, _ wanted: Int) -> ResolverStep? {
        let confirmed = wish.confirmed.intersection(wish.active).count
        if confirmed == 0 { return nil }
        let needed = wish.active.count - min(wanted, confirmed)
        if state.voters == wish.active, state.quorum == needed { return nil }
        return .writeSync(leader: wish.leader, quorum: needed, voters: wish.active)
    }
}
