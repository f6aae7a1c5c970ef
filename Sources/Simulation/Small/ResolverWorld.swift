import HighAvailability

/// A cluster as the resolvers of synchronous mode see it, and everything that can become of it: standbys that come, go
/// and catch up, steps that are taken or not, leaders that die between any two, changes of mode, of how many must have
/// a commit and of who is preferred. Every state is visited; in each, whoever may win has every commit that may have
/// been acknowledged.
///
/// Nodes are numbers, sets of them bits. The primary is 0; after a promotion the nodes are told anew, and of worlds
/// that differ by the numbers of the others alone only one is looked at.
public struct ResolverWorld: Hashable, Sendable {
    /// What may happen.
    public struct Rules: Sendable, CustomStringConvertible {
        public var nodes: Int
        public var modes: [Mode]
        /// `synchronous_node_count`, up to this.
        public var most: Int
        public var isStrict: Bool
        /// A bug, planted to see that it is found.
        public var slip: Slip?

        public enum Mode: Sendable { case priority, quorum }

        public enum Slip: Sendable {
            /// The names are set before `/sync` asks for as many votes as they need.
            case namesBeforeVotes
            /// Whoever streams counts as having everything.
            case receiptNotAwaited
        }

        public init(
            nodes: Int, modes: [Mode] = [.priority, .quorum], most: Int = 2, isStrict: Bool = false, slip: Slip? = nil
        ) {
            self.nodes = nodes
            self.modes = modes
            self.most = most
            self.isStrict = isStrict
            self.slip = slip
        }

        public var description: String {
            "\(nodes) nodes, \(modes.map { "\($0)" }.joined(separator: " and ")), up to \(most) synchronous"
                + (isStrict ? ", strict" : "")
        }
    }

    /// `/sync`: whom it names as leader, a bit, which is the primary, which has claimed it, or another one: the peer
    /// claims it later, and a primary may lead that was promoted by hand.
    var leader: UInt8 = 1
    var quorum: UInt8 = 0
    var voters: UInt8 = 0
    var number: UInt8 = 0
    var standbys: UInt8 = 0
    var active: UInt8 = 0
    /// Of the others: who has received everything that was written before the names last changed.
    var confirmed: UInt8 = 0
    /// Commits that were acknowledged under earlier names, sorted.
    var old: [Duty] = []

    /// Commits that `holders` have for certain, and any `number` of `standbys`, who are none of them.
    struct Duty: Hashable, Comparable, Sendable {
        var number: UInt8
        var standbys: UInt8
        var holders: UInt8

        init(number: Int, standbys: UInt8, holders: UInt8) {
            let certain = (standbys & holders).nonzeroBitCount
            self.number = UInt8(max(0, number - certain))
            self.standbys = self.number == 0 ? 0 : standbys & ~holders
            self.holders = holders
        }

        static func < (left: Duty, right: Duty) -> Bool {
            (left.number, left.standbys, left.holders) < (right.number, right.standbys, right.holders)
        }

        /// Whether each set of `count` of `electors` has somebody with the commit. The worst set has nobody who has it
        /// for certain, and as few of the standbys as will do: those that it has not must be too few.
        func isMet(by electors: UInt8, count: Int) -> Bool {
            let others = electors & ~holders
            if others.nonzeroBitCount < count { return true }
            let taken = max(0, count - (others & ~standbys).nonzeroBitCount)
            return standbys.nonzeroBitCount - taken < Int(number)
        }

        /// Whether whoever meets this one meets `other`.
        func implies(_ other: Duty) -> Bool {
            holders & ~other.holders == 0
                && Int(number) + (other.standbys & ~standbys).nonzeroBitCount <= Int(other.number)
        }

        func held(by node: Int) -> Duty { Duty(number: Int(number), standbys: standbys, holders: holders | bit(node)) }
    }

    public init() {}

    private var present: Duty { Duty(number: Int(number), standbys: standbys, holders: 1) }

    private var electors: UInt8 { voters | leader }

    /// What stands in `/sync` before we have written it is not ours to answer for.
    var isSafe: Bool {
        if leader != 1 { return true }
        return (old + [present]).allSatisfy { $0.isMet(by: electors, count: Int(quorum) + 1) }
    }

    private mutating func remember(_ duties: [Duty], _ rules: Rules) {
        let all = UInt8(truncatingIfNeeded: 1 << rules.nodes - 1)
        let left = Set(duties.filter { $0.holders & all != all })
        old = left.filter { duty in
            !left.contains { $0 != duty && $0.implies(duty) && ($0 < duty || !duty.implies($0)) }
        }
        .sorted()
    }

    // MARK: What happens

    private mutating func apply(_ step: ResolverStep, _ rules: Rules) {
        switch step {
        case .writeSync(let leader, let quorum, let voters):
            (self.leader, self.quorum, self.voters) = (bits([leader]), UInt8(quorum), bits(voters))
        case .setStandbys(let number, let names):
            remember(old + [present], rules)
            (self.number, standbys) = (UInt8(number), bits(names))
            confirmed = 0
        }
    }

    private mutating func confirm(_ node: Int, _ rules: Rules) {
        confirmed |= bit(node)
        remember(old.map { $0.held(by: node) }, rules)
    }

    /// `node` has won, has claimed `/sync`, and is promoted with the names that belong to it (`SynchronousClaim`).
    private mutating func lead(_ node: Int, _ mode: Rules.Mode, _ rules: Rules) {
        let others = electors & ~bit(node)
        let keeps = quorum > 0 || mode == .quorum && voters != 0 || rules.isStrict
        let duties = (old + [present]).map { $0.held(by: node) }
        let count = others.nonzeroBitCount - Int(quorum)
        if keeps, count > 0, others != 0 {
            (voters, number, standbys) = (others, UInt8(count), others)
        } else {
            (quorum, voters) = (0, 0)
            // A name that nobody has stands for strict mode's placeholder.
            (number, standbys) = rules.isStrict ? (1, bit(Self.nobody)) : (0, 0)
        }
        (leader, active, confirmed, old) = (bit(node), 0, 0, duties)
        rename { bits in
            let (first, other) = (bits & 1, bits >> UInt8(node) & 1)
            return bits & ~1 & ~bit(node) | other | first << UInt8(node)
        }
        remember(old, rules)
    }

    static let nobody = 7

    private mutating func rename(_ change: (UInt8) -> UInt8) {
        (leader, voters, standbys) = (change(leader), change(voters), change(standbys))
        (active, confirmed) = (change(active), change(confirmed))
        old = old.map { Duty(number: Int($0.number), standbys: change($0.standbys), holders: change($0.holders)) }
    }

    /// The least of all worlds that differ by the numbers of the others alone.
    private func canonical(_ orders: [[Renaming]]) -> ResolverWorld {
        var least: ResolverWorld?
        for order in orders {
            var world = self
            world.rename { bits in order.reduce(bits & 0x81) { $0 | (bits >> UInt8($1.from) & 1) << UInt8($1.to) } }
            world.old.sort()
            if least.map({ world.isLess(than: $0) }) ?? true { least = world }
        }
        return least ?? self
    }

    private func isLess(than other: ResolverWorld) -> Bool {
        let mine = [leader, voters, standbys, active, confirmed]
        let theirs = [other.leader, other.voters, other.standbys, other.active, other.confirmed]
        if mine != theirs { return mine.lexicographicallyPrecedes(theirs) }
        return old.lexicographicallyPrecedes(other.old)
    }
}

// MARK: - Exploring

extension ResolverWorld {
    /// What was found.
    public struct Exploration: Sendable {
        public var states = 0
        /// The first way into a state that is not safe; nil where there is none.
        public var broken: String?
    }

    /// Visits every state, or `limit` of them.
    public static func explore(_ rules: Rules, limit: Int = .max) -> Exploration {
        var steps = Steps(rules: rules)
        let orders = permutations(of: Array(1..<rules.nodes)).map { order in
            zip(1..<rules.nodes, order).map { Renaming(from: $0, to: $1) }
        }
        var waiting = [ResolverWorld()] + unclaimed(rules).map { $0.canonical(orders) }
        var seen = Set(waiting)
        while let world = waiting.popLast(), seen.count < limit {
            for next in world.followers(&steps) {
                guard next.isSafe else {
                    return Exploration(states: seen.count, broken: "from \(world)\nto \(next)")
                }
                let canonical = next.canonical(orders)
                if seen.insert(canonical).inserted { waiting.append(canonical) }
            }
        }
        return Exploration(states: seen.count)
    }

    /// A primary whom `/sync` does not name, which asks for votes; whatever its names are.
    private static func unclaimed(_ rules: Rules) -> [ResolverWorld] {
        let all = (0..<rules.nodes).reduce(0) { $0 | bit($1) }
        var worlds: Set<ResolverWorld> = []
        for voters in subsets(of: all & ~bit(1)) where voters != 0 {
            for quorum in 1..<max(2, voters.nonzeroBitCount + 1) {
                for standbys in subsets(of: all & ~1) {
                    for number in 0...standbys.nonzeroBitCount where (number == 0) == (standbys == 0) {
                        var world = ResolverWorld()
                        (world.leader, world.voters, world.quorum) = (bit(1), voters, UInt8(quorum))
                        (world.standbys, world.number) = (standbys, UInt8(number))
                        worlds.insert(world)
                    }
                }
            }
        }
        return Array(worlds)
    }

    struct Renaming {
        var from: Int
        var to: Int
    }

    private static func permutations(of items: [Int]) -> [[Int]] {
        if items.isEmpty { return [[]] }
        return items.flatMap { item in permutations(of: items.filter { $0 != item }).map { [item] + $0 } }
    }

    private func followers(_ steps: inout Steps) -> [ResolverWorld] {
        let rules = steps.rules
        var found: [ResolverWorld] = []
        func add(_ change: (inout ResolverWorld) -> Void) {
            var next = self
            change(&next)
            if next != self { found.append(next) }
        }
        for node in 1..<rules.nodes {
            add { $0.active ^= bit(node) }
            if active & bit(node) != 0, confirmed & bit(node) == 0 { add { $0.confirm(node, rules) } }
        }
        for step in steps.all(self) { add { $0.apply(step, rules) } }
        for mode in rules.modes where leader == 1 {
            for winners in subsets(of: electors, count: Int(quorum) + 1) {
                for node in 1..<rules.nodes where winners & bit(node) != 0 { add { $0.lead(node, mode, rules) } }
            }
        }
        return found
    }

    /// What the resolvers say, asked once for each question.
    private struct Steps {
        let rules: Rules
        private var known: [ResolverWorld: [ResolverStep]] = [:]

        init(rules: Rules) { self.rules = rules }

        mutating func all(_ world: ResolverWorld) -> [ResolverStep] {
            var question = world
            question.old = []
            question.confirmed &= world.active
            if let steps = known[question] { return steps }
            let steps = Set(rules.modes.flatMap { mode in (1...rules.most).flatMap { ask(question, mode, $0) } })
            known[question] = Array(steps)
            return Array(steps)
        }

        private func slipped(_ step: ResolverStep, _ world: ResolverWorld) -> ResolverStep {
            guard rules.slip == .namesBeforeVotes, case .writeSync(_, let quorum, let voters) = step,
                quorum > Int(world.quorum), world.voters != 0
            else { return step }
            return .setStandbys(number: max(1, voters.count - quorum), names: voters)
        }

        private func ask(_ world: ResolverWorld, _ mode: Rules.Mode, _ count: Int) -> [ResolverStep] {
            let state = SynchronousState(
                leader: names(world.leader).first ?? "", quorum: Int(world.quorum), voters: names(world.voters),
                number: Int(world.number), standbys: names(world.standbys))
            let active = names(world.active)
            let confirmed = rules.slip == .receiptNotAwaited ? active : names(world.confirmed)
            switch mode {
            case .quorum:
                let wish = QuorumResolver.Wish(
                    leader: "0", active: active, confirmed: confirmed, count: count, isStrict: rules.isStrict)
                return QuorumResolver(state).next(wish).map { [slipped($0, world)] } ?? []
            case .priority:
                // Whoever is preferred.
                return subsets(of: world.active, count: min(count, active.count)).compactMap { picked in
                    PriorityResolver(state).next(
                        .init(
                            leader: "0", picked: names(picked), active: active, confirmed: confirmed,
                            isStrict: rules.isStrict))
                }
            }
        }
    }
}

private func bit(_ node: Int) -> UInt8 { 1 << UInt8(node) }

private func names(_ bits: UInt8) -> Set<String> {
    Set((0..<7).filter { bits & bit($0) != 0 }.map { "\($0)" } + (bits & 0x80 != 0 ? ["nobody"] : []))
}

private func bits(_ names: Set<String>) -> UInt8 {
    names.reduce(0) { $0 | bit(Int($1) ?? ResolverWorld.nobody) }
}

private func subsets(of bits: UInt8) -> [UInt8] { (0...bits).filter { $0 & ~bits == 0 } }

private func subsets(of bits: UInt8, count: Int) -> [UInt8] {
    subsets(of: bits).filter { $0.nonzeroBitCount == count }
}
