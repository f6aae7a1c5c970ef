import ClusterModel
import HighAvailability

/// A world small enough to be looked at from every side: two or three nodes, time in ticks, and the pure rules. What
/// the big worlds try at random is tried here in every order, up to a number of steps.
///
/// A tick is a sixth of the ttl: a primary that cannot renew is made to decide at the fifth (`stopBy` lies just
/// before), and the guardian and the store come at the sixth. Loading and deciding are two steps, so that others may
/// come between.
public struct SmallWorld: Hashable, Sendable {
    static let tick = Duration.seconds(5)
    static let ticksOfLease = 6
    static let ticksToStop = 5

    /// The leader key: who holds it, and how long ago it was renewed.
    struct Key: Hashable {
        var holder: Int
        var age: Int
    }

    /// What a node read from the store.
    struct Seen: Hashable {
        var leader: Int?
        var timeline: TimelineID
        var position: Int
    }

    struct SmallNode: Hashable {
        var log: WriteAheadLog
        var isUp = true
        var isStandby = true
        var isPromoting = false
        var wasClean = true
        var hasDaemon = true
        var isCut = false
        /// Ticks since the request that won or renewed the lease was sent.
        var leaseAge: Int?
        /// What the guardian enforces.
        var guardedAge: Int?
        /// It hears and does nothing; the kernel ends it with the lease that it knows.
        var isGuardianFrozen = false
        var seen: Seen?
        var memory = Memory()

        var commits: Bool { isUp && !isStandby }
    }

    public enum Step: Hashable, Sendable {
        case tick
        /// Ticks until something is due: a lease to be given up, a lease that ends.
        case wait
        case load(Int), decide(Int), finishPromotion(Int), write(Int), replicate(Int)
        case cut(Int), heal(Int), crash(Int), killDaemon(Int), startDaemon(Int)
        case freezeGuardian(Int), thawGuardian(Int)
    }

    var nodes: [SmallNode]
    var key: Key?
    /// The cluster's timeline as `/history` tells it, and the position in `/status`.
    var timeline: TimelineID = 1
    var position = 3
    var branches = 1
    var writes = 0
    var faults = 0
    var broken: String?

    /// Without a guardian the daemon alone ends PostgreSQL in time, so no daemon is killed.
    let isGuarded: Bool
    /// A bug that is to be found.
    let bug: PlantedBug?

    /// How much may happen in one story. With such bounds the states are finitely many.
    public struct Bounds: Sendable, Hashable {
        public var writes: Int
        public var faults: Int
        public var promotions: Int

        public init(writes: Int, faults: Int, promotions: Int) {
            self.writes = writes
            self.faults = faults
            self.promotions = promotions
        }
    }

    public init(nodes count: Int, isGuarded: Bool = true, bug: PlantedBug? = nil) {
        self.isGuarded = isGuarded
        self.bug = bug
        var log = WriteAheadLog()
        log.begin(branch: 1, timeline: 1)
        log.append(3)
        nodes = (0..<count).map { _ in SmallNode(log: log) }
        nodes[0].isStandby = false
        nodes[0].leaseAge = 0
        nodes[0].guardedAge = 0
        key = Key(holder: 0, age: 0)
    }

    func name(_ index: Int) -> String { "n\(index + 1)" }

    // MARK: Steps

    /// The steps that change something from here.
    func steps(_ bounds: Bounds) -> [Step] {
        if branches > bounds.promotions + 1 { return [] }
        var steps: [Step] = [.tick, .wait]
        for (index, node) in nodes.enumerated() {
            if node.hasDaemon, !node.isCut { steps.append(.load(index)) }
            if node.hasDaemon, node.seen != nil { steps.append(.decide(index)) }
            if node.isPromoting { steps.append(.finishPromotion(index)) }
            if node.commits, writes < bounds.writes { steps.append(.write(index)) }
            if node.isUp, node.isStandby { steps.append(.replicate(index)) }
            if node.isCut { steps.append(.heal(index)) }
            if !node.hasDaemon { steps.append(.startDaemon(index)) }
            if node.isGuardianFrozen { steps.append(.thawGuardian(index)) }
            guard faults < bounds.faults else { continue }
            if !node.isCut { steps.append(.cut(index)) }
            if node.isUp { steps.append(.crash(index)) }
            if isGuarded, node.hasDaemon { steps.append(.killDaemon(index)) }
            if isGuarded, node.isUp, !node.isGuardianFrozen { steps.append(.freezeGuardian(index)) }
        }
        return steps
    }

    func after(_ step: Step) -> SmallWorld {
        var world = self
        switch step {
        case .tick: world.passTime()
        case .wait: world.wait()
        case .load(let index): world.load(index)
        case .decide(let index): world.decideNow(index, failure: nil)
        case .finishPromotion(let index): world.finishPromotion(index)
        case .write(let index):
            world.writes += 1
            world.nodes[index].log.append(1)
        case .replicate(let index): world.replicate(index)
        case .cut(let index):
            world.faults += 1
            world.nodes[index].isCut = true
        case .heal(let index): world.nodes[index].isCut = false
        case .crash(let index):
            world.faults += 1
            world.stop(index, cleanly: false)
        case .killDaemon(let index):
            world.faults += 1
            world.nodes[index].hasDaemon = false
            world.nodes[index].leaseAge = nil
            world.nodes[index].seen = nil
        case .freezeGuardian(let index):
            world.faults += 1
            world.nodes[index].isGuardianFrozen = true
        case .thawGuardian(let index):
            world.nodes[index].isGuardianFrozen = false
            world.enforce(index)
        case .startDaemon(let index):
            world.nodes[index].hasDaemon = true
            world.nodes[index].memory = Memory()
        }
        world.check()
        return world
    }

    private mutating func wait() {
        var ages = nodes.flatMap { [$0.leaseAge, $0.guardedAge] }.compactMap(\.self)
        if let key { ages.append(key.age) }
        let due = ages.flatMap { age in
            [Self.ticksToStop, Self.ticksOfLease, Self.ticksOfLease + 1].filter { $0 > age }.map { $0 - age }
        }
        for _ in 0..<(due.min() ?? 1) where broken == nil {
            passTime()
            check()
        }
    }

    private mutating func passTime() {
        if let held = key {
            key = held.age + 1 > Self.ticksOfLease ? nil : Key(holder: held.holder, age: held.age + 1)
        }
        for index in nodes.indices {
            if let age = nodes[index].leaseAge { nodes[index].leaseAge = min(age + 1, Self.ticksOfLease + 1) }
            if let age = nodes[index].guardedAge { nodes[index].guardedAge = min(age + 1, Self.ticksOfLease + 1) }
            if nodes[index].isGuardianFrozen, nodes[index].hasDaemon { replaceGuardian(index) }
            // What `guardLease` does: nobody waits for the store any longer.
            if nodes[index].hasDaemon, nodes[index].commits || nodes[index].isPromoting,
                nodes[index].leaseAge.map({ $0 >= Self.ticksToStop }) ?? false
            {
                decideNow(index, failure: "the DCS has not answered in time")
            }
            enforce(index)
        }
    }

    /// The guardian: nothing accepts writes beyond the lease that it was told of.
    private mutating func enforce(_ index: Int) {
        guard isGuarded, let age = nodes[index].guardedAge, age >= Self.ticksOfLease else { return }
        if nodes[index].isGuardianFrozen { return strike(index) }
        if nodes[index].commits || nodes[index].isPromoting { stop(index, cleanly: false) }
    }

    /// A timer of the kernel's ends the guardian, and the kernel its server.
    private mutating func strike(_ index: Int) {
        guard nodes[index].isUp, bug != .deadManForgotten else { return }
        stop(index, cleanly: false)
        nodes[index].isGuardianFrozen = false
        nodes[index].guardedAge = nil
    }

    /// Another guardian hears of the standing lease first.
    mutating func giveAnotherGuardian(_ index: Int) {
        guard nodes[index].isGuardianFrozen else { return }
        nodes[index].isGuardianFrozen = false
        nodes[index].guardedAge = nodes[index].leaseAge
    }

    private mutating func load(_ index: Int) {
        nodes[index].seen = Seen(leader: key?.holder, timeline: timeline, position: position)
        if key?.holder != index { nodes[index].leaseAge = nil }
    }

    mutating func stop(_ index: Int, cleanly: Bool) {
        nodes[index].isUp = false
        nodes[index].isPromoting = false
        nodes[index].wasClean = cleanly
    }

    private mutating func finishPromotion(_ index: Int) {
        branches += 1
        nodes[index].log.begin(branch: branches, timeline: nodes[index].log.timeline + 1)
        nodes[index].log.append(1)
        nodes[index].isStandby = false
        nodes[index].isPromoting = false
        enforce(index)
    }

    /// A standby takes all that the key's holder has, if it is a primary and the beginning is the same.
    private mutating func replicate(_ index: Int) {
        guard let source = key?.holder, nodes[source].commits, nodes[index].log.isBeginning(of: nodes[source].log)
        else {
            return
        }
        nodes[index].log = nodes[source].log
    }

    // MARK: Rules

    private mutating func check() {
        let writable = nodes.indices.filter { nodes[$0].commits }
        if writable.count > 1 { broken = "S1: \(writable.map { name($0) }.joined(separator: " and ")) accept commits" }
        for index in nodes.indices {
            guard let age = nodes[index].leaseAge, age < Self.ticksOfLease, key?.holder != index else { continue }
            broken = "S4: \(name(index)) counts its lease as valid without the key"
        }
        if let holder = key?.holder, nodes[holder].commits, nodes[holder].leaseAge != nil {
            timeline = max(timeline, nodes[holder].log.timeline)
            position = max(position, nodes[holder].log.count)
        }
    }
}
