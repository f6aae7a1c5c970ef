/// What pg_controldata tells of a cluster that is down (postgresql.md §8).
public struct ControlData: Sendable, Hashable {
    /// "Database cluster state".
    public enum ClusterState: String, Sendable, Hashable, CaseIterable {
        case startingUp = "starting up"
        case shutDown = "shut down"
        case shutDownInRecovery = "shut down in recovery"
        case shuttingDown = "shutting down"
        case inCrashRecovery = "in crash recovery"
        case inArchiveRecovery = "in archive recovery"
        case inProduction = "in production"
    }

    public var state: ClusterState
    public var systemIdentifier: String
    public var checkpoint: WALPosition
    public var checkpointTimeline: TimelineID
    public var minimumRecoveryEnd: WALPosition
    public var minimumRecoveryTimeline: TimelineID
    /// `wal_log_hints` is on, or data checksums are: what pg_rewind needs.
    public var supportsRewind: Bool

    public init(
        state: ClusterState, systemIdentifier: String, checkpoint: WALPosition, checkpointTimeline: TimelineID,
        minimumRecoveryEnd: WALPosition = .zero, minimumRecoveryTimeline: TimelineID = 0, supportsRewind: Bool = true
    ) {
        self.state = state
        self.systemIdentifier = systemIdentifier
        self.checkpoint = checkpoint
        self.checkpointTimeline = checkpointTimeline
        self.minimumRecoveryEnd = minimumRecoveryEnd
        self.minimumRecoveryTimeline = minimumRecoveryTimeline
        self.supportsRewind = supportsRewind
    }
}

extension PostgreSQLStatus {
    /// Why the control file (`global/pg_control`) tells nothing.
    public enum ControlTrouble: Sendable, Hashable {
        /// It is not there, though the rest of a cluster is: its path.
        case missing(String)
        /// What stands in it is no control file, or is that of another version: its path, and what is wrong.
        case damaged(String)
        /// It could not be read, which may pass or be mended: what the kernel or pg_controldata says.
        case unreadable(String)
        /// pg_controldata could not be run, or did not end in time: that says nothing of the file.
        case notAsked(String)

        /// The file itself is what is wrong.
        public var isOfContent: Bool {
            switch self {
            case .missing, .damaged: true
            case .unreadable, .notAsked: false
            }
        }
    }
}
