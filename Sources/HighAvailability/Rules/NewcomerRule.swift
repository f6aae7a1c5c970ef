import ClusterModel

/// Whom a daemon waits for that has just begun in a cluster that nobody leads. Daemons that end together begin
/// together, after a power cut or a value in the store that all of them refused: who is a moment earlier than the
/// others finds nobody to compare with, and would leave behind what a standby beside it has received (S3). Stricter
/// than Patroni.
///
/// Nil where it knew a leader, whose members it asks; where it has waited long enough; where nobody is missing; and
/// where it cannot lack anything: all that was ever written was handed over, or commits wait for who `/sync` names.
func missingNewcomers(
    _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ memory: Memory
) -> NewcomerReason? {
    guard memory.lastLeader == nil, let since = memory.leaderlessSince, !seen.eligibility(view).isSynchronous else {
        return nil
    }
    if view.status.handedOverBy != nil, facts.position >= view.status.optime { return nil }
    let end = since + LeaseArithmetic.newcomerPatience(loopWait: seen.settings.timings.loopWait)
    guard seen.now < end else { return nil }
    let silent = electorate(seen, view, memory, excluding: nil).filter { member in
        guard case .status? = seen.peers?[member.name] else { return true }
        return false
    }
    // The last leader kept a slot for each of its members, whose keys may have expired since.
    let known = Set((view.members.map(\.name) + [seen.me.name]).map { SlotName.of(member: $0) })
    let names = silent.map(\.name) + view.status.retainSlots.filter { !known.contains($0) }.sorted()
    return names.isEmpty ? nil : .othersMayBegin(names, wait: end - seen.now)
}

/// Who may accept writes although the store names no leader, and for how much longer; nil where nobody does.
///
/// A store without `/initialize` where a standby has data has lost its memory, or its keys were removed: who led does
/// so still, by its lease, and a daemon that has just begun knows of none. (One that knew the store is held back by
/// its client.) And whoever makes a cluster has a server that accepts writes before it has the key; the guardian ends
/// that within a ttl of the publication, if its daemon dies there (S1).
func unseenPrimary(_ seen: Observation, _ memory: Memory) -> NewcomerReason? {
    func left(_ since: BootInstant?) -> Duration? {
        guard let end = since.map({ $0 + seen.settings.timings.ttl }), seen.now < end else { return nil }
        return end - seen.now
    }
    if let wait = left(memory.storeForgotSince) { return .storeKnowsNoCluster(wait: wait) }
    return left(memory.unledSince).map { .nobodyHasLed(wait: $0) }
}

extension ClusterView {
    /// The identifier of a cluster stands there, and nothing that a leader has written since. So it is, too, where a
    /// leader had to write the identifier anew and has died before its position changed: a daemon that has begun since
    /// waits a ttl for nobody then, which is what S1 costs where the store cannot tell the two apart.
    var isUnled: Bool {
        guard case .value = initialize else { return false }
        guard let written = status.revision, let published = initializeRevision else { return status.optime == .zero }
        return written < published
    }
}

extension LeaseArithmetic {
    /// How long: until each has come round once, and a crashed server has replayed a little.
    static func newcomerPatience(loopWait: Duration) -> Duration { max(loopWait, .seconds(3)) }
}

extension Memory {
    /// What of a time without a leader `unseenPrimary` goes by.
    mutating func noteUnled(_ view: ClusterView, at now: BootInstant) {
        if view.leaderName != nil {
            storeForgotSince = nil
            unledSince = nil
        } else if lastLeader == nil {
            if view.initialize == .absent { storeForgotSince = storeForgotSince ?? now }
            // Another publication is another cluster's, or the same one's whose maker has begun anew: its server runs
            // for a ttl of its own.
            if view.initializeRevision != unledPublication { unledSince = nil }
            unledPublication = view.initializeRevision
            unledSince = view.isUnled ? unledSince ?? now : nil
        }
    }
}

/// What a daemon waits for that has known no leader.
public enum NewcomerReason: Sendable, Hashable {
    /// The store knows no cluster, and this node has one, or knows that there was one.
    case storeKnowsNoCluster(wait: Duration)
    /// The store knows a cluster that nobody has led, as far as this daemon can tell.
    case nobodyHasLed(wait: Duration)
    /// This daemon has just begun, and these may be about to.
    case othersMayBegin([String], wait: Duration)

    var explanation: Explanation {
        switch self {
        case .storeKnowsNoCluster(let wait):
            Explanation(
                "store-knows-no-cluster", ["remaining_seconds": .fact(wait)],
                "the store has forgotten the cluster: somebody may lead by a lease of before, "
                    + "\(seconds(wait)) are waited"
            )
        case .nobodyHasLed(let wait):
            Explanation(
                "nobody-has-led", ["remaining_seconds": .fact(wait)],
                "nobody has led the new cluster yet, and the server of whoever has made it may run: "
                    + "\(seconds(wait)) are waited")
        case .othersMayBegin(let names, let wait):
            Explanation(
                "others-may-begin",
                ["members": .array(names.map { .string($0) }), "remaining_seconds": .fact(wait)],
                "this daemon has just begun and nobody leads: \(names.joined(separator: ", ")) may be about to, and "
                    + "have more; \(seconds(wait)) are waited")
        }
    }
}
