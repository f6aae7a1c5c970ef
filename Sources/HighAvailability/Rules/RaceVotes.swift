import ClusterModel

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

/// Whether a restored copy waits for hands: nobody has led for a ttl, and it does not by what `/sync` says of it.
func isLeftUnproven(_ seen: Observation, _ view: ClusterView, _ memory: Memory, because reasons: [Reason]) -> Bool {
    guard seen.local.isUnproven, seen.eligibility(view).isSynchronous, let since = memory.leaderlessSince,
        seen.now - since >= seen.settings.timings.ttl
    else { return false }
    return reasons.contains { if case .race = $0 { true } else { false } }
}

extension RaceReason {
    var needsOperator: String? {
        switch self {
        case .unprovenWithoutLeader:
            "nobody leads, and a command has restored the data directory here: it may lack acknowledged commits, "
                + "so that it may not lead by /sync, and has no vote. Start the daemon of who has them: the former "
                + "leader, or another member that /sync names. Where their data directories are gone, what is lacking "
                + "is lost: have the member lead that has the most WAL, by a manual failover "
                + "(POST /failover {\"candidate\": ...})"
        case .iAmHealthiest, .peerIsPrimary, .peerIsAhead, .peerHasPriority, .tooFewVotes, .unprovenCopy,
            .laggingBehindStatus, .timelineBehind, .timelineUnknown, .parted, .runningPrimaryReclaims:
            nil
        }
    }
}

extension Explanation {
    static let unprovenCopy = Explanation(
        "unproven-copy",
        "/sync names me for what I had before my data directory was restored: it may lack acknowledged commits")
    static let unprovenWithoutLeader = Explanation(
        "unproven-without-leader",
        "nobody has led for a ttl, and what was acknowledged may be lacking in my restored data directory")
}
