public import ClusterModel

/// What was found out about one candidate.
public struct CandidateVerdict: Sendable, Hashable {
    public enum Verdict: Sendable, Hashable {
        case good
        case unreachable(String)
        case nofailover
        case watchdogFailed
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
        case .lagging: "lagging"
        case .missing: "missing"
        case .timelineBehind: "timeline-behind"
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
        case .lagging(let position, let behind, let allowed):
            "\(name) at \(position) is \(behind - position) bytes behind, allowed are \(allowed)"
        case .missing(let position, let required): "\(name) at \(position) has not received \(required)"
        case .timelineBehind(let timeline, let cluster): "\(name) is on timeline \(timeline), the cluster on \(cluster)"
        }
    }
}
