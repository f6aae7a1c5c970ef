public import ClusterModel

/// The member that a standby streams from (ha-loop.md §20): the one that its tag names, else the leader; nil for
/// nobody.
public func nodeToFollow(_ me: NodeIdentity, _ view: ClusterView) -> Member? {
    if me.tags.nostream { return nil }
    if let member = Cascade(me.name, me.tags, view).source { return member }
    guard let leader = view.leaderMember, leader.name != me.name else { return nil }
    return leader
}

/// Whom a standby is to follow.
enum FollowTarget: Sendable, Hashable {
    case nobody
    /// A member that has not published its address.
    case withoutAddress(String)
    case upstream(Upstream)

    var upstream: Upstream? {
        switch self {
        case .nobody, .withoutAddress: nil
        case .upstream(let upstream): upstream
        }
    }
}

/// The same, elsewhere too: the leader of a standby cluster, and while nobody leads every node of it, follows the
/// primary of another cluster. In pause nobody takes to that without the key.
func followTarget(_ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration) -> FollowTarget {
    if let elsewhere = settings.standbyCluster, !me.tags.nostream {
        if view.leaderName == me.name { return .upstream(elsewhere.upstream(leads: true)) }
        if view.isUnlocked, !settings.isPaused { return .upstream(elsewhere.upstream(leads: false)) }
    }
    guard let member = nodeToFollow(me, view) else { return .nobody }
    return Upstream(member).map { .upstream($0) } ?? .withoutAddress(member.name)
}

/// The server that a standby streams from which was just made out of `source`: where nobody else is named that has an
/// address, `source` itself.
func upstream(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, madeFrom source: Upstream
) -> Upstream? {
    me.tags.nostream ? nil : followTarget(me, view, settings).upstream ?? source
}

/// Whom a data directory is compared with, and rewound from.
struct Origin: Sendable, Hashable {
    var upstream: Upstream
    /// Its control file may still be that of the timeline before.
    var isCheckpointPending = false
}

/// The leader; in a standby cluster, whose leader writes nothing itself, the primary elsewhere. Nil where there is
/// nobody who could be asked, this node itself included.
func origin(_ seen: Observation, _ view: ClusterView) -> Origin? {
    if let elsewhere = seen.settings.standbyCluster {
        let source = elsewhere.upstream(leads: view.leaderName == seen.me.name)
        return source.hasAddress ? Origin(upstream: source) : nil
    }
    guard let leader = view.leaderMember, leader.name != seen.me.name, let source = Upstream(leader) else { return nil }
    return Origin(upstream: source, isCheckpointPending: leader.checkpointAfterPromote == false)
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
