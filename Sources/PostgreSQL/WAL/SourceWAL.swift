import ClusterModel

/// What a server that others stream from has in `pg_wal`. Pure.
struct SourceWAL {
    /// All files of `pg_wal`.
    var names: Set<String>
    /// How far its WAL goes.
    var end: WALPosition
    /// In bytes.
    var segmentSize: UInt64

    /// The first thing that a standby at `position` on timeline `from` asks for and does not get; nil where it gets
    /// all. `own` are the files of its own `pg_wal`.
    func lacking(after position: WALPosition, from: TimelineID, to: TimelineID, own: Set<String>)
        -> DivergenceFacts.Lacking?
    {
        // It fetches the histories that it does not have before it asks for WAL.
        for timeline in WALNames.timelines(from: from, to: to) {
            let file = TimelineHistoryFile.name(timeline)
            if !own.contains(file), !names.contains(file) { return .history(file) }
        }
        guard let next = WALNames.segment(position.bytes, size: segmentSize) else { return nil }
        // Where the source has written nothing in that segment yet there need not be a file of it.
        guard position.bytes - position.bytes % segmentSize < end.bytes else { return nil }
        return WALNames.hasSegment(next, in: names) ? nil : .segment(WALNames.timeline(from) + next)
    }
}

/// The names of the files in `pg_wal`. Pure.
enum WALNames {
    /// What follows the timeline in the name of the segment that `position` stands in.
    static func segment(_ position: UInt64, size: UInt64) -> String? {
        guard size > 0, size <= 1 << 32 else { return nil }
        let perFile = (1 << 32) / size
        let number = position / size
        return hexadecimal(number / perFile) + hexadecimal(number % perFile)
    }

    static func timeline(_ timeline: TimelineID) -> String { hexadecimal(UInt64(timeline)) }

    /// Of whatever timeline: recovery takes the newest that it finds.
    static func hasSegment(_ segment: String, in names: Set<String>) -> Bool {
        names.contains { $0.utf8.count == 24 && $0.hasSuffix(segment) }
    }

    /// The timelines whose histories a standby has to have, the last few of them: the first has none.
    static func timelines(from: TimelineID, to: TimelineID) -> [TimelineID] {
        let first = max(from, 2, to - min(to, 32))
        return first <= to ? Array(first...to) : []
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
    }
}
