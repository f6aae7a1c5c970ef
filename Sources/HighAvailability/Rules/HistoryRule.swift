public import ClusterModel

/// Whether the primary must write `/history` anew (ha-loop.md §23).
public enum HistoryVerdict: Sendable, Hashable {
    case upToDate
    /// Timeline 1 has no history: an old one is replaced by an empty list.
    case writeEmpty
    /// Read the history file of this timeline and write what `historyLines` makes of it.
    case rebuild
}

/// Compares the stored history with the primary's timeline; S10: it only grows, or is rebuilt from the file.
public func historyVerdict(stored: TimelineHistory, timeline: TimelineID) -> HistoryVerdict {
    if timeline <= 1 { return stored.lines.isEmpty ? .upToDate : .writeEmpty }
    guard let last = stored.lines.last, last.timeline == timeline - 1, last.newLeader != nil else { return .rebuild }
    return .upToDate
}

/// The rows to write: those of the file, the newest with when and who, older ones with what was stored of them; cut to
/// `limit` rows (0 for all).
public func historyLines(
    file: [TimelineHistory.Line], writtenAt: String, leader: String, timeline: TimelineID, stored: TimelineHistory,
    limit: Int
) -> [TimelineHistory.Line] {
    let lines = file.map { line in
        let known = stored.lines.first { $0.timeline == line.timeline && $0.position == line.position }
        let isNewest = line.timeline < timeline && line.timeline + 1 == timeline
        return TimelineHistory.Line(
            timeline: line.timeline, position: line.position, reason: line.reason,
            timestamp: known?.timestamp ?? (isNewest ? writtenAt : nil),
            newLeader: known?.newLeader ?? (isNewest ? leader : nil))
    }
    return limit > 0 ? Array(lines.suffix(limit)) : lines
}
