import ClusterModel
import HighAvailability

/// The body of `GET /metrics` (rest-api.md §17): Prometheus' text format, the series in Patroni's order.
///
/// One difference to Patroni is meant: WAL positions are gauges. They fall after a rewind, which no counter may, and
/// `promtool check metrics` wants counters to be named so.
struct MetricsDocument {
    private let labels: String
    private(set) var text = ""

    init(_ snapshot: NodeSnapshot, now: BootInstant) {
        labels = "{scope=\"\(Self.escaped(snapshot.scope))\",name=\"\(Self.escaped(snapshot.me.name))\"}"
        addServer(snapshot, now)
        addPositions(snapshot)
        addCluster(snapshot, now)
        addOwn(snapshot, now)
    }

    private mutating func addServer(_ snapshot: NodeSnapshot, _ now: BootInstant) {
        let local = snapshot.local
        let role = StatusDocument.role(snapshot, now: now)
        add("version", "Patroni's version that this node is a peer of, as a number.", Self.version(snapshot.version))
        add("postgres_running", "Whether PostgreSQL runs.", StatusDocument.state(local) == "running")
        add(
            "postmaster_start_time", "When PostgreSQL was started, in seconds since the epoch.",
            Self.seconds(local.facts?.postmasterStartTime))
        add("primary", "Whether this node is the primary.", role == .primary)
        add(
            "xlog_location", "Position of the primary's WAL in bytes, 0 on a replica.",
            position(snapshot) { facts in
                facts.inRecovery ? .zero : facts.writePosition
            })
        add("standby_leader", "Whether this node leads a standby cluster.", role == .standbyLeader)
        add("replica", "Whether this node is a replica.", role == .replica)
        let isVoter = StatusDocument.isSynchronousStandby(snapshot, snapshot.cachedView(at: now), now: now)
        let isQuorum = snapshot.settings.synchronousMode == .quorum
        add("sync_standby", "Whether this node is a synchronous standby.", isVoter && !isQuorum)
        add("quorum_standby", "Whether this node belongs to the quorum.", isVoter && isQuorum)
    }

    private mutating func addPositions(_ snapshot: NodeSnapshot) {
        let facts = snapshot.local.facts
        let standby = facts?.inRecovery == true ? facts : nil
        add(
            "xlog_received_location", "Position up to which WAL was received, in bytes, 0 on a primary.",
            position(snapshot) {
                $0.inRecovery ? StatusDocument.received($0) : .zero
            })
        add(
            "xlog_replayed_location", "Position up to which WAL was replayed, in bytes, 0 on a primary.",
            position(snapshot) {
                $0.inRecovery ? $0.replayedPosition : .zero
            })
        add(
            "xlog_replayed_timestamp", "Time of the last replayed transaction, in seconds since the epoch.",
            Self.seconds(standby?.replayedTimestamp))
        add("xlog_paused", "Whether replay is paused.", standby?.replayPaused ?? false)
        if let facts {
            add("postgres_streaming", "Whether PostgreSQL streams.", facts.replicationState == "streaming")
            add(
                "postgres_in_archive_recovery", "Whether PostgreSQL replays from the archive.",
                facts.replicationState == "in archive recovery")
        }
        add(
            "postgres_server_version", "Version of PostgreSQL, 0 where it does not answer.",
            "\(facts?.serverVersion ?? 0)")
    }

    private mutating func addCluster(_ snapshot: NodeSnapshot, _ now: BootInstant) {
        let view = snapshot.cachedView(at: now)
        add("cluster_unlocked", "Whether the cluster is without leader.", view?.isUnlocked ?? true)
        add(
            "failsafe_mode_is_active", "Whether failsafe mode keeps the primary.",
            snapshot.isFailsafeActive(at: now))
        add("failsafe_mode_enabled", "Whether failsafe mode is enabled.", snapshot.settings.failsafeMode)
        add(
            "failsafe_member", "Whether this node belongs to the failsafe members.",
            snapshot.view?.failsafe?[snapshot.me.name] != nil)
        add(
            "postgres_timeline", "Timeline of PostgreSQL, 0 where it is unknown.",
            "\(snapshot.local.facts?.timeline ?? 0)")
        add(
            "dcs_last_seen", "When the DCS answered last, in seconds since the epoch.", "\(snapshot.storeLastSeen)")
        add("pending_restart", "Whether a parameter waits for a restart.", !snapshot.local.pendingRestart.isEmpty)
        add("is_paused", "Whether the cluster is paused.", snapshot.settings.isPaused)
        let isUnknown = StatusDocument.state(snapshot.local) == "unknown"
        add(
            "postgres_state", "State of PostgreSQL as a number.",
            isUnknown ? "-1" : "\(snapshot.local.state.index)", comment: Self.states)
        add(
            "failover_priority", "Priority of this node in a race for leader, 0 for none.",
            "\(snapshot.me.tags.failoverPriority)")
    }

    /// Series that Patroni does not have.
    private mutating func addOwn(_ snapshot: NodeSnapshot, _ now: BootInstant) {
        func add(_ name: String, _ help: String, _ value: String) {
            addSeries("matriarch_\(name)", help, value)
        }
        let timings = snapshot.settings.timings
        add("ttl_seconds", "The leader lease's length in force.", "\(timings.ttl.inSeconds)")
        add("lease_remaining_seconds", "What is left of the leader lease, 0 without.", remaining(snapshot.lease, now))
        if snapshot.settings.prefersDistinctZones {
            let count = snapshot.cachedView(at: now).map { sharedZones($0, snapshot.settings).count } ?? 0
            add("synchronous_zones_shared", "Zones that synchronous standbys do not have for themselves.", "\(count)")
        }
        if let facts = snapshot.local.facts {
            let most = facts.slots.map { facts.heldBack(by: $0) }.max() ?? 0
            add("slot_held_back_bytes", "WAL that the replication slot farthest behind holds back.", "\(most)")
            let count = slotsHoldingBackWAL(facts, snapshot.settings).count
            add("slots_beyond_warning", "Slots that hold back more WAL than slot_wal_warning.", "\(count)")
        }
        guard let guarding = snapshot.guarding else { return }
        let status = guarding.status
        let isUp = guarding.failure == nil && (status?.pid ?? 0) > 0
        add("guardian_up", "Whether the guardian answers.", isUp ? "1" : "0")
        add(
            "guardian_parent", "Whether the guardian is PostgreSQL's parent, so that the kernel ends both together.",
            isUp && status?.isParent == true ? "1" : "0")
        add("guardian_armed", "Whether the guardian enforces a lease.", guarding.acknowledged == nil ? "0" : "1")
        add(
            "guardian_lease_remaining_seconds", "What is left of the lease that the guardian enforces, 0 without.",
            remaining(guarding.acknowledged, now))
        if let stop = status?.lastStop {
            add(
                "guardian_last_stop_age_seconds", "How long ago the guardian stopped PostgreSQL for a lease.",
                "\((now - stop.at).inSeconds)")
        }
    }

    private func remaining(_ lease: Lease?, _ now: BootInstant) -> String {
        "\(lease.map { max(0, ($0.deadline - now).inSeconds) } ?? 0)"
    }

    private static let states =
        "# Values: "
        + PostgreSQLState.allCases.map { "\($0.index)=\($0.metricName)" }.joined(separator: ", ") + "\n"

    private func position(
        _ snapshot: NodeSnapshot, _ select: (PostgreSQLStatus.Facts) -> WALPosition
    ) -> String { "\(snapshot.local.facts.map(select)?.bytes ?? 0)" }

    private mutating func add(_ name: String, _ help: String, _ value: Bool) { add(name, help, value ? "1" : "0") }

    private mutating func add(_ name: String, _ help: String, _ value: String, comment: String = "") {
        addSeries("patroni_\(name)", help, value, comment: comment)
    }

    private mutating func addSeries(_ name: String, _ help: String, _ value: String, comment: String = "") {
        text += "# HELP \(name) \(help)\n\(comment)# TYPE \(name) gauge\n\(name)\(labels) \(value)\n"
    }

    /// `4.1.5` is `040105`.
    private static func version(_ text: String) -> String {
        text.split(separator: ".").map { $0.count < 2 ? "0\($0)" : "\($0)" }.joined()
    }

    /// PostgreSQL's timestamp as seconds with six digits of fraction; 0 for none.
    private static func seconds(_ text: String?) -> String {
        guard let text, let time = Timestamp(text) else { return "0" }
        let microseconds = time.nanosecondsSinceEpoch / 1000
        let fraction = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
    }

    static func escaped(_ text: String) -> String {
        text.escaping { byte in
            switch byte {
            case UInt8(ascii: "\\"): "\\\\"
            case UInt8(ascii: "\""): "\\\""
            case UInt8(ascii: "\n"): "\\n"
            default: nil
            }
        }
    }
}

extension PostgreSQLState {
    /// The name in the metrics' comment; frozen like the index (rest-api.md §17).
    fileprivate var metricName: String {
        switch self {
        case .initializing: "initdb"
        case .initdbFailed: "initdb_failed"
        case .customBootstrap: "custom_bootstrap"
        case .customBootstrapFailed: "custom_bootstrap_failed"
        case .creatingReplica: "creating_replica"
        case .running: "running"
        case .starting: "starting"
        case .startingAfterCustomBootstrap: "bootstrap_starting"
        case .startFailed: "start_failed"
        case .restarting: "restarting"
        case .restartFailed: "restart_failed"
        case .stopping: "stopping"
        case .stopped: "stopped"
        case .stopFailed: "stop_failed"
        case .crashed: "crashed"
        }
    }
}
