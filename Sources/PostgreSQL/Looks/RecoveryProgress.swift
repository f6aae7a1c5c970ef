import ClusterModel
import Processes

/// What the startup process of a server that recovers says that it is at, by its title
/// (`postgres: name: startup waiting for 0000000100000000000000F0`): a segment of WAL. Pure.
struct RecoveryTitle: Sendable, Hashable {
    /// The segment is not there; else it is being replayed.
    let isWaiting: Bool
    /// Its name, with the timeline that was tried last.
    let file: String
    /// What follows the timeline in it.
    var segment: Substring { file.suffix(16) }
    var timeline: TimelineID? { TimelineID(file.prefix(8), radix: 16) }

    /// Nil where the title says no such thing, or the server leaves titles as they are (`update_process_title`).
    init?(_ title: String) {
        // PostgreSQL 12 leaves two more blanks.
        let words = [" ", "   "].flatMap { [("startup\($0)waiting for ", true), ("startup\($0)recovering ", false)] }
        for (words, isWaiting) in words {
            guard let found = title.firstRange(of: words) else { continue }
            let name = title[found.upperBound...].utf8.prefix { $0 > UInt8(ascii: " ") }
            guard name.count == 24, name.allSatisfy(Self.isDigit) else { return nil }
            self.isWaiting = isWaiting
            file = String(decoding: name, as: UTF8.self)
            return
        }
        return nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte)
    }

    /// Of the server `postmaster`.
    static func of(_ postmaster: Int32) -> RecoveryTitle? {
        for process in ProcessTable.all() where process.parent == postmaster {
            if let words = ProcessTable.commandLine(process.pid), let title = RecoveryTitle(words.first ?? "") {
                return title
            }
        }
        return nil
    }
}

/// For how long a server lets nobody in while nothing of its recovery moves. Pure.
struct RecoveryRefusals: Sendable {
    /// Of a server that recovers: the segment that it replays, and when it last wrote down how far it has come.
    struct Signs: Sendable, Hashable {
        var title: RecoveryTitle?
        var controlStamp: Int64?
    }

    private var signs: Signs?
    private var since: BootInstant?

    /// It has refused again; `signs` are nil where it does not recover any more.
    mutating func last(_ signs: Signs?, at now: BootInstant) -> Duration {
        let moves = signs != nil && signs != self.signs
        self.signs = signs
        let began = moves ? now : since ?? now
        since = began
        return now - began
    }

    mutating func end() { self = RecoveryRefusals() }
}

/// What is seen of one server from look to look while it recovers, and what of it keeps it from ever coming up: things
/// that stand in no file any more, or not for long enough yet. Pure.
struct RecoveryProgress: Sendable {
    /// The same segment for so long: nothing of it is replayed any more.
    static let patience = Duration.seconds(20)
    /// Of a server that replays and replays; one that is behind by much may take as long and come up all the same.
    static let longPatience = Duration.seconds(300)

    /// What a `backup_label` said when the server was seen to start by it.
    private var label: String?
    private var title: RecoveryTitle?
    private var since: BootInstant?
    private var firstSeen: BootInstant?

    /// Takes one look in; what stands in the way by then. `label` is the segment that `backup_label` names now,
    /// `control` what pg_controldata says; `has` says whether a segment stands in `pg_wal`.
    mutating func learn(
        _ title: RecoveryTitle?, label: String?, _ control: ControlDataOutput?, at now: BootInstant,
        has: (String) -> Bool
    ) -> PostgreSQLStatus.Obstacle? {
        if title?.segment != self.title?.segment || since == nil { since = now }
        self.title = title
        let began = firstSeen ?? now
        firstSeen = began
        if let label { self.label = label }
        guard label == nil else { return nil }
        if let file = missedLabel(title, control), !has(file) { return .removedBackupLabel(file: file) }
        guard let start = control?.unfinishedBackup else { return nil }
        let isStill = title != nil && since.map { now - $0 >= Self.patience } ?? false
        return isStill || now - began >= Self.longPatience ? .backupNotEnded(start: start) : nil
    }

    /// The segment with which a server wants to begin because a label said so that is not there any more: one that was
    /// seen, or one before the last checkpoint, which nothing else asks for.
    private func missedLabel(_ title: RecoveryTitle?, _ control: ControlDataOutput?) -> String? {
        // PostgreSQL itself has taken the label away once it has found where to begin.
        guard let control, control.unfinishedBackup == nil else { return nil }
        if let title, !title.isWaiting { return nil }
        if let label, title.map({ $0.segment == label.suffix(16) }) ?? true { return label }
        guard let title, let first = control.filesOfCheckpoint.first else { return nil }
        return title.segment < first.suffix(16) ? title.file : nil
    }
}

extension ControlDataOutput {
    /// Where a base backup began whose end recovery has still to find; nil where it waits for none.
    var unfinishedBackup: WALPosition? {
        guard fields["End-of-backup record required"] == "yes" else { return nil }
        return fields["Backup start location"].flatMap { WALPosition($0) }.flatMap { $0 == .zero ? nil : $0 }
    }
}
