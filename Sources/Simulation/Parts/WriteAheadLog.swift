import ClusterModel

/// A log of records, told by where its branches end: what one server wrote in one go on one timeline is one branch, and
/// two logs hold the same records as far as their branches are the same. Positions are record counts.
struct WriteAheadLog: Hashable {
    struct Segment: Hashable {
        /// Who wrote: grows by one with every promotion in the world.
        var branch: Int
        var timeline: TimelineID
        /// How many records the log has up to the end of this segment.
        var end: Int
    }

    private(set) var segments: [Segment] = []

    var count: Int { segments.last?.end ?? 0 }
    var timeline: TimelineID { segments.last?.timeline ?? 0 }
    var branch: Int { segments.last?.branch ?? 0 }

    mutating func begin(branch: Int, timeline: TimelineID) {
        segments.append(Segment(branch: branch, timeline: timeline, end: count))
    }

    mutating func append(_ records: Int) { segments[segments.count - 1].end += records }

    /// How many leading records two logs share.
    func shared(with other: WriteAheadLog) -> Int {
        var shared = 0
        for (mine, theirs) in zip(segments, other.segments) {
            guard mine.branch == theirs.branch else { break }
            shared = min(mine.end, theirs.end)
            if mine.end != theirs.end { break }
        }
        return shared
    }

    /// Whether all of this log is the beginning of `other`.
    func isBeginning(of other: WriteAheadLog) -> Bool {
        count <= other.count && shared(with: other) == count
    }

    /// The first `records` of this log; with all of them also the timelines that begin right there.
    func prefix(_ records: Int) -> WriteAheadLog {
        if records >= count { return self }
        var result = WriteAheadLog()
        for segment in segments {
            if !result.segments.isEmpty && result.count >= records { break }
            result.segments.append(segment)
            result.segments[result.segments.count - 1].end = min(segment.end, records)
        }
        return result
    }

    /// Where the last record is that is none of `branches`.
    func end(without branches: Set<Int>) -> Int {
        guard let last = segments.lastIndex(where: { !branches.contains($0.branch) }) else { return 0 }
        return segments[last].end
    }

    /// Where the records of `branch` end in this log; nil where it has none of them.
    func end(of branch: Int) -> Int? { segments.last { $0.branch == branch }?.end }

    /// Where the timeline of that number ends in this log; nil where it has none.
    func end(ofTimeline timeline: TimelineID) -> Int? { segments.last { $0.timeline == timeline }?.end }

    /// Where each earlier timeline was left, as a history file tells it.
    var switchPoints: [(timeline: TimelineID, end: Int)] {
        var points: [(timeline: TimelineID, end: Int)] = []
        for (segment, next) in zip(segments, segments.dropFirst()) where segment.timeline != next.timeline {
            points.append((segment.timeline, segment.end))
        }
        return points
    }
}
