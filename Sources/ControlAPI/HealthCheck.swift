import ClusterModel
import HighAvailability

/// Which probes a node answers with 200 (rest-api.md §6). Pure: a snapshot, a path and its query give a code.
///
/// One difference to Patroni is meant: `/primary` is 200 only while the lease is held *and* PostgreSQL accepts writes.
/// Patroni answers by its lease alone, so that a load balancer sends writes to a standby that is being promoted.
struct HealthCheck {
    /// What a probe may ask for in its query.
    struct Parameters: Sendable, Hashable {
        /// Bytes; nil for any.
        var lag: Int64?
        var replicationState: String?
        /// `tag_*`, the prefix removed.
        var tags: [(name: String, value: String)] = []

        static func == (left: Parameters, right: Parameters) -> Bool {
            left.lag == right.lag && left.replicationState == right.replicationState
                && left.tags.elementsEqual(right.tags, by: ==)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(lag)
            hasher.combine(replicationState)
        }
    }

    private let published: PublishedSnapshot
    private let now: BootInstant
    private var snapshot: NodeSnapshot { published.snapshot }

    init(_ published: PublishedSnapshot, now: BootInstant) {
        self.published = published
        self.now = now
    }

    /// The code for what a path asks for.
    func code(_ rule: Rule, _ parameters: Parameters) -> Int { answers(rule, parameters) ? 200 : 503 }

    /// What a path asks for. Patroni looks for words anywhere in it.
    enum Rule: Sendable, Hashable {
        case standbyLeader, leader, primary, replica, readOnly, health
        // These are whole paths.
        case synchronous, quorum, asynchronous, readOnlyQuorum, readOnlySynchronous
        case nothing

        init(_ path: String) {
            switch path {
            // What load balancers ask for many times a second needs no search.
            case "/", "/primary", "/read-write", "/master": self = .primary
            case "/leader": self = .leader
            case "/replica": self = .replica
            case "/read-only": self = .readOnly
            case "/health": self = .health
            case "/sync", "/synchronous": self = .synchronous
            case "/quorum": self = .quorum
            case "/async", "/asynchronous": self = .asynchronous
            case "/read-only-quorum": self = .readOnlyQuorum
            case "/read-only-sync", "/read-only-synchronous": self = .readOnlySynchronous
            default: self.init(searching: Array(path.utf8))
            }
        }

        private init(searching path: [UInt8]) {
            func has(_ word: String) -> Bool { path.firstRange(of: word.utf8) != nil }
            if has("standby_leader") || has("standby-leader") {
                self = .standbyLeader
            } else if has("leader") {
                self = .leader
            } else if has("master") || has("primary") || has("read-write") {
                self = .primary
            } else if has("replica") {
                self = .replica
            } else if has("read-only") && !has("sync") && !has("quorum") {
                self = .readOnly
            } else {
                self = has("health") ? .health : .nothing
            }
        }

        /// Whether the answer depends on what the query asks for.
        var readsQuery: Bool {
            switch self {
            case .standbyLeader, .leader, .primary, .nothing: false
            case .replica, .readOnly, .health: true
            case .synchronous, .quorum, .asynchronous, .readOnlyQuorum, .readOnlySynchronous: true
            }
        }
    }

    private func answers(_ rule: Rule, _ parameters: Parameters) -> Bool {
        switch rule {
        case .standbyLeader: isStandbyLeader
        case .leader: leads
        case .primary: isPrimary
        case .replica: isReplica(parameters) && matches(parameters.tags)
        case .readOnly: (leads || isReplica(parameters)) && matches(parameters.tags)
        case .health:
            snapshot.local.state == .running && snapshot.local.facts != nil && matches(parameters.tags)
        case .synchronous: voter == .synchronous && isReplica(parameters) && matches(parameters.tags)
        case .quorum: voter == .quorum && isReplica(parameters) && matches(parameters.tags)
        case .asynchronous: voter == .nobody && isReplica(parameters) && matches(parameters.tags)
        case .readOnlyQuorum: readOnly(of: .quorum, parameters)
        case .readOnlySynchronous: readOnly(of: .synchronous, parameters)
        case .nothing: false
        }
    }

    private func readOnly(of kind: Voter, _ parameters: Parameters) -> Bool {
        guard let voter else { return false }
        return (leads || voter == kind && isReplica(parameters)) && matches(parameters.tags)
    }

    private enum Voter { case synchronous, quorum, nobody }

    /// What commits wait for of this node; nil where no view of the cluster says so.
    private var voter: Voter? {
        guard let view = snapshot.cachedView(at: now) else { return nil }
        guard StatusDocument.isSynchronousStandby(snapshot, view, now: now) else { return .nobody }
        return snapshot.settings.synchronousMode == .quorum ? .quorum : .synchronous
    }

    private var leads: Bool { isPrimary || isStandbyLeader }

    private var isLeader: Bool { snapshot.isLeader(at: now) }

    private var isPrimary: Bool {
        guard snapshot.local.isPrimary || isFullPrimary else { return false }
        if snapshot.cachedView(at: now) == nil && snapshot.settings.isPaused { return true }
        // Whatever `/config` says of a standby cluster: who holds the lease and accepts writes is the primary.
        return isLeader
    }

    /// It lets nobody in any more, not even us, and serves all whom it has let in. Nobody takes over from it, and a
    /// balancer that took it out would cut all of those off.
    private var isFullPrimary: Bool { snapshot.local.isFull && !snapshot.local.hasStandbySignal }

    private var isStandbyLeader: Bool {
        isLeader && snapshot.settings.isStandbyCluster && snapshot.local.facts?.inRecovery == true
    }

    private func isReplica(_ parameters: Parameters) -> Bool {
        guard let facts = snapshot.local.facts, facts.inRecovery, snapshot.local.state == .running,
            !snapshot.me.tags.noloadbalance, !isStandbyLeader
        else { return false }
        if let wanted = parameters.replicationState, facts.replicationState?.isBytewise(wanted) != true { return false }
        guard let lag = parameters.lag else { return true }
        let leader = HealthCheck.leaderPosition(snapshot, now: now)
        return leader == .zero || leader - facts.replayedPosition <= lag
    }

    /// The newest position known of the leader: as it wrote it to the store, or as its WAL sender told us.
    static func leaderPosition(_ snapshot: NodeSnapshot, now: BootInstant) -> WALPosition {
        let written = snapshot.cachedView(at: now)?.status.optime ?? .zero
        return max(written, snapshot.local.facts?.receiver?.latestEnd ?? .zero)
    }

    private func matches(_ wanted: [(name: String, value: String)]) -> Bool {
        if wanted.isEmpty { return true }
        let tags = snapshot.me.tags.published.members
        return wanted.allSatisfy { tag in
            switch tags.first(where: { $0.key.isBytewise(tag.name) })?.value {
            case nil: false
            case .string(let text)?: text.isBytewise(tag.value)
            case let value?: value.comparableText.lowercased().isBytewise(tag.value)
            }
        }
    }

    // MARK: Liveness and readiness (rest-api.md §7)

    /// Whether the cycle still turns: the next one is not overdue by more than the lease.
    func liveness() -> Int {
        if snapshot.settings.isPaused { return 200 }
        let allowed = LeaseArithmetic.liveness(
            ttl: snapshot.settings.timings.ttl,
            isPrimary: snapshot.role == .primary && snapshot.local.postmaster != nil)
        return snapshot.nextCycle + allowed > now ? 200 : 503
    }

    /// Whether a rolling update may go on to the next node. `written` compares what was received, not what was
    /// replayed.
    func readiness(lag: Int64?, written: Bool) -> Int {
        if isLeader { return 200 }
        guard snapshot.local.state == .running, let facts = snapshot.local.facts,
            facts.replicationState == "streaming"
        else { return 503 }
        let latest = facts.receiver?.latestEnd ?? .zero
        if snapshot.cachedView(at: now) == nil && latest == .zero {
            return snapshot.isFailsafeActive(at: now) ? 200 : 503
        }
        let mine = written ? StatusDocument.received(facts) : facts.replayedPosition
        let allowed = lag ?? snapshot.settings.maximumLagOnFailover
        return HealthCheck.leaderPosition(snapshot, now: now) - mine > allowed ? 503 : 200
    }
}
