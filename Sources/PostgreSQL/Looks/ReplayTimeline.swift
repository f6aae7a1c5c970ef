import ClusterModel
import Logging
import Ports
import Posix

/// On which timeline a standby without a receiver replays: only a walsender knows.
struct ReplayTimeline: Sendable {
    /// What was told last, valid as long as nothing that could change it has moved.
    private struct Told {
        var replayed: WALPosition
        var control: TimelineID?
        var timeline: TimelineID
    }

    private var told: Told?
    private var trouble = Trouble()

    /// `control` is the timeline of the last checkpoint. A walsender may not be had from here: `all` of pg_hba.conf
    /// does not mean replication, and all may be in use. Then files and titles tell; nil where they leave several.
    mutating func find(
        replayed: WALPosition, _ control: TimelineID?, of postmaster: Int32?, _ instance: Instance,
        _ deadline: BootInstant
    ) -> TimelineID? {
        if let told, told.replayed == replayed, told.control == control { return told.timeline }
        if trouble.isDue(at: BootClock.now()) {
            do throws(PostgreSQLError) {
                let identity = try ReplicationSession(local: instance, deadline: deadline).identify(deadline: deadline)
                _ = trouble.ends()
                told = Told(replayed: replayed, control: control, timeline: identity.timeline)
                return identity.timeline
            } catch {
                if trouble.fails("\(error)", at: BootClock.now()) {
                    instance.log.warning(
                        "cannot ask PostgreSQL for its timeline, which takes a login for replication from here: \(error)"
                    )
                }
            }
        }
        let wal = instance.dataDirectory.path + "/pg_wal"
        return Self.deduced(
            least: [control, told?.timeline].compactMap(\.self).max(), walFiles: try? Files.list(wal),
            title: postmaster.flatMap(RecoveryTitle.of), replayed: replayed
        ) { timeline in
            let history = try? Files.readText("\(wal)/\(TimelineHistoryFile.name(timeline))")
            return history.flatMap { TimelineHistoryFile.parse($0).last?.position }
        }
    }

    /// It has replayed beyond `least`, the timeline of its last checkpoint, and is on none whose history is not among
    /// `walFiles`, the names in `pg_wal`. The title names the file that was opened last: of a timeline to whose
    /// `beginning` it may not have come. Nil where several are left: with one that is too old it would say of itself
    /// that it has parted, and others that nobody has acknowledged what it has.
    static func deduced(
        least: TimelineID?, walFiles: [String]?, title: RecoveryTitle?, replayed: WALPosition,
        beginning: (TimelineID) -> WALPosition?
    ) -> TimelineID? {
        guard let least, let walFiles else { return nil }
        let most = walFiles.compactMap(TimelineHistoryFile.timeline).max() ?? 1
        if most <= least { return least }
        guard let tried = title?.timeline, (least...most).contains(tried) else { return nil }
        if tried == least { return least }
        guard let begun = beginning(tried) else { return nil }
        if replayed > begun { return tried }
        return tried == least + 1 ? least : nil
    }
}
