public import ClusterModel

/// Whether the primary must write `/history` anew (ha-loop.md §23).
public enum HistoryVerdict: Sendable, Hashable {
    case upToDate
    /// Timeline 1 has no history: an old one is replaced by an empty list.
    case writeEmpty
    /// Read the history file of this timeline and write what `historyLines` makes of it.
    case rebuild
}

/// What is left of the stored history once the leader of a standby cluster is on the other site's `timeline`: numbers
/// that this site alone had are no part of it, and by them nobody could lead once the cluster is its own again. Nil
/// where nothing is to be written.
public func historyElsewhere(stored: TimelineHistory, timeline: TimelineID) -> [TimelineHistory.Line]? {
    let kept = stored.lines.filter { $0.timeline < timeline }
    return kept.count < stored.lines.count ? kept : nil
}

/// Compares the stored history with the primary's timeline; S10: it only grows, or is rebuilt from the file.
public func historyVerdict(stored: TimelineHistory, timeline: TimelineID) -> HistoryVerdict {
    if timeline <= 1 { return stored.lines.isEmpty ? .upToDate : .writeEmpty }
    guard let last = stored.lines.last, last.timeline == timeline - 1, last.newLeader != nil else { return .rebuild }
    return .upToDate
}

/// The rows to write: those of the file, the newest with when and who, older ones with what was stored of them; cut to
/// `limit` rows (0 for all).
///
/// A number that the file skips is that of a dead branch: somebody had promoted to it whom the cluster did not follow.
/// Readers take the number after the last row for the cluster's timeline, Patroni's too, so it has a row of its own:
/// one that was left before it began, whatever stands on it has parted.
public func historyLines(
    file: [TimelineHistory.Line], writtenAt: String, leader: String, timeline: TimelineID, stored: TimelineHistory,
    limit: Int
) -> [TimelineHistory.Line] {
    let parents = file.filter { $0.timeline < timeline }
    let lines = withDeadBranches(parents, below: timeline).map { line in
        let known = stored.lines.first { $0.timeline == line.timeline && $0.position == line.position }
        // The step to the timeline that now is: the last parent, and what was skipped after it.
        let isNewest = line.timeline >= parents.last?.timeline ?? 0
        return TimelineHistory.Line(
            timeline: line.timeline, position: line.position, reason: line.reason,
            timestamp: known?.timestamp ?? (isNewest ? writtenAt : nil),
            newLeader: known?.newLeader ?? (isNewest ? leader : nil))
    }
    return limit > 0 ? Array(lines.suffix(limit)) : lines
}

/// The newest of so many dead branches have rows. More of them between two promotions are not known to happen; only the
/// last one matters to who reads which timeline is current.
private let mostDeadBranches: TimelineID = 32

private func withDeadBranches(_ parents: [TimelineHistory.Line], below timeline: TimelineID) -> [TimelineHistory.Line] {
    var lines: [TimelineHistory.Line] = []
    for (index, line) in parents.enumerated() {
        lines.append(line)
        let next = index + 1 < parents.count ? parents[index + 1].timeline : timeline
        // Also of a file whose rows are in no order nothing more is made than that.
        guard next > line.timeline, next - line.timeline > 1 else { continue }
        let first = max(line.timeline + 1, next - min(mostDeadBranches, next))
        for dead in first..<next {
            lines.append(.init(timeline: dead, position: .zero, reason: "not a part of this history"))
        }
    }
    return lines
}
