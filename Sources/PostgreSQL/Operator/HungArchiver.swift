import ClusterModel
import Logging
import Posix

// A server that was shut down archives what it has left before its postmaster ends, and a command that hangs would
// keep it there, in the way of the standby that is to start in its place. It is given up after `archiverPatience`
// without one segment done; one that gets on has all the time that the stop has.
//
// What ends then is safe: the last record is flushed and the control file says `shut down`, so that the next start
// recovers nothing, and whoever took over has received all of it. No segment is removed: each stays in pg_wal with its
// `.ready`, and is archived when this server is a primary again. While it is a standby nobody archives it, and in time
// PostgreSQL recycles it (but for `archive_mode = always`): the archive may come to lack it, which an operator is told.

/// Whether an archiver comes further, by the segments that wait for it.
struct ArchiverWatch {
    private var waiting: [String]?
    private(set) var stillSince: BootInstant?

    mutating func see(_ names: [String], at now: BootInstant) {
        guard names != waiting else { return }
        waiting = names
        stillSince = now
    }

    func hasHung(for patience: Duration, at now: BootInstant) -> Bool {
        stillSince.map { now - $0 >= patience } ?? false
    }
}

extension Instance {
    private var archiveStatus: String { "\(dataDirectory.path)/pg_wal/archive_status" }

    /// The segments that are to be archived still.
    func readySegments() -> [String] { ((try? Files.list(archiveStatus)) ?? []).compactMap(ArchiveCommand.segment) }

    /// The archiver of a stop has hung and is given up.
    func giveUpArchiver() {
        let left = readySegments()
        let time = Int(configuration.archiverPatience.inSeconds)
        log.error(
            """
            archive_command has archived nothing for \(time) s: it is ended; \(left.count) segment(s), \
            from \(left.first ?? "none") on, stay in pg_wal unarchived
            """)
        remember { $0.unarchived = left.isEmpty ? nil : left }
    }

    /// What a stop that is under way waits for, and what one that was given up has left.
    func tellArchive(_ status: inout PostgreSQLStatus) {
        (status.waitingFor, status.archiverStillSince) = remember { ($0.waitingFor, $0.archiverStillSince) }
        status.unarchived = stillUnarchived()
    }

    /// What of that is there still, and not archived.
    func stillUnarchived() -> PostgreSQLStatus.Unarchived? {
        guard let known = remember({ $0.unarchived }) else { return nil }
        let ready = Set(readySegments())
        let left = known.filter(ready.contains)
        for name in known where !ready.contains(name) { tellLost(name) }
        remember { $0.unarchived = left.isEmpty ? nil : left }
        return left.first.map { .init(first: $0, count: left.count) }
    }

    /// A segment that waits no more was archived, or is gone.
    private func tellLost(_ name: String) {
        if Files.exists("\(archiveStatus)/\(name).done") || Files.exists("\(dataDirectory.path)/pg_wal/\(name)") {
            return
        }
        log.error("\(name) was recycled: where nobody archived it by hand the archive lacks it, and ends before it")
    }
}
