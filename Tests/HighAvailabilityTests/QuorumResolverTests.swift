import HighAvailability
import Testing

/// The quorum resolver by exhaustion: every state that standbys which come, go and confirm, leaders that die between
/// any two steps, and changes of `synchronous_node_count` can lead to.
@Suite struct QuorumResolverTests {
    /// A cluster of nodes 0..<count, sets of them as bits.
    struct World: Hashable {
        var leader: Int
        var sync: Sync
        var number: Int
        var standbys: UInt8
        var active: UInt8
        /// Of the standbys: who has received everything that was written before the settings last changed.
        var confirmed: UInt8
        /// Commits that were acknowledged under earlier settings.
        var old: Set<Duty>

        struct Sync: Hashable {
            var leader: Int
            var quorum: Int
            var voters: UInt8
        }

        /// Commits that `primary` and any `number` of `standbys` have, and for certain `holders`.
        struct Duty: Hashable {
            var number: Int
            var standbys: UInt8
            var holders: UInt8
        }

        /// Whether everybody who may win has every acknowledged commit: each set that may win meets each set that may
        /// have acknowledged.
        var isSafe: Bool {
            let electors = sync.voters | bit(sync.leader)
            let present = Duty(number: number, standbys: standbys, holders: bit(leader))
            return subsets(of: electors, count: sync.quorum + 1).allSatisfy { winners in
                old.union([present]).allSatisfy { duty in
                    winners & duty.holders != 0 || (duty.standbys & ~winners).nonzeroBitCount < duty.number
                }
            }
        }

        var resolver: QuorumResolver {
            QuorumResolver(
                leader: "\(sync.leader)", quorum: sync.quorum, voters: names(sync.voters), number: number,
                standbys: names(standbys))
        }

        func wish(_ count: Int, _ isStrict: Bool) -> QuorumResolver.Wish {
            QuorumResolver.Wish(
                leader: "\(leader)", active: names(active), confirmed: names(confirmed), count: count,
                isStrict: isStrict)
        }

        mutating func apply(_ step: QuorumResolver.Step) {
            switch step {
            case .writeSync(let leader, let quorum, let voters):
                sync = Sync(leader: number(of: leader), quorum: quorum, voters: bits(voters))
            case .setStandbys(let number, let names):
                remember()
                self.number = number
                standbys = bits(names)
                confirmed = 0
            }
        }

        /// What was acknowledged until now stays a duty, unless another says more.
        private mutating func remember() {
            old.insert(Duty(number: number, standbys: standbys, holders: bit(leader)))
            let all = old
            old = all.filter { duty in
                !all.contains { other in
                    other != duty && other.standbys & ~other.holders == duty.standbys & ~duty.holders
                        && other.holders & ~duty.holders == 0 && other.number <= duty.number
                }
            }
        }

        /// A standby has caught up with everything.
        mutating func confirm(_ node: Int) {
            confirmed |= bit(node)
            old = Set(old.map { Duty(number: $0.number, standbys: $0.standbys, holders: $0.holders | bit(node)) })
        }

        /// `node` has won: it has everything, and sets what is to be set before its promotion.
        mutating func lead(_ node: Int) {
            let step = resolver.beforePromotion(of: "\(node)")
            remember()
            leader = node
            old = Set(old.map { Duty(number: $0.number, standbys: $0.standbys, holders: $0.holders | bit(node)) })
            if case .setStandbys(let number, let names) = step {
                self.number = number
                standbys = bits(names)
            }
            active = 0
            confirmed = 0
        }

        private func number(of name: String) -> Int { Int(name) ?? 0 }
    }

    static func bit(_ node: Int) -> UInt8 { 1 << UInt8(node) }

    static func names(_ bits: UInt8) -> Set<String> {
        Set((0..<8).filter { bits & bit($0) != 0 }.map { "\($0)" })
    }

    static func bits(_ names: Set<String>) -> UInt8 { names.reduce(0) { $0 | bit(Int($1) ?? 0) } }

    static func subsets(of bits: UInt8, count: Int) -> [UInt8] {
        (0...bits).filter { $0 & ~bits == 0 && $0.nonzeroBitCount == count }
    }

    /// What may happen next in a world.
    static func followers(_ world: World, nodes: Int, counts: ClosedRange<Int>, isStrict: Bool) -> [World] {
        var found: [World] = []
        func add(_ change: (inout World) -> Void) {
            var next = world
            change(&next)
            if next != world { found.append(next) }
        }
        for node in 0..<nodes where node != world.leader {
            add { $0.active ^= bit(node) }
            if world.active & world.standbys & bit(node) != 0 { add { $0.confirm(node) } }
        }
        for count in counts {
            if let step = world.resolver.next(world.wish(count, isStrict)) { add { $0.apply(step) } }
        }
        // Anybody with enough votes, or the leader by name where the others agree.
        let electors = world.sync.voters | bit(world.sync.leader)
        for winners in subsets(of: electors, count: world.sync.quorum + 1) {
            for node in 0..<nodes where node != world.leader && winners & bit(node) != 0 { add { $0.lead(node) } }
        }
        return found
    }

    @Test(arguments: [(2, false), (3, false), (3, true)])
    func whoMayWinMeetsWhoMayHaveAcknowledged(nodes: Int, isStrict: Bool) {
        let start = World(
            leader: 0, sync: World.Sync(leader: 0, quorum: 0, voters: 0), number: 0, standbys: 0, active: 0,
            confirmed: 0, old: [])
        var seen: Set<World> = [start]
        var waiting = [start]
        while let world = waiting.popLast() {
            for next in Self.followers(world, nodes: nodes, counts: 1...max(1, nodes - 2), isStrict: isStrict)
            where seen.insert(next).inserted {
                guard next.isSafe else {
                    Issue.record("from \(world)\nto \(next)")
                    return
                }
                waiting.append(next)
            }
        }
        print("quorum: \(nodes) nodes, strict \(isStrict): \(seen.count) states")
        #expect(seen.count > 20)
    }
}

private typealias World = QuorumResolverTests.World
private func bit(_ node: Int) -> UInt8 { QuorumResolverTests.bit(node) }
private func names(_ bits: UInt8) -> Set<String> { QuorumResolverTests.names(bits) }
private func bits(_ names: Set<String>) -> UInt8 { QuorumResolverTests.bits(names) }
private func subsets(of bits: UInt8, count: Int) -> [UInt8] { QuorumResolverTests.subsets(of: bits, count: count) }
