public import ClusterModel

/// The physical slots that this node keeps for the other members (dcs.md §3.1, postgresql.md §22): on the leader for
/// those that stream from it, on a standby for all, moved forward with them, so that they can stream from it after a
/// failover.
///
/// Permanent, retained and logical slots are a later issue's: slots of other names are left alone.
public func slotActions(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus
) -> [SlotAction] {
    guard settings.useSlots, !settings.isPaused, let facts = local.facts, local.readiness == .accepting else {
        return []
    }
    let existing = Dictionary(
        facts.slots.filter { !$0.isLogical }.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var actions: [SlotAction] = []
    for member in view.members where member.name != me.name && !member.tags.nostream {
        if me.tags.nofailover && member.tags.replicatefrom != me.name { continue }
        let name = SlotName.of(member: member.name)
        guard let slot = existing[name] else {
            actions.append(.create(name))
            continue
        }
        if streamsFromMe(member, me, view) || slot.isActive { continue }
        // Nobody reads this one here: it follows the member's own position, as the leader publishes it.
        guard facts.inRecovery, let passed = view.status.slots[name], let at = slot.restartPosition else { continue }
        let target = min(passed, facts.replayedPosition)
        if at < target { actions.append(.advance(name, to: target)) }
    }
    return actions
}

private func streamsFromMe(_ member: Member, _ me: NodeIdentity, _ view: ClusterView) -> Bool {
    if let source = member.tags.replicatefrom, view.member(source) != nil { return source == me.name }
    return view.leaderName == me.name
}

/// The slots to make right before a promotion, so that no receiver has to come twice.
public func slotsBeforePromotion(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus
) -> [SlotAction] {
    slotActions(me, view, settings, local).filter { action in
        if case .create = action { true } else { false }
    }
}

/// `/status`.slots: where each slot on the leader stands, and the leader's own name at its position (dcs.md §2.5).
public func publishedSlots(_ me: NodeIdentity, _ facts: PostgreSQLStatus.Facts) -> [String: WALPosition] {
    var slots = [SlotName.of(member: me.name): facts.position]
    for slot in facts.slots {
        if let position = slot.restartPosition { slots[slot.name] = position }
    }
    return slots
}

/// `/status`.retain_slots: the slots of the members that are there, the leader's own included.
public func retainedSlots(_ me: NodeIdentity, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts) -> [String] {
    let members = view.members.filter { !$0.tags.nostream }.map { SlotName.of(member: $0.name) }
    let present = Set(facts.slots.map(\.name)).union([SlotName.of(member: me.name)])
    return members.filter(present.contains).sorted()
}
