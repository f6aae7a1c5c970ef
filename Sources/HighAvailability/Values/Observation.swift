public import ClusterModel

/// Everything that one decision rests on: what the node sees at one instant. `decide` reads nothing else but `Memory`.
///
/// Facts that cost a question (peers, a renewal, a comparison of timelines) are nil until they were asked for in this
/// cycle: a rule that needs one answers `.ask`, and is called again with the answer.
public struct Observation: Sendable, Hashable {
    public var now: BootInstant
    /// Nanoseconds since the epoch; for scheduled actions only.
    public var wallTime: Int64
    public var me: NodeIdentity
    @Boxed public var settings: DynamicConfiguration
    /// The last view; nil before the first load. While the store is unreachable it is what was last seen.
    @Boxed public var view: ClusterView?
    /// Why the store did not answer in this cycle; nil where it did.
    public var storeFailure: String?
    @Boxed public var local: PostgreSQLStatus
    /// The server's signs of life; nil where none were taken.
    public var pulse: Pulse?
    /// The kernel has said that the postmaster of `local` has ended, and nobody has looked since.
    public var isServerGone = false
    /// The lease on the leader key that this node holds, by its own count; nil for none.
    public var lease: Lease?
    /// What was asked for in this cycle, as far as it is answered.
    public var answers = Answers()
    /// Since when PostgreSQL has been a running standby that streams from nobody and comes no further; nil where
    /// it is none.
    public var notStreamingSince: BootInstant?
    /// The operation that runs now.
    public var running: RunningPlan?
    /// Where another node is that bears our name: what stands in the store under this name is its, not ours.
    public var namesake: String?
    /// Why the watchdog that is required is not on although this node leads, or is about to; nil for nothing known.
    public var watchdogFailure: String?
    /// The store has just refused a write, and is asked for it again after a pause: what can do without goes on.
    public var repairsWait = false
    /// A write of `/sync` had no answer, and may be done still.
    public var isSyncUncertain = false
    /// What is known of failsafe mode.
    public var failsafe = FailsafeFacts()

    /// The answers to a cycle's questions, each nil before it was asked for. The cycle gathers them in this value, and
    /// the rules read it: an answer that is added here cannot be forgotten on the way.
    public struct Answers: Sendable, Hashable {
        /// What became of the renewal.
        public var renewal: Renewal?
        public var peers: [String: PeerAnswer]?
        /// What a comparison with the source of rewinds gave.
        public var divergence: Divergence?
        /// When that comparison was made; nil for just now.
        public var comparedAt: BootInstant?
        /// Who has promised to let this primary go on without the store.
        public var failsafe: [String: FailsafeAnswer]?

        public init() {}
    }

    public var renewal: Renewal? {
        get { answers.renewal }
        set { answers.renewal = newValue }
    }
    public var peers: [String: PeerAnswer]? {
        get { answers.peers }
        set { answers.peers = newValue }
    }
    public var divergence: Divergence? {
        get { answers.divergence }
        set { answers.divergence = newValue }
    }
    public var comparedAt: BootInstant? {
        get { answers.comparedAt }
        set { answers.comparedAt = newValue }
    }

    /// What became of a renewal of the leader key.
    public enum Renewal: Sendable, Hashable {
        case held
        /// Somebody else has the key.
        case refused
    }

    /// What a comparison of timelines gave.
    public enum Divergence: Sendable, Hashable {
        case facts(DivergenceFacts)
        /// The source did not answer, or what is known locally does not suffice.
        case unavailable(String)
    }

    /// Shares what is large with whoever else has it.
    public init(
        now: BootInstant, me: NodeIdentity, settings: Boxed<DynamicConfiguration>, view: Boxed<ClusterView?>,
        local: Boxed<PostgreSQLStatus>
    ) {
        self.now = now
        wallTime = 0
        self.me = me
        _settings = settings
        _view = view
        _local = local
    }

    public init(
        now: BootInstant, wallTime: Int64 = 0, me: NodeIdentity,
        settings: DynamicConfiguration = DynamicConfiguration(),
        view: ClusterView?, storeFailure: String? = nil, local: PostgreSQLStatus, lease: Lease? = nil,
        renewal: Renewal? = nil, peers: [String: PeerAnswer]? = nil, divergence: Divergence? = nil,
        running: RunningPlan? = nil
    ) {
        self.init(
            now: now, me: me, settings: Boxed(wrappedValue: settings), view: Boxed(wrappedValue: view),
            local: Boxed(wrappedValue: local))
        self.wallTime = wallTime
        self.storeFailure = storeFailure
        self.lease = lease
        self.renewal = renewal
        self.peers = peers
        self.divergence = divergence
        self.running = running
    }

    /// Whether the timelines of those who race are compared with the cluster's; a standby cluster has none of its own.
    var checksTimeline: Bool { settings.checkTimeline && !settings.isStandbyCluster }

    func eligibility(_ view: ClusterView) -> Eligibility { Eligibility(view, settings) }

    /// LOCK in the words of ha-loop.md §1: the last view names us as leader, and nobody else bears our name.
    var isNamedLeader: Bool { view?.leaderName == me.name && namesake == nil }
}

/// What a node is by its configuration.
public struct NodeIdentity: Sendable, Hashable {
    public var name: String
    public var tags: Tags
    /// The configuration has a `bootstrap` section: the node may initialise a new cluster.
    public var canBootstrap: Bool
    /// It leads under the watchdog of the host, or not at all (`watchdog.mode: required`).
    public var requiresWatchdog: Bool

    public init(
        name: String, tags: Tags = Tags(JSONObject()), canBootstrap: Bool = true, requiresWatchdog: Bool = false
    ) {
        self.name = name
        self.tags = tags
        self.canBootstrap = canBootstrap
        self.requiresWatchdog = requiresWatchdog
    }
}

/// A plan that is being carried out.
public struct RunningPlan: Sendable, Hashable {
    public var plan: Plan
    public var since: BootInstant

    public init(plan: Plan, since: BootInstant) {
        self.plan = plan
        self.since = since
    }
}
