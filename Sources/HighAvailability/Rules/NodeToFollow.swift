public import ClusterModel

/// The member that a standby streams from (ha-loop.md §20): the one that its tag names, else the leader; nil for
/// nobody.
public func nodeToFollow(_ me: NodeIdentity, _ view: ClusterView) -> Member? {
    if me.tags.nostream { return nil }
    if let name = me.tags.replicatefrom, name != me.name, let member = view.member(name) { return member }
    guard let leader = view.leaderMember, leader.name != me.name else { return nil }
    return leader
}
