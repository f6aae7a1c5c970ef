/// The way to the wanted synchronous standbys in priority mode (ha-loop.md §17.5). Every named standby must have each
/// commit, so that each voter has them all, and any one of them may win.
///
/// A standby leaves `/sync` before PostgreSQL forgets it, and enters it after PostgreSQL has named it and it has
/// everything. One that is to be replaced stays in both until its successor has confirmed: Patroni lets go of it
/// first, and has nobody for a moment.
public struct PriorityResolver: Sendable, Hashable {
    public var state: SynchronousState

    /// What is wanted, and what was seen.
    public struct Wish: Sendable, Hashable {
        /// The primary: this node.
        public var leader: String
        /// The standbys to have.
        public var picked: Set<String>
        /// All that stream and may be synchronous.
        public var active: Set<String>
        /// Those that have received all that was written before `synchronous_standby_names` last changed.
        public var confirmed: Set<String>
        /// `synchronous_mode_strict`: commits wait rather than be acknowledged by nobody but the primary.
        public var isStrict: Bool

        public init(
            leader: String, picked: Set<String>, active: Set<String>, confirmed: Set<String>, isStrict: Bool = false
        ) {
            self.leader = leader
            self.picked = picked
            self.active = active.union(picked)
            self.confirmed = confirmed
            self.isStrict = isStrict
        }
    }

    public init(_ state: SynchronousState) { self.state = state }

    /// What is to be done next; nil where all is as wanted, or where standbys must confirm first.
    public func next(_ wish: Wish) -> ResolverStep? {
        let (leader, voters) = (wish.leader, state.voters)
        if state.leader != leader { return state.alone(leader) }
        // Somebody else has set the names: who has what was acknowledged since, nobody knows.
        if !state.isCovered { return state.alone(leader) }
        if wish.picked.isEmpty { return state.withoutStandbys(strict: wish.isStrict) }
        if state.quorum > 0 { return fromQuorum(wish) }
        let present = voters.intersection(wish.active)
        if present != voters { return .writeSync(leader: leader, quorum: 0, voters: present) }
        let ready = ready(wish).union(voters)
        if wish.picked.isSubset(of: ready), voters != wish.picked, wish.picked.isSubset(of: state.standbys) {
            return .writeSync(leader: leader, quorum: 0, voters: wish.picked)
        }
        let names = voters == wish.picked ? wish.picked : wish.picked.union(voters)
        if state.number != names.count || state.standbys != names {
            return .setStandbys(number: names.count, names: names)
        }
        let known = ready.intersection(names)
        return known == voters ? nil : .writeSync(leader: leader, quorum: 0, voters: known)
    }

    /// Who has everything: with all of the names having each commit since, and having what was before.
    private func ready(_ wish: Wish) -> Set<String> {
        state.number == state.standbys.count ? wish.confirmed.intersection(state.standbys) : []
    }

    /// `/sync` of quorum mode says how many of its voters have a commit, and not which. It stays until those that are
    /// wanted now have confirmed.
    private func fromQuorum(_ wish: Wish) -> ResolverStep? {
        if state.number != wish.picked.count || state.standbys != wish.picked {
            let needed = state.voters.subtracting(wish.picked).count
            if needed >= state.voters.count { return state.alone(wish.leader) }
            if needed > state.quorum {
                return .writeSync(leader: wish.leader, quorum: needed, voters: state.voters)
            }
            return .setStandbys(number: wish.picked.count, names: wish.picked)
        }
        let known = ready(wish).intersection(wish.picked)
        return known.isEmpty ? nil : .writeSync(leader: wish.leader, quorum: 0, voters: known)
    }
}
