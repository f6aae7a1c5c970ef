public import ClusterModel

/// The physical slots that this node keeps for the other members (dcs.md §3.1, postgresql.md §22): on the leader for
/// those that stream from it, on a standby for all, moved forward with them, so that they can stream from it after a
/// failover. The slot of a member that went away is kept for `member_slots_ttl`, here and there, and dropped then (S8).
///
/// Permanent slots and logical ones are a later issue's: what `slots` or `ignore_slots` names is left alone.
public func slotActions(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus,
    _ ledger: SlotLedger = SlotLedger(), at now: BootInstant = BootInstant(nanoseconds: 0)
) -> [SlotAction] {
    guard !settings.isPaused, let facts = local.facts, local.readiness == .accepting else { return [] }
    let existing = Dictionary(
        facts.slots.filter { !$0.isLogical }.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var actions: [SlotAction] = []
    var wanted: Set<String> = []
    for member in slotMembers(me, view, settings) {
        let name = SlotName.of(member: member.name)
        wanted.insert(name)
        guard let slot = existing[name] else {
            actions.append(.create(name))
            continue
        }
        if streamsFromMe(member, me, view) || slot.isActive { continue }
        if slot.hasXmin {
            // Nobody moves it here, and rows are kept for it; it is made anew without.
            actions.append(.drop(name))
            continue
        }
        // Nobody reads this one here: it follows the member's own position, as the leader publishes it.
        guard facts.inRecovery, let passed = view.status.slots[name], let at = slot.restartPosition else { continue }
        let target = min(passed, facts.replayedPosition)
        if at < target { actions.append(.advance(name, to: target)) }
    }
    for name in retainedNames(me, view, settings, ledger, at: now) where wanted.insert(name).inserted {
        if existing[name] == nil { actions.append(.create(name)) }
    }
    if !view.isUnlocked {
        let grace = ledger.grace(settings, isLeader: view.leaderName == me.name)
        actions += existing.values.filter { slot in
            !slot.isActive && !wanted.contains(slot.name) && !settings.isLeftAlone(slot: slot.name)
                && ledger.hasExpired(slot.name, grace, at: now)
        }.map(\.name).sorted().map { .drop($0) }
    }
    return actions
}

/// The members for which this node keeps a slot. Without `member_slots_ttl` only those that stream from it.
private func slotMembers(_ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration) -> [Member] {
    guard settings.useSlots else { return [] }
    return view.members.filter { member in
        if member.name == me.name || member.tags.nostream { return false }
        if me.tags.nofailover { return member.tags.replicatefrom == me.name }
        return settings.memberSlotsTTL > .zero || streamsFromMe(member, me, view)
    }
}

/// The slots of members that went away: the leader goes by its own count, the others by what it publishes.
private func retainedNames(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ ledger: SlotLedger,
    at now: BootInstant
) -> [String] {
    guard settings.useSlots, !me.tags.nofailover, settings.memberSlotsTTL > .zero else { return [] }
    let own = SlotName.of(member: me.name)
    let isLeader = view.leaderName == me.name
    return view.status.retainSlots.filter { name in
        name != own && (!isLeader || !ledger.hasExpired(name, settings.memberSlotsTTL, at: now))
    }.sorted()
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

/// `/status`.slots: where each slot on the leader stands, and the leader's own name at its position (dcs.md §2.5). With
/// `member_slots_ttl` of zero nobody moves slots by it.
public func publishedSlots(
    _ me: NodeIdentity, _ facts: PostgreSQLStatus.Facts, _ settings: DynamicConfiguration = DynamicConfiguration()
) -> [String: WALPosition] {
    guard settings.memberSlotsTTL > .zero else { return [:] }
    var slots = [SlotName.of(member: me.name): facts.position]
    for slot in facts.slots {
        if let position = slot.restartPosition { slots[slot.name] = position }
    }
    return slots
}

/// `/status`.retain_slots: the slots of the members that are there or went away less than `member_slots_ttl` ago, the
/// leader's own included.
public func retainedSlots(
    _ me: NodeIdentity, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts,
    _ settings: DynamicConfiguration = DynamicConfiguration(), _ ledger: SlotLedger = SlotLedger(),
    at now: BootInstant = BootInstant(nanoseconds: 0)
) -> [String] {
    guard settings.memberSlotsTTL > .zero else { return [] }
    let own = SlotName.of(member: me.name)
    let members = view.members.filter { !$0.tags.nostream }.map { SlotName.of(member: $0.name) }
    let gone = ledger.members.filter { !ledger.hasExpired($0, settings.memberSlotsTTL, at: now) }
    let present = Set(facts.slots.map(\.name)).union([own])
    return Set(members).union(gone).intersection(present).sorted()
}
