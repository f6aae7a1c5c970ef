import ClusterModel

extension Decision: CustomStringConvertible {
    /// One line: what is done, and why.
    public var description: String {
        let why = reasons.map { "\($0)" }.joined(separator: "; ")
        return why.isEmpty ? action.summary : "\(action.summary): \(why)"
    }

    /// What makes a decision news: not its facts, of which some differ each time.
    public struct Gist: Sendable, Hashable {
        var action: String
        var codes: [String]
    }

    public var gist: Gist { Gist(action: action.summary, codes: reasons.map(\.code)) }

    /// What only an operator can do, in a sentence; nil where nothing waits for one.
    public var needsOperator: String? {
        // What is known more closely than that a start has failed comes behind it.
        guard case .wait = action else { return nil }
        return reasons.reversed().lazy.compactMap(\.needsOperator).first
    }
}

extension Action {
    /// What is done, in few words. "no action" is what scripts look for in quiet cycles.
    public var summary: String {
        switch self {
        case .wait: "no action"
        case .ask(.renewal): "renewing the leader lease"
        case .ask(.peers(let members)):
            "asking \(members.isEmpty ? "nobody" : members.map(\.name).joined(separator: ", "))"
        case .ask(.renewalAndPeers(let members)):
            "renewing the leader lease, and asking \(members.map(\.name).joined(separator: ", "))"
        case .ask(.divergence(let source)): "comparing timelines with \(source.name)"
        case .ask(.failsafe(let members)):
            "asking \(members.isEmpty ? "nobody" : members.keys.sorted().joined(separator: ", ")) to let us lead"
        case .acquireLeader: "trying to acquire the leader key"
        case .releaseLeader: "releasing the leader key"
        case .initializeCluster: "trying to initialize a new cluster"
        case .write(.systemIdentifier(let value)): "writing the system identifier \(value) to /initialize"
        case .write(.configuration): "restoring /config"
        case .write(.clearFailover): "clearing the request in /failover"
        case .write(.requestFailover(let request)): "asking for a \(request.action)"
        case .write(.rollingRestart): "writing /rolling_restart"
        case .write(.sync): "writing /sync"
        case .carryOut(let plan): plan.kind.name
        case .breakOff(let plan): "breaking off what runs: \(plan.kind.name)"
        case .exit: "ending the daemon"
        }
    }
}
