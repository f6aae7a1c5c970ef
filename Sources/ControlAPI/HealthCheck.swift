import ClusterModel
import HighAvailability

/// Which probes a node answers with 200 (rest-api.md §6). Pure: a snapshot, a path and its query give a code.
///
/// One difference to the peer is meant: `/primary` is 200 only while the lease is held *and* PostgreSQL accepts writes.
/// The peer answers by its lease alone, so that a load balancer sends writes to a standby that is being promoted.
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

    let snapshot: NodeSnapshot
    let now: BootInstant

    /// The code for `path`.
    func code(_ path: String, _ parameters: Parameters) -> Int { answers(path, parameters) ? 200 : 503 }

    /// What a path asks for. The peer looks for words anywhere in it.
    private enum Rule {
        case standbyLeader, leader, primary, replica, readOnly, health, exact

        init(_ path: String) {
            switch path {
            // What load balancers ask for many times a second needs no search.
            case "/", "/primary", "/read-write", "/master": self = .primary
            case "/leader": self = .leader
            case "/replica": self = .replica
            case "/read-only": self = .readOnly
            case "/health": self = .health
            default: self.init(searching: path)
            }
        }

        private init(searching path: String) {
            if path.contains("standby_leader") || path.contains("standby-leader") {
                self = .standbyLeader
            } else if path.contains("leader") {
                self = .leader
            } else if path.contains("master") || path.contains("primary") || path.contains("read-write") {
                self = .primary
            } else if path.contains("replica") {
                self = .replica
            } else if path.contains("read-only") && !path.contains("sync") && !path.contains("quorum") {
                self = .readOnly
            } else {
                self = path.contains("health") ? .health : .exact
            }
        }
    }

    private func answers(_ path: String, _ parameters: Parameters) -> Bool {
        switch Rule(path) {
        case .standbyLeader: isStandbyLeader
        case .leader: isPrimary || isStandbyLeader
        case .primary: isPrimary
        case .replica: isReplica(parameters) && matches(parameters.tags)
        case .readOnly: (isPrimary || isStandbyLeader || isReplica(parameters)) && matches(parameters.tags)
        case .health:
            snapshot.local.state == .running && snapshot.local.facts != nil && matches(parameters.tags)
        case .exact: exactAnswers(path, parameters) && matches(parameters.tags)
        }
    }

    private func exactAnswers(_ path: String, _ parameters: Parameters) -> Bool {
        guard let view = snapshot.cachedView(at: now) else { return false }
        let replica = isReplica(parameters)
        let leads = isPrimary || isStandbyLeader
        let isVoter = StatusDocument.isSynchronousStandby(snapshot, view, now: now)
        let isQuorum = isVoter && snapshot.settings.synchronousMode == .quorum
        let isSync = isVoter && !isQuorum
        switch path {
        case "/sync", "/synchronous": return isSync && replica
        case "/quorum": return isQuorum && replica
        case "/async", "/asynchronous": return !isVoter && replica
        case "/read-only-quorum": return leads || isQuorum && replica
        case "/read-only-sync", "/read-only-synchronous": return leads || isSync && replica
        default: return false
        }
    }

    private var isLeader: Bool { snapshot.isLeader(at: now) }

    private var isPrimary: Bool {
        guard snapshot.local.isPrimary else { return false }
        if snapshot.cachedView(at: now) == nil && snapshot.settings.isPaused { return true }
        // Whatever `/config` says of a standby cluster: who holds the lease and accepts writes is the primary.
        return isLeader
    }

    private var isStandbyLeader: Bool {
        isLeader && snapshot.settings.isStandbyCluster && snapshot.local.facts?.inRecovery == true
    }

    private func isReplica(_ parameters: Parameters) -> Bool {
        guard let facts = snapshot.local.facts, facts.inRecovery, snapshot.local.state == .running,
            !snapshot.me.tags.noloadbalance, !isStandbyLeader
        else { return false }
        if let wanted = parameters.replicationState, facts.replicationState != wanted { return false }
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
        let tags = snapshot.me.tags.published
        return wanted.allSatisfy { tag in
            switch tags[tag.name] {
            case nil: false
            case .string(let text)?: text == tag.value
            case let value?: value.comparableText.lowercased() == tag.value
            }
        }
    }

    // MARK: Liveness and readiness (rest-api.md §7)

    /// Whether the cycle still turns: the next one is not overdue by more than the lease.
    func liveness() -> Int {
        if snapshot.settings.isPaused { return 200 }
        let ttl = snapshot.settings.timings.ttl
        let allowed = snapshot.role == .primary && snapshot.local.postmaster != nil ? ttl : ttl * 2
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
        if snapshot.cachedView(at: now) == nil && latest == .zero { return 503 }
        let mine = written ? StatusDocument.received(facts) : facts.replayedPosition
        let allowed = lag ?? snapshot.settings.maximumLagOnFailover
        return HealthCheck.leaderPosition(snapshot, now: now) - mine > allowed ? 503 : 200
    }
}
