public import ClusterModel

// What `/sync` says of a member, in a race. It speaks of the data directory in which that has acknowledged commits:
// where a command of the operator's has brought another one, the member has no voice until that is known to have
// everything (S2).

extension RaceRules {
    /// Whether a voter has nothing that may have been acknowledged and whoever races lacks (ha-loop.md §11.2.7). What
    /// one that has parted has beyond the end of its timeline was acknowledged by nobody since.
    func hasVote(_ name: String, _ peer: PeerStatus, for mine: Standing) -> Bool {
        guard let quorum, quorum.counts(name), peer.position > .zero, !peer.isUnproven else { return false }
        // There commits may have been acknowledged that are not here, however far this is.
        if peer.timeline > mine.timeline { return false }
        if isPassed(name, peer, by: mine) { return true }
        let left = knowsTimeline(name) ? history.left(peer.timeline, before: peer.replayed) : nil
        return min(peer.position, left ?? peer.position) <= mine.position
    }
}

/// Whom the leader of `/sync` is, needs no vote, unless the cluster has gone on without it. A restored copy has neither
/// that right nor the one of a voter: without votes of others it does not win.
func lackOfVotes(_ mine: Standing, _ others: Int, _ rules: RaceRules) -> RaceReason? {
    let isUnproven = mine.isUnproven && rules.isSynchronous
    guard rules.quorum != nil || isUnproven else { return nil }
    let isCurrent = mine.timeline >= rules.history.lines.last.map { $0.timeline &+ 1 } ?? 0
    // It has all that was ever acknowledged, whoever has it too.
    if isCurrent, let end = rules.handedOver, mine.position >= end { return nil }
    guard let quorum = rules.quorum else { return .unprovenCopy }
    if isCurrent, !isUnproven, quorum.needsNone(mine.name) { return nil }
    let votes = isUnproven ? others - 1 : quorum.votes(of: mine.name, others: others)
    return votes < quorum.needed ? .tooFewVotes(votes, needed: quorum.needed) : nil
}

/// Whether a restored copy has everything that was acknowledged, so that its mark may go: what was, before the leader
/// told the end of its WAL, stands in the copy; and what is acknowledged later by this member's word does, too. What
/// comes from another standby proves nothing, nor what is of a timeline that the leader has left.
public func isCopyProven(_ me: NodeIdentity, _ view: ClusterView, _ local: PostgreSQLStatus) -> Bool {
    guard local.isUnproven, local.unfinished == nil, let facts = local.facts, let leader = view.leaderMember else {
        return false
    }
    // Who leads is what others are measured by.
    if leader.name == me.name { return !facts.inRecovery }
    guard facts.inRecovery, let receiver = facts.receiver, receiver.isStreaming, receiver.latestEnd > .zero,
        let upstream = Upstream(leader), receiver.host == upstream.address.host,
        receiver.port == upstream.address.port, leader.role == .primary, leader.timeline == facts.timeline
    else { return false }
    return facts.receivedPosition >= max(receiver.latestEnd, view.status.optime)
}
