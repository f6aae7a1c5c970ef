import Processes

/// What a postmaster that was told to stop waits for, by its processes: PostgreSQL ends them in a fixed order, so that
/// the one that comes first in it is to blame, not those that wait for it in their turn.
struct Holdup: Sendable, Hashable, CustomStringConvertible {
    enum Cause: Sendable, Hashable {
        /// Sessions and workers, which end first.
        case processes
        /// The shutdown checkpoint, which follows.
        case checkpoint
        /// Receivers are to have all WAL, before the checkpoint begins and after it is written.
        case senders
        /// Of what is left at the very end the archiver has work.
        case archiver
        /// Whatever else is left there.
        case rest
    }

    var cause: Cause
    var description: String

    /// A process of the server's.
    struct Part: Sendable, Hashable {
        var pid: Int32
        /// What it calls itself, without `postgres: ` and the cluster's name.
        var title: String
        /// As in `/proc`.
        var state: Character
    }

    /// The last to go: everything else has ended before the shutdown checkpoint begins.
    private static let late = ["checkpointer", "archiver", "walsender", "logger", "io worker", "stats collector"]

    /// Nil where nobody is left. `senders` are those that are left of the ones that were known before the stop.
    init?(_ processes: [Part], senders: [String], hasWrittenLastRecord: Bool) {
        let early = processes.filter { process in !Self.late.contains { process.title.hasPrefix($0) } }
        let checkpointer = processes.first { $0.title.hasPrefix("checkpointer") }
        func list(_ texts: [String]) -> String { texts.prefix(4).joined(separator: "; ") }
        if !early.isEmpty {
            (cause, description) = (.processes, list(early.map(\.text)))
        } else if !hasWrittenLastRecord, let checkpointer, checkpointer.isAtWorkOnLastRecord || senders.isEmpty {
            (cause, description) = (.checkpoint, "the shutdown checkpoint: \(checkpointer.text)")
        } else if !senders.isEmpty {
            (cause, description) = (.senders, list(senders))
        } else if !processes.isEmpty {
            let archiver = processes.filter { $0.title.hasPrefix("archiver") }
            let isArchiving = !archiver.isEmpty
            (cause, description) = (
                isArchiving ? .archiver : .rest, list((isArchiving ? archiver : processes).map(\.text))
            )
        } else {
            return nil
        }
    }

    /// Of what is seen in `/proc` now.
    static func of(_ postmaster: Int32, _ senders: [WALSenderProcess], hasWrittenLastRecord: Bool) -> Holdup? {
        let processes = ProcessTable.all().filter { $0.parent == postmaster }.compactMap { Part($0.pid) }
        let left = senders.filter { $0.isChild(of: postmaster) }.map(\.description)
        return Holdup(processes, senders: left, hasWrittenLastRecord: hasWrittenLastRecord)
    }
}

extension Holdup.Part {
    init?(_ pid: Int32) {
        guard let stat = ProcessTable.stat(pid), let line = ProcessTable.text("/proc/\(pid)/cmdline"),
            let title = Self.title(line)
        else { return nil }
        self.init(pid: pid, title: title, state: stat.state)
    }

    /// What a server process calls itself: `archiver archiving 000000010000000000000003` of
    /// `postgres: demo: archiver archiving 000000010000000000000003`.
    static func title(_ commandLine: String) -> String? {
        let text = commandLine.prefix { $0 != "\0" }.prefix(200)
        guard text.hasPrefix("postgres: ") else { return nil }
        let words = text.dropFirst(10)
        return String(words.firstRange(of: ": ").map { words[$0.upperBound...] } ?? words).trimmed
    }

    /// Where it stands still it is not the others that it waits for: they would be next.
    fileprivate var isAtWorkOnLastRecord: Bool {
        title.contains("shutdown") || ProcessTable.Stat.isStopped(state) || state == "D"
    }

    fileprivate var text: String {
        switch state {
        case "T", "t": "\(title) (\(pid), which is stopped)"
        case "D": "\(title) (\(pid), which waits in the kernel, as for a disk)"
        default: "\(title) (\(pid))"
        }
    }
}
