import ClusterModel
import StoreRules

/// The mark of the store's last life on a node's disk, and which life of the world's store that is.
struct KeptMark {
    var mark: StoreMark
    var life: Int
}

/// A daemon's client of the store: which endpoint it asks, which life of the store it knows and where its watch stands,
/// by the rules of the adapter (`StoreRules`).
struct SimulatedClient {
    /// What stands before the store.
    static let configured = (1...3).map { EtcdEndpoint(host: "e\($0)") }

    private var endpoints: EndpointList
    private var jitter: JitterSource
    private var life: StoreLife
    private var pace: StoreMarkPace
    private var watch = WatchPosition()
    /// Which life of the world's store it takes for the store; nil before it has had an answer.
    private(set) var follows: Int?
    /// The life that an earlier daemon has left word of.
    private let remembers: Int?
    /// How many calls in a row were in vain although an endpoint was well, and since when.
    var unanswered: (calls: Int, since: BootInstant)?
    /// Changes of the life that it follows which its watch has not told, and since when.
    private(set) var untold: (count: Int, since: BootInstant)?
    /// Bugs that were planted on purpose.
    var bug: PlantedBug?

    /// `mark` is what an earlier daemon of the node has left.
    init(_ node: String, number: Int, _ mark: KeptMark? = nil) {
        life = StoreLife(mark?.mark)
        pace = StoreMarkPace(found: mark?.mark)
        remembers = mark?.life
        endpoints = EndpointList(Self.configured, node: node)
        jitter = JitterSource(seed: UInt64(number))
        // Where members are discovered, each node begins with another one.
        endpoints.allFailed(tried: number)
    }

    /// How many lives of the store's it has seen begin.
    var livesSeen: Int { life.number }

    /// The lowest revision that an answer may have that is asked for now.
    var floor: StoreLife.Floor { life.floor }

    /// What is to be kept for the next daemon; nil where that is kept already.
    mutating func newMark(at now: BootInstant) -> KeptMark? {
        guard let follows, let mark = life.mark, pace.isDue(mark, at: now) else { return nil }
        return KeptMark(mark: mark, life: follows)
    }

    /// A load has shown the leader key.
    mutating func see(_ view: ClusterView, at now: BootInstant, ttl: Duration) {
        guard let leader = view.leader else { return }
        life.see(leader: leader.revision, in: view.revision, of: view.life, at: now, ttl: ttl)
    }

    /// Whether the leader key is not claimed yet.
    func holdsBackClaims(withValidLease hasValidLease: Bool, at now: BootInstant) -> Bool {
        life.holdsBackClaims(withValidLease: hasValidLease, at: now) != nil
    }

    mutating func next(_ walk: inout EndpointWalk, at now: BootInstant) -> EndpointWalk.Step {
        walk.next(&endpoints, at: now, jitter: &jitter)
    }

    /// Whether no endpoint is asked any further.
    func isFinal(_ failure: AttemptFailure) -> Bool {
        if bug == .nonsenseIsFinal, failure.discreditsEndpoint, failure != .stale { return true }
        return failure.isFinal
    }

    mutating func succeeded(_ endpoint: EtcdEndpoint?) {
        unanswered = nil
        if let endpoint { _ = endpoints.succeeded(endpoint) }
    }

    /// Takes in what an answer tells of its server, before anything is done there.
    mutating func learn(
        _ header: StoreHeader, floor: StoreLife.Floor, at now: BootInstant, ttl: Duration
    ) -> StoreLife.Verdict {
        let before = life
        let verdict = life.learn(header, floor: floor, at: now, ttl: ttl)
        switch verdict {
        case .known: return verdict
        case .stale:
            // As if a ttl had passed.
            return bug == .otherLifeTrusted ? life.learn(header, floor: floor, at: now + ttl, ttl: ttl) : verdict
        case .accepted(let difference):
            if bug != .otherLifeRefused { return verdict }
            life = before
            return .stale(difference, isNews: false)
        }
    }

    /// Whether the life `present` of the world's store is the one that it takes for the store, as far as it knows.
    func expects(_ present: Int) -> Bool { follows ?? remembers ?? present == present }

    // MARK: Watch

    /// The daemon begins: its watch does, too.
    mutating func begin(at revision: Revision) { watch.start(at: revision, life: life.number) }

    /// The life `present` of the world's store, which is at `revision`, is the store from now on. True where the watch
    /// has begun anew.
    mutating func follow(_ present: Int, at revision: Revision) -> Bool {
        let isFirst = follows == nil
        follows = present
        untold = nil
        if isFirst {
            begin(at: revision)
            return false
        }
        if bug != .watchOfFormerLife { watch.enter(life.number) }
        if watch.told != nil { return false }
        begin(at: revision)
        return true
    }

    /// Whether the watch brings a change of the store's.
    mutating func brings(
        _ change: SimulatedStore.Change, of present: Int, _ header: StoreHeader, at now: BootInstant, ttl: Duration
    ) -> Bool {
        guard expects(present) else { return false }
        guard watch.isNews(change.revision) else {
            untold = ((untold?.count ?? 0) + 1, untold?.since ?? now)
            return false
        }
        watch.progress(to: change.revision)
        _ = life.learn(header, floor: nil, at: now, ttl: ttl)
        untold = nil
        return true
    }
}
