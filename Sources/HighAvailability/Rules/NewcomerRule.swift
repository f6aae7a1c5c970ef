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
) -> RaceReason? {
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

extension LeaseArithmetic {
    /// How long: until each has come round once, and a crashed server has replayed a little.
    static func newcomerPatience(loopWait: Duration) -> Duration { max(loopWait, .seconds(3)) }
}
