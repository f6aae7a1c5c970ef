import ClusterModel
import HighAvailability
import JSON
import Node
import Ports

/// A deterministic world: virtual time, one store, `nodes` PostgreSQL servers and the production cycle beside each. The
/// same seed gives the same trace, byte for byte.
public struct World {
    /// How a world is made.
    public struct Setup: Sendable {
        public var seed: UInt64
        public var nodes: Int
        public var faults: [Fault]
        /// From the beginning to when the faults have healed and the checks of liveness begin.
        public var span: Duration
        public var traces: Bool

        public init(seed: UInt64, nodes: Int = 3, faults: [Fault], span: Duration = .seconds(180), traces: Bool = false)
        {
            self.seed = seed
            self.nodes = nodes
            self.faults = faults
            self.span = span
            self.traces = traces
        }

        /// A world with random faults.
        public static func random(seed: UInt64, nodes: Int = 3, faults count: Int = 8, traces: Bool = false) -> Setup {
            var generator = SeededGenerator(seed: seed ^ 0xFA17)
            let span = Duration.seconds(180)
            let faults = Fault.plan(&generator, nodes: nodes, count: count, span: span)
            return Setup(seed: seed, nodes: nodes, faults: faults, span: span, traces: traces)
        }
    }

    enum Event {
        /// Something for a node's machine; dropped when its daemon has died since.
        case deliver(node: Int, incarnation: Int, CycleEvent)
        case timer(node: Int, incarnation: Int, number: Int)
        /// A request reaches the store; the answer goes back.
        case request(node: Int, incarnation: Int, sent: BootInstant, CycleEffect)
        /// A request was not answered by its deadline.
        case unanswered(node: Int, incarnation: Int, request: Int)
        case operation(node: Int, era: Int, plan: Int, incarnation: Int, CycleEffect.OperationStage)
        case write
        case replicate
        case sweep
        case begin(Int)
        case heal(Int)
        case startDaemon(Int)
        case end
    }

    /// A node: the machine (nil while its daemon is dead), its PostgreSQL, and what is cut off.
    struct SimulatedNode {
        var name: String
        var machine: CycleMachine?
        var incarnation = 0
        var postgreSQL = SimulatedPostgreSQL()
        var timers = 0
        var wallOffset: Int64 = 0
        var isCutFromStore = false
        var configuredTTL = Duration.seconds(30)
        /// Of the operation under way.
        var plan: Int?
    }

    var setup: Setup
    var now = BootInstant(nanoseconds: 1_000_000_000)
    let began = BootInstant(nanoseconds: 1_000_000_000)
    var queue = EventQueue<Event>()
    var generator: SeededGenerator
    var store = SimulatedStore()
    var nodes: [SimulatedNode] = []
    var cutPairs: [Set<Int>] = []
    var storeDelay = Duration.zero
    var requests = 0
    var pending: Set<Int> = []
    var commits = 0
    /// Commits that were acknowledged, and on how many standbys they stood then.
    var acknowledged: [Acknowledged] = []
    var faultsHealed = false
    public private(set) var coverage = Coverage()
    public internal(set) var violations: [Violation] = []
    public internal(set) var trace: [String] = []
    var lastHistory: [TimelineHistory.Line] = []
    var lastPromoted: TimelineID = 0
    var pids: Int32 = 100
    /// Events so far.
    public private(set) var events = 0

    struct Acknowledged {
        var commit: Int
        var node: Int
        var timeline: TimelineID
        var at: BootInstant
        /// Whether a standby had it when it was acknowledged or a moment later.
        var replicated: Bool
    }

    public init(_ setup: Setup) {
        self.setup = setup
        generator = SeededGenerator(seed: setup.seed)
        for index in 0..<setup.nodes { nodes.append(SimulatedNode(name: "n\(index + 1)")) }
        for index in nodes.indices { queue.add(.startDaemon(index), at: now + generator.milliseconds(in: 0...3000)) }
        queue.add(.write, at: now)
        queue.add(.replicate, at: now)
        queue.add(.sweep, at: now)
        for (index, fault) in setup.faults.enumerated() {
            // The cluster is made first: a bootstrap that fails is the operator's to repeat.
            let start = now + .seconds(40) + fault.at
            queue.add(.begin(index), at: start)
            queue.add(.heal(index), at: min(start + fault.lasts, now + .seconds(40) + setup.span))
        }
        queue.add(.end, at: now + .seconds(40) + setup.span + .seconds(150))
    }

    /// Runs to the end, or to the first violation.
    public mutating func run() {
        let healed = began + .seconds(40) + setup.span
        var instant = (time: now, events: 0)
        while let (time, event) = queue.next() {
            now = time
            // A world whose time stands still has a node that wakes itself without end.
            instant = instant.time == now ? (now, instant.events + 1) : (now, 1)
            if instant.events > 10_000 { return violate("liveness", "time stands still") }
            events += 1
            if events > 5_000_000 { return violate("liveness", "more events than any story needs") }
            if !faultsHealed && now > healed { faultsHealed = true }
            if case .end = event { break }
            handle(event)
            check()
            if !violations.isEmpty { return }
        }
        checkAtEnd()
    }

    /// Who saw what, decided what, and why.
    mutating func note(_ text: String) {
        guard setup.traces else { return }
        let elapsed = (now - began).nanoseconds / 1_000_000
        trace.append("\(elapsed / 1000).\(String(elapsed % 1000 + 1000).dropFirst()) \(text)")
    }

    mutating func count(_ state: Coverage.State) { coverage.reached[state, default: 0] += 1 }
}

/// States that a run must have reached: one that reaches none of them tests nothing.
public struct Coverage: Sendable {
    public enum State: String, Sendable, Hashable, CaseIterable {
        case leaderElected = "a leader was elected"
        case failover = "another node took over"
        case failoverUnderPartition = "another node took over while the old leader was cut off"
        case switchover = "a switchover was done"
        case crashRestart = "a crashed primary started again"
        case rewind = "an ex-primary was rewound"
        case clone = "a node was cloned"
        case demotedOffline = "a primary stepped down without the store"
        case demoted = "a primary was stopped at once"
        case storeOutageSurvived = "a primary outlived an outage of the store"
        case unreplicatedLoss = "a commit that no standby had was lost"
        case leaseRefused = "a lease was refused"
        case candidateDied = "a candidate died during a switchover"
    }

    public var reached: [State: Int] = [:]

    public init() {}

    /// The counters of several worlds together.
    public mutating func add(_ other: Coverage) {
        for (state, count) in other.reached { reached[state, default: 0] += count }
    }
}

/// A rule of architecture.md §3 that did not hold.
public struct Violation: Sendable, Hashable, CustomStringConvertible {
    public var rule: String
    public var text: String
    public var at: Duration

    public var description: String { "\(rule) at \(at.inSeconds)s: \(text)" }
}
