public import ClusterModel

/// The member that a standby streams from (ha-loop.md §20): the one that its tag names, else the leader; nil for
/// nobody.
public func nodeToFollow(_ me: NodeIdentity, _ view: ClusterView) -> Member? {
    if me.tags.nostream { return nil }
    if let member = Cascade(me.name, me.tags, view).source { return member }
    guard let leader = view.leaderMember, leader.name != me.name else { return nil }
    return leader
}

/// The server that a standby streams from which was just made out of `source`: where nobody else is named that has an
/// address, `source` itself.
func upstream(_ me: NodeIdentity, _ view: ClusterView, madeFrom source: Upstream) -> Upstream? {
    me.tags.nostream ? nil : nodeToFollow(me, view).flatMap { Upstream($0) } ?? source
}

/// The place of a standby behind another one (`replicatefrom`). Whoever is in a circle streams from the leader: nobody
/// in it would ever receive anything. Everybody sees the same circle, so that slots go by it as well.
struct Cascade: Sendable, Hashable {
    /// The member that the node streams from in place of the leader; nil where it is the leader's turn.
    private(set) var source: Member?
    /// The members by way of which the tag leads back to the node; empty where it does not.
    private(set) var circle: [String] = []

    init(_ name: String, _ tags: Tags, _ view: ClusterView) {
        guard name != view.leaderName, let first = tags.replicatefrom, first != name, let member = view.member(first)
        else { return }
        var passed: [String] = []
        var next = view.member(first)
        // A circle of others further on is theirs to leave.
        while let here = next, here.name != view.leaderName, !passed.contains(here.name) {
            if here.name == name {
                circle = passed
                return
            }
            passed.append(here.name)
            next = here.tags.replicatefrom.flatMap { view.member($0) }
        }
        source = member
    }

    init(_ member: Member, _ view: ClusterView) { self.init(member.name, member.tags, view) }
}
