/// The toggles that the whole cluster shares: the "global view" of `/config` (configuration.md §4). A value that does
/// not parse reads as its default. Settings of PostgreSQL itself are the Configuration target's.
public struct DynamicConfiguration: Sendable, Hashable {
    /// The document as stored, unknown keys included.
    public let document: JSONObject
    /// Adjusted so that one load and one renewal fit into the lease.
    public let timings: ClusterTimings
    /// What was adjusted of the times, in Patroni's words.
    public let timingWarnings: [String]
    /// The primary elsewhere that the cluster follows; nil where it is a cluster of its own.
    public let standbyCluster: StandbyCluster?
    /// A member of the cluster is Patroni's: then a ttl below its minimum is raised to that.
    public let isShared: Bool
    // What is asked for many times in each cycle is read once.
    public let isPaused: Bool
    public let checkTimeline: Bool
    public let failsafeMode: Bool
    /// Whether physical slots are kept for members.
    public let useSlots: Bool
    /// How long the slot of a member that went away is kept; zero for not at all.
    public let memberSlotsTTL: Duration
    public let synchronousMode: SynchronousMode
    public let permanentSlots: [PermanentSlot]
    public let permanentSlotFaults: [PermanentSlot.Fault]

    /// Reads `document`. Timings that do not parse make the whole document unfit (configuration.md §4.2): nil.
    public init?(document: JSONObject, isShared: Bool = false) {
        guard let adjusted = try? ClusterTimings.adjusted(document: document, isShared: isShared) else { return nil }
        self.init(document, adjusted.timings, adjusted.warnings, isShared: isShared)
    }

    /// The defaults, for a node that has not seen any `/config`.
    public init() { self.init(JSONObject(), ClusterTimings(), [], isShared: false) }

    private init(_ document: JSONObject, _ timings: ClusterTimings, _ timingWarnings: [String], isShared: Bool) {
        self.document = document
        self.timings = timings
        self.timingWarnings = timingWarnings
        let standbyCluster = document["standby_cluster"]?.object.flatMap { StandbyCluster($0) }
        self.standbyCluster = standbyCluster
        self.isShared = isShared
        isPaused = Self.flag(document, "pause")
        checkTimeline = Self.flag(document, "check_timeline")
        failsafeMode = Self.flag(document, "failsafe_mode")
        useSlots = ValueParsing.bool(document["postgresql"]?["use_slots"]) ?? true
        let slotsTTL = ValueParsing.integer(document["member_slots_ttl"], unit: .seconds) ?? 1800
        memberSlotsTTL = .seconds(max(0, slotsTTL))
        (permanentSlots, permanentSlotFaults) = PermanentSlot.read(document)
        synchronousMode = standbyCluster == nil ? SynchronousMode(document) : .off
    }

    /// Bytes that a candidate may be behind the last status write.
    public var maximumLagOnFailover: Int64 { integer("maximum_lag_on_failover", 1_048_576) }
    /// How long a standby waits for whoever led while WAL comes from it, and for a `loop_wait` at least; zero for not
    /// at all.
    public var primaryRaceBackoff: Duration { .seconds(min(max(0, integer("primary_race_backoff", 0)), 31_622_400)) }
    /// Rows that `/history` keeps; 0 for all.
    public var maxTimelinesHistory: Int { Int(clamping: integer("max_timelines_history", 0)) }
    /// How long a leader may take to start before another node is let lead.
    public var primaryStartTimeout: Duration {
        .seconds(
            integer(document["primary_start_timeout"] != nil ? "primary_start_timeout" : "master_start_timeout", 300))
    }
    /// How long a start is waited for where it is no question of another node leading instead: of a standby, or because
    /// an operator asked. `primary_start_timeout: 0` says that a crashed leader gives way at once, not that a start may
    /// take no time.
    public var startPatience: Duration {
        primaryStartTimeout > .zero ? primaryStartTimeout : .seconds(300)
    }
    /// How long a clean stop may take before PostgreSQL is ended by force: `primary_stop_timeout` where it counts
    /// (configuration.md §4: above 0, in synchronous mode), else a time of ours. Never `primary_start_timeout`.
    public var stopTimeout: Duration { configuredStopTimeout ?? PostgreSQLOperation.customaryStopTimeout }
    /// Likewise of a leader whom somebody could succeed: who stops must not keep the cluster without a primary for much
    /// longer than who dies. What sessions have committed is sent while the shutdown checkpoint is written, so that to
    /// break that off costs this node a recovery, and seldom anybody a row.
    public var handOverTimeout: Duration {
        configuredStopTimeout ?? min(max(timings.ttl, .seconds(20)), PostgreSQLOperation.customaryStopTimeout)
    }
    private var configuredStopTimeout: Duration? {
        let key = document["primary_stop_timeout"] != nil ? "primary_stop_timeout" : "master_stop_timeout"
        let seconds = integer(key, 0)
        return seconds > 0 && synchronousMode != .off ? .seconds(seconds) : nil
    }
    /// While it follows a primary elsewhere nobody is promoted.
    public var isStandbyCluster: Bool { standbyCluster != nil }

    /// How commits wait for standbys.
    public enum SynchronousMode: Sendable, Hashable {
        case off, priority, quorum

        fileprivate init(_ document: JSONObject) {
            if document["synchronous_mode"]?.string?.lowercased() == "quorum" {
                self = .quorum
            } else {
                self = DynamicConfiguration.flag(document, "synchronous_mode") ? .priority : .off
            }
        }
    }

    /// `synchronous_mode_strict`: commits wait rather than be acknowledged by nobody but the primary.
    public var isStrictlySynchronous: Bool { synchronousMode != .off && Self.flag(document, "synchronous_mode_strict") }
    /// How many standbys are to have each commit (`synchronous_node_count`), 1 at least.
    public var synchronousNodeCount: Int { max(1, Int(clamping: integer("synchronous_node_count", 1))) }
    /// Bytes that a synchronous standby may be behind; nil for any (`maximum_lag_on_syncnode`).
    public var maximumLagOnSyncnode: Int64? {
        let bytes = ValueParsing.integer(document["maximum_lag_on_syncnode"], unit: .bytes) ?? -1
        return bytes > 0 ? bytes : nil
    }
    /// `synchronous_zones: distinct`, ours: standbys in other zones than the primary's and each other's go first.
    public var prefersDistinctZones: Bool { document["synchronous_zones"]?.string?.lowercased() == "distinct" }

    private static func flag(_ document: JSONObject, _ key: String) -> Bool {
        ValueParsing.bool(document[key]) ?? false
    }

    private func integer(_ key: String, _ otherwise: Int64) -> Int64 {
        ValueParsing.integer(document[key], unit: nil) ?? otherwise
    }
}
