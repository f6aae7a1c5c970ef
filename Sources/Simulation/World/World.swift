public import ClusterModel
import HighAvailability
import Node
import Ports
import StoreRules

/// A deterministic world: virtual time, one store, some PostgreSQL servers and the production cycle beside each. The
/// same setup gives the same trace, byte for byte.
///
/// A world makes its cluster first; then the faults come; when the last has healed, the cluster must become whole
/// again.
public struct World {
    indirect enum Event {
        /// Something for a node's machine; dropped when its daemon has died since.
        case deliver(node: Int, incarnation: Int, CycleEvent)
        case timer(node: Int, incarnation: Int, number: Int)
        /// What the daemon does a moment after it decided to.
        case effect(node: Int, incarnation: Int, Late)
        /// A request reaches the store; the answer goes back.
        case request(SentRequest)
        /// An endpoint gave no answer, or a pause is over: the client goes on.
        case attempt(SentRequest, AttemptFailure?)
        // PostgreSQL's own doings, dropped when its process has ended since.
        case up(node: Int, era: Int)
        case promoted(node: Int, era: Int)
        /// A promotion ends the server.
        case promotionCrashes(node: Int, era: Int)
        /// A start that fails has come to its end.
        case startFailed(node: Int, era: Int)
        case drain(node: Int, era: Int, until: BootInstant)
        case startedByHand(node: Int, era: Int)
        /// It reads its configuration.
        case reread(node: Int, era: Int)
        /// Its senders and sessions go by what was read.
        case act(node: Int, era: Int)
        /// The operation of that number returns to the daemon.
        case finish(node: Int, operation: Int)
        /// The guardian looks at its deadline.
        case guardian(node: Int)
        case replicate
        case sweep
        case look
        case begin(Int)
        case heal(Int)
        case startDaemon(Int)
        /// A message of the question of that number.
        case failsafe(Int, FailsafeMessage)
        case trouble(Int, Trouble)
    }

    /// What a daemon does a moment after it decided to; one that dies in between has not done it.
    enum Late {
        case perform(PostgreSQLOperation, slots: [SlotAction], plan: Int)
        case breakOff
        case applySlots([SlotAction])
        case nameSynchronous(SynchronousSetting)
    }

    /// Where the story stands.
    enum Chapter: Hashable {
        case making
        case faults(until: BootInstant)
        case healing(since: BootInstant)
        case done
    }

    /// A conversation with `/config`: what the operator last wrote.
    struct ClusterConfiguration {
        var ttl = 30
        var maximumLag: Int
        var isPaused = false
        /// How many have asked that the cluster follow a primary elsewhere.
        var followers = 0
        var synchronous = SynchronousConfiguration()
    }

    public let setup: Setup
    var now = BootInstant(nanoseconds: 1_000_000_000)
    static let began = BootInstant(nanoseconds: 1_000_000_000)
    var queue = EventQueue<Event>()
    var generator: SeededGenerator
    var store = SimulatedStore()
    var nodes: [SimulatedNode] = []
    var chapter = Chapter.making
    var configuration: ClusterConfiguration
    /// How many faults hold each of these up at present.
    var storeIsDown = 0
    /// When the last outage of the store ended.
    var storeCameBack: BootInstant?
    var storeDelays: [Duration] = []
    var lossyStore: [Int] = []
    var storeIsFull = 0
    var troubles = StoreTroubles()
    /// Of the nodes, in their order.
    var clients: [SimulatedClient] = []
    var cuts: [Set<Int>] = []
    /// How late messages between members may be.
    var slowPeers: [Duration] = []
    var failsafeRounds: [FailsafeRound] = []
    /// By branch: who writes it, and how many records of it clients were told to be safe (with all before it).
    var writers: [Int] = []
    var acknowledged: [Int] = []
    /// Of those, what the next primary must have because of synchronous mode.
    var promised: [Int] = []
    /// The last branch that was led by a holder of the key.
    var presentBranch = 0
    var lastPromoted: TimelineID = 1
    var history: [TimelineHistory.Line] = []
    var historyRevision: Revision = 0
    /// The revision of the store that was last looked at.
    var checkedRevision: Revision = 0
    /// A primary that handed its key over has everything until here; the next one must have it too.
    var handedOver: (branch: Int, end: Int, candidates: Set<Int>)?
    /// Who wrote last how a rolling restart goes.
    var rollingDriver: Int?
    var wholeSince: BootInstant?
    var primarySince: BootInstant?
    /// Since when the cluster is to follow a primary elsewhere, and whether it ever was.
    var followsSince: BootInstant?
    var hasFollowed = false
    /// When an operator has said who leads, as nobody else could.
    var namedAt: BootInstant?
    /// The branches of promotions that came to nothing: their records are nobody's data.
    var promotedInVain: Set<Int> = []
    /// The primary elsewhere; nil as long as nobody answers there.
    var otherSite: SimulatedPostgreSQL?
    /// The store was emptied with all hosts, and nobody has said since whose cluster it is.
    var lostSite: LostSite?
    /// Since when a node that has restored a backup before there was a cluster has waited for its operator.
    var dataWaitsSince: BootInstant?
    /// Losses of all hosts that have not healed.
    var sitesLost = 0
    /// The leaders whose hosts were lost together with a voter's disk, until they come back.
    var lostLeaders: [Int] = []
    /// When a daemon last saw that somebody has asked for another leader.
    var askedAt: BootInstant?
    /// The node from which on an operator looks for a standby to name, when nobody leads in a pause.
    var awaitedFailover: Int?
    /// When a leader last gave its key to somebody who has everything.
    var handedOverAt: BootInstant?
    /// Since when nobody accepts commits although somebody could.
    var primaryOwedSince: BootInstant?
    var pids: Int32 = 100
    var events = 0
    var coverage = Coverage()
    var violations: [Violation] = []
    var trace: [String] = []

    /// How long `pre_promote` may take (`pg_ctl_timeout`).
    static let prePromoteLimit = Duration.seconds(20)
    static let commitInterval = Duration.milliseconds(200)

    public init(_ setup: Setup) {
        self.setup = setup
        generator = SeededGenerator(seed: setup.seed)
        configuration = ClusterConfiguration(maximumLag: setup.maximumLag)
        configuration.synchronous = setup.synchronous
        configuration.ttl = setup.ttl
        store.bug = setup.bug
        for index in 0..<setup.nodes {
            var node = SimulatedNode(name: "n\(index + 1)")
            node.replicationDelay = generator.milliseconds(in: 2...60)
            nodes.append(node)
            clients.append(SimulatedClient(node.name, number: index))
            queue.add(.startDaemon(index), at: now + generator.milliseconds(in: 0...2000))
        }
        queue.add(.replicate, at: now)
        queue.add(.sweep, at: now)
        queue.add(.look, at: now + .seconds(5))
    }

    /// Runs to the end, or to the first violation.
    public mutating func run() -> Outcome {
        var instant = (time: now, events: 0)
        while chapter != .done, violations.isEmpty, let (time, event) = queue.next() {
            now = time
            // A world whose time stands still has a node that wakes itself without end.
            instant = instant.time == now ? (now, instant.events + 1) : (now, 1)
            if instant.events > 5000 { violate(.progress, "time stands still") }
            events += 1
            if events > 300_000 { violate(.progress, "more events than any story needs") }
            commit()
            handle(event)
            checkAlways()
        }
        return Outcome(
            violation: violations.first, coverage: coverage, trace: trace, events: events, took: now - Self.began)
    }

    /// Who saw what, decided what, and why.
    mutating func note(_ text: String) {
        guard setup.traces else { return }
        let elapsed = (now - Self.began).nanoseconds / 1_000_000
        let seconds = String(elapsed / 1000)
        let indent = String(repeating: " ", count: max(0, 4 - seconds.count))
        trace.append("\(indent)\(seconds).\(String(elapsed % 1000 + 1000).dropFirst()) \(text)")
    }

    func name(_ index: Int) -> String { nodes[index].name }

    /// The node of that name.
    func index(of name: String) -> Int? { nodes.firstIndex { $0.name == name } ?? indexElsewhere(name) }
}

extension World {
    /// How a world is made.
    public struct Setup: Sendable, Hashable {
        public var seed: UInt64
        public var nodes: Int
        public var faults: [Fault]
        /// From when the cluster was made to when the last fault has healed.
        public var span: Duration
        /// PostgreSQL is held by a guardian, which kills it when the lease that it was told of ends.
        public var guardian: Bool
        /// Bytes, the first value of `maximum_lag_on_failover`.
        public var maximumLag: Int
        public var checkTimeline: Bool
        /// `synchronous_mode` at first, and what belongs to it.
        public var synchronous: SynchronousConfiguration
        /// `failsafe_mode`: losing the store demotes nobody while all members see each other.
        public var isFailsafe: Bool
        /// `failsafe_timeout`, in seconds; nil where nobody has set it.
        public var failsafeTimeout: Double?
        /// The first value of `ttl`, in seconds.
        public var ttl = 30
        /// `primary_race_backoff`, in seconds.
        public var raceBackoff = 0
        /// The tags of those nodes that have any.
        public var tags: [Int: JSONObject] = [:]
        /// The nodes on which pg_rewind cannot run.
        public var rewindless: Set<Int> = []
        /// What some worlds have and most have not.
        public var tempers = Tempers()
        /// A bug that is to be found.
        public var bug: PlantedBug?
        /// Whether the story is written.
        public var traces: Bool

        public init(
            seed: UInt64, nodes: Int = 3, faults: [Fault] = [], span: Duration = .seconds(120), guardian: Bool = true,
            maximumLag: Int = 1_048_576, checkTimeline: Bool = true,
            synchronous: SynchronousConfiguration = SynchronousConfiguration(),
            isFailsafe: Bool = false, bug: PlantedBug? = nil, traces: Bool = false
        ) {
            self.seed = seed
            self.nodes = nodes
            self.faults = faults
            self.span = span
            self.guardian = guardian
            self.maximumLag = maximumLag
            self.checkTimeline = checkTimeline
            self.synchronous = synchronous
            self.isFailsafe = isFailsafe
            self.bug = bug
            self.traces = traces
        }
    }
}
