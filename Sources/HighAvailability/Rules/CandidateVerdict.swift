public import ClusterModel

/// What was found out about one candidate.
public struct CandidateVerdict: Sendable, Hashable {
    public enum Verdict: Sendable, Hashable {
        case good
        case unreachable(String)
        case nofailover
        case watchdogFailed
        case busy(String)
        case lagging(position: WALPosition, behind: WALPosition, allowed: Int64)
        case missing(position: WALPosition, required: WALPosition)
        case timelineBehind(TimelineID, cluster: TimelineID)
    }

    public var name: String
    public var verdict: Verdict

    public init(name: String, verdict: Verdict) {
        self.name = name
        self.verdict = verdict
    }
}

extension CandidateVerdict {
    /// `{"name": "pg-b", "verdict": "lagging"}`.
    var json: JSONObject { ["name": .string(name), "verdict": .string(verdict.code)] }
}

extension CandidateVerdict.Verdict {
    var code: String {
        switch self {
        case .good: "good"
        case .unreachable: "unreachable"
        case .nofailover: "nofailover"
        case .watchdogFailed: "watchdog-failed"
        case .busy: "busy"
        case .lagging: "lagging"
        case .missing: "missing"
        case .timelineBehind: "timeline-behind"
        }
    }
}

extension CandidateVerdict.Verdict {
    /// Whether who is judged so will not take the key that was left to it; anything else may pass within moments.
    var isLasting: Bool {
        switch self {
        case .nofailover, .watchdogFailed, .timelineBehind: true
        case .good, .unreachable, .busy, .lagging, .missing: false
        }
    }
}

extension CandidateVerdict: CustomStringConvertible {
    public var description: String {
        switch verdict {
        case .good: "\(name) is healthy"
        case .unreachable(let why): "\(name) is not reachable (\(why))"
        case .nofailover: "\(name) is not allowed to promote"
        case .watchdogFailed: "\(name) has no working watchdog"
        case .busy(let what): "\(name) is busy (\(what))"
        case .lagging(let position, let behind, let allowed):
            "\(name) at \(position) is \(behind - position) bytes behind, allowed are \(allowed)"
        case .missing(let position, let required): "\(name) at \(position) has not received \(required)"
        case .timelineBehind(let timeline, let cluster): "\(name) is on timeline \(timeline), the cluster on \(cluster)"
        }
    }
}

/// How much of the WAL a candidate must have.
public enum Bar: Sendable, Hashable {
    case anything
    /// No further behind `end` than `maximum` bytes.
    case lag(behind: WALPosition, maximum: Int64)
    case everything(to: WALPosition)
}

/// What each of `candidates` said of itself, judged.
func judge(
    _ candidates: [Member], _ peers: [String: PeerAnswer], _ seen: Observation, _ view: ClusterView
) -> [CandidateVerdict] {
    candidates.map { judge($0, peers[$0.name], seen, view) }
}

/// Whether `member` could take over now; with `required`, only after it has received that much.
///
/// A primary hands over on its own timeline only, whatever `check_timeline` says: a standby that is still on the one
/// before may have parted, and then its position says nothing of the primary's WAL (S3). Stricter than Patroni.
public func judge(
    _ member: Member, _ answer: PeerAnswer?, _ seen: Observation, _ view: ClusterView,
    received required: WALPosition? = nil
) -> CandidateVerdict {
    let verdicts = objections(to: member, answer, seen, view, received: required)
    return CandidateVerdict(name: member.name, verdict: verdicts.first ?? .good)
}

/// All that stands against `member`, the first reason first.
func objections(
    to member: Member, _ answer: PeerAnswer?, _ seen: Observation, _ view: ClusterView,
    received required: WALPosition? = nil
) -> [CandidateVerdict.Verdict] {
    let lag = Bar.lag(behind: view.status.optime, maximum: seen.settings.maximumLagOnFailover)
    let known = objections(
        to: answer, required.map { .everything(to: $0) } ?? lag, clusterTimeline: leastTimeline(seen, view))
    // It would not claim the key.
    if known.isEmpty, !seen.settings.isStandbyCluster, case .status(let peer)? = answer,
        view.history.left(peer.timeline, before: peer.replayed) != nil
    {
        return [.timelineBehind(peer.timeline, cluster: view.timeline)]
    }
    return known
}

private func leastTimeline(_ seen: Observation, _ view: ClusterView) -> TimelineID? {
    let own = seen.local.isPrimary ? seen.local.facts?.timeline : nil
    let cluster = seen.checksTimeline ? view.timeline : nil
    return [own, cluster].compactMap(\.self).max()
}

/// The verdict over one answer (ha-loop.md §11.4); `clusterTimeline` is nil where timelines do not matter.
public func judge(_ answer: PeerAnswer?, _ bar: Bar, clusterTimeline: TimelineID?) -> CandidateVerdict.Verdict {
    objections(to: answer, bar, clusterTimeline: clusterTimeline).first ?? .good
}

/// All that one answer has against it.
func objections(to answer: PeerAnswer?, _ bar: Bar, clusterTimeline: TimelineID?) -> [CandidateVerdict.Verdict] {
    guard case .status(let peer)? = answer else {
        if case .unreachable(let reason)? = answer { return [.unreachable(reason)] }
        return [.unreachable("no answer")]
    }
    var found: [CandidateVerdict.Verdict] = []
    if peer.tags.nofailover { found.append(.nofailover) }
    if peer.watchdogFailed { found.append(.watchdogFailed) }
    if let what = peer.busy { found.append(.busy(what)) }
    switch bar {
    case .anything: break
    case .lag(let end, let maximum):
        if end - peer.position > maximum {
            found.append(.lagging(position: peer.position, behind: end, allowed: maximum))
        }
    case .everything(let end):
        if peer.position < end { found.append(.missing(position: peer.position, required: end)) }
    }
    if let clusterTimeline, peer.timeline < clusterTimeline {
        found.append(.timelineBehind(peer.timeline, cluster: clusterTimeline))
    }
    return found
}
