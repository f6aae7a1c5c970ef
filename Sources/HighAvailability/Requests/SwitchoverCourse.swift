public import ClusterModel

/// How an immediate request goes on, by the views since it was written (rest-api.md §12.5).
///
/// Patroni takes it for done as soon as another holds the leader key. That one may never be promoted: `pre_promote`
/// says no, recovery does not end. Of a member of ours it is known when it is a primary, and nothing is said before.
public struct SwitchoverCourse: Sendable, Hashable {
    public let request: SwitchoverRequest
    /// Who led when it was asked for.
    public let formerLeader: String?
    /// Who has had the key since, last.
    public private(set) var taken: String?

    public init(_ request: SwitchoverRequest, formerLeader: String?) {
        self.request = request
        self.formerLeader = formerLeader
    }

    /// What to tell whoever asked; nil while it is under way. Throws where nothing came of it. `leads`: who of the node
    /// that looks is known to lead, which its own member key tells later.
    public mutating func outcome(_ view: ClusterView, leads name: String? = nil) throws(SwitchoverRequest.Refusal)
        -> String?
    {
        let done = request.leader != nil || request.kind == .switchover ? "switched" : "failed"
        if let now = view.leaderName, now != formerLeader {
            taken = now
            guard now == name || view.hasLeaderAtWork else { return nil }
            if request.candidate == nil || request.candidate == now { return "Successfully \(done) over to \"\(now)\"" }
            let title = done == "switched" ? "Switched" : "Failed"
            return "\(title) over to \"\(now)\" instead of \"\(request.candidate ?? "")\""
        }
        let failed = "\(request.leader != nil ? "Switchover" : request.kind.title) failed"
        if let taken {
            // Nobody leads yet that could be told of.
            if view.leaderName == nil { return nil }
            throw .init(.unavailable, "\(failed): \(Self.unpromoted(taken))")
        }
        if view.failover == nil {
            throw .init(.unavailable, failed + (view.failoverFailure.map { ": \($0)" } ?? ""))
        }
        return nil
    }

    /// What is known where it has no end in time; nil for nothing.
    public var state: String? { taken.map { "\($0) has the leader key and is not promoted yet" } }

    private static func unpromoted(_ name: String) -> String { "\(name) took the leader key and was not promoted" }
}

extension PeerStatus {
    /// Why a promotion was refused here less than a ttl ago, by its own word.
    public var refusedPromotion: String? {
        standsBack.first { $0.code == "promotion-refused" }?.facts["why"]?.string
    }
}

extension ClusterView {
    /// The leader does what it has the key for, as its member key says. Of Patroni's, which tell it late, and of one
    /// without a key the leader key is all that counts.
    fileprivate var hasLeaderAtWork: Bool {
        guard let leader = leaderMember, leader.ownVersion != nil else { return true }
        return leader.role == .primary || leader.role == .standbyLeader
    }
}
