import ClusterModel

extension Decision {
    /// With what a server that was stopped has not archived: nobody else does.
    func noting(archive seen: Observation) -> Decision {
        guard case .wait = action else { return self }
        if let since = seen.local.archiverStillSince, seen.now - since >= ArchiveReason.late {
            return Decision(action, reasons + [.archive(.hangs(for: seen.now - since))])
        }
        guard let left = seen.local.unarchived else { return self }
        return Decision(action, reasons + [.archive(.lacks(first: left.first, count: left.count))])
    }
}

/// How the archive of a server stands that was stopped.
public enum ArchiveReason: Sendable, Hashable {
    /// archive_command, which the stop waits for, has archived nothing for so long.
    case hangs(for: Duration)
    /// It was ended: these are in `pg_wal`, and nobody archives them while this node is a standby.
    case lacks(first: String, count: Int)

    /// A segment takes no longer where nothing is wrong.
    static let late = Duration.seconds(20)

    var explanation: Explanation {
        switch self {
        case .hangs(let passed):
            Explanation(
                "archiver-hangs", ["passed_seconds": .fact(passed)],
                "the stop of PostgreSQL waits for archive_command, which has archived nothing for \(seconds(passed))")
        case .lacks(let first, let count):
            Explanation(
                "not-archived", ["first": .fact(first), "segments": .fact(count)],
                "archive_command hung when PostgreSQL was stopped: \(count) segment(s) from \(first) on are missing")
        }
    }

    var needsOperator: String? {
        switch self {
        case .hangs(let passed):
            "PostgreSQL is shut down, and archive_command has archived nothing for \(Int(passed.inSeconds)) s: see "
                + "what it waits for. It is ended soon, and what is not archived then stays in pg_wal of this node"
        case .lacks(let first, let count):
            "archive_command hung when PostgreSQL was stopped, and was ended: \(count) segment(s) from \(first) on "
                + "are in pg_wal of this node, and nobody archives them while it is a standby. Mend the command and "
                + "archive them by hand, or take a new base backup: a recovery from the archive would end there"
        }
    }
}
