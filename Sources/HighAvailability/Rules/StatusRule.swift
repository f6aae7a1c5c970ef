public import ClusterModel

/// `/status` as who leads is to keep it (dcs.md §2.5); nil where nothing is known of PostgreSQL. `othersBoundUntil` is
/// until when members may be bound by what this node has asked of them in failsafe mode.
public func keptStatus(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus,
    _ memory: Memory, othersBoundUntil: BootInstant? = nil, at now: BootInstant
) -> StatusRecord? {
    guard let facts = local.facts else { return nil }
    var status = view.status
    // Written in this tenure an earlier hand-over would count as one of it.
    status.handedOverBy = nil
    // Whoever keeps a slot keeps it by this word, also where the rest is not for this node to tell (S8).
    status.retainSlots = retainedSlots(me, view, facts, settings, memory.slots, at: now)
    if leadsForWantOfOthers(local, view, settings, memory) { return status }
    status.optime = facts.position
    status.slots = publishedSlots(me, facts, settings)
    status.failsafeTTL = promisedTTL(view.status.failsafeTTL, settings, boundUntil: othersBoundUntil, at: now)
    return status
}

/// For how long a member may be bound that has promised something and forgotten it: in the mode by the ttl that the
/// next question tells, and as long as a promise holds by no less than the one before. An edit that makes the ttl
/// shorter, or ends the mode, ends no promise.
private func promisedTTL(
    _ told: Duration?, _ settings: DynamicConfiguration, boundUntil: BootInstant?, at now: BootInstant
) -> Duration? {
    let bound = boundUntil.map { now < $0 } ?? false ? told : nil
    let asked = settings.failsafeMode ? min(settings.timings.ttl, FailsafePing.longestTTL) : nil
    return [asked, bound].compactMap(\.self).max()
}
