/// What a node says it is, in its member key and over REST (dcs.md §2.3).
public enum NodeRole: String, Sendable, Hashable, CaseIterable {
    case primary
    case standbyLeader = "standby_leader"
    case replica
    /// Stepped down and not yet following anybody.
    case demoted
    /// `pg_promote` was asked for and has not finished.
    case promoted
    /// No data directory yet.
    case uninitialized

    /// Reads the wire text; the former name `master` counts as primary.
    public init?(wire: String) {
        if wire == "master" {
            self = .primary
        } else {
            self.init(rawValue: wire)
        }
    }
}

/// The state of the local PostgreSQL (postgresql.md §2). The texts are wire format, the indexes are metrics.
public enum PostgreSQLState: String, Sendable, Hashable, CaseIterable {
    case initializing = "initializing new cluster"
    case initdbFailed = "initdb failed"
    case customBootstrap = "running custom bootstrap script"
    case customBootstrapFailed = "custom bootstrap failed"
    case creatingReplica = "creating replica"
    case running
    case starting
    case startingAfterCustomBootstrap = "starting after custom bootstrap"
    case startFailed = "start failed"
    case restarting
    case restartFailed = "restart failed"
    case stopping
    case stopped
    case stopFailed = "stop failed"
    case crashed

    /// The number under which metrics report the state; frozen (rest-api.md §8.3).
    public var index: Int { PostgreSQLState.allCases.firstIndex(of: self) ?? -1 }
}
