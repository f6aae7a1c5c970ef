public import ClusterModel

/// What is to be done to the slots of this node, and why.
public struct SlotPlan: Sendable, Hashable {
    public var actions: [SlotAction] = []
    /// Logical slots that the leader has and this standby lacks: their copy takes a restart.
    public var copies: [PermanentSlot] = []
    /// What is told of them.
    public var reasons: [SlotReason] = []

    public init() {}

    /// The logical slots whose readers would lose changes if this standby were promoted now: the leader has them, and
    /// here they are not, or not known to be safe.
    public var unready: [String] {
        Set(
            reasons.flatMap { reason -> [String] in
                if case .mustBeCopied(let names) = reason { return names }
                if case .notReady(let names) = reason { return names }
                return []
            }
        ).sorted()
    }

    /// Where the slots could not be read: to make one that is there does nothing, and everything else rests on what
    /// may not be so any more.
    fileprivate var onlyMaking: SlotPlan {
        var plan = SlotPlan()
        plan.actions = actions.filter { if case .create = $0 { true } else { false } }
        return plan
    }
}

/// The slots that this node keeps (dcs.md §3.1, postgresql.md §22): for the other members, on the leader for those that
/// stream from it, on a standby for all, moved forward with them, so that they can stream from it after a failover; and
/// the permanent ones of the configuration, logical ones too, which a standby has as copies of the leader's.
///
/// The slot of a member that went away is kept for `member_slots_ttl`, here and there, and dropped then (S8). While the
/// cluster is paused nothing is dropped. What `ignore_slots` names, and what PostgreSQL keeps for a failover itself
/// (since 17), is left alone.
public func slotRule(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus,
    _ ledger: SlotLedger = SlotLedger(), at now: BootInstant = BootInstant(nanoseconds: 0)
) -> SlotPlan {
    guard let facts = local.facts, local.readiness == .accepting else { return SlotPlan() }
    let wanted = WantedSlots(me, view, settings, ledger, at: now)
    var work = SlotWork(me: me, view: view, settings: settings, facts: facts)
    work.plan.reasons = wanted.reasons
    let existing = Dictionary(facts.slots.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    for (name, slot) in wanted.slots.sorted(by: { $0.key < $1.key }) {
        if let present = existing[name] {
            // PostgreSQL synchronises none under a name that is taken, whoever wants that name.
            if work.isLeftUnsynced(present) {
                work.drop(present, .notSynced(name))
            } else {
                work.keep(present, as: slot)
            }
        } else {
            work.make(name, slot)
        }
    }
    let faulty = Set(settings.permanentSlotFaults.map(\.name))
    let grace = ledger.grace(settings, isLeader: view.leaderName == me.name, at: now)
    for slot in facts.slots.sorted(by: { $0.name < $1.name }) where wanted.slots[slot.name] == nil {
        if work.isLeftUnsynced(slot) {
            work.drop(slot, .notSynced(slot.name))
        } else if faulty.contains(slot.name) {
            // Somebody wants it, and what they want of it is not known.
            continue
        } else if !view.isUnlocked, !slot.isActive, ledger.hasExpired(slot.name, grace, at: now) {
            work.drop(slot, .nobodys(slot.name))
        }
    }
    work.verifyCopies(existing)
    work.plan.actions =
        work.plan.actions.filter { !$0.waitsForTransactions }
        + work.plan.actions.filter(\.waitsForTransactions)
    work.plan.reasons += slotsHoldingBackWAL(facts, settings)
    return facts.isDetailStale ? work.plan.onlyMaking : work.plan
}

/// The slots that hold back more WAL than `slot_wal_warning`, by default a tenth of the file system: told before the
/// disk is full.
public func slotsHoldingBackWAL(_ facts: PostgreSQLStatus.Facts, _ settings: DynamicConfiguration) -> [SlotReason] {
    guard let limit = settings.slotWALWarning ?? facts.walSpace.map({ $0 / 10 }) else { return [] }
    return facts.slots.filter { facts.heldBack(by: $0) > limit }.map(\.name).sorted().map {
        .holdsBackWAL($0, limit: limit)
    }
}

/// The actions alone.
public func slotActions(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus,
    _ ledger: SlotLedger = SlotLedger(), at now: BootInstant = BootInstant(nanoseconds: 0)
) -> [SlotAction] {
    slotRule(me, view, settings, local, ledger, at: now).actions
}

extension SlotAction {
    /// A logical slot begins when every transaction that runs now has ended: what came after it would wait as long.
    fileprivate var waitsForTransactions: Bool { if case .createLogical = self { true } else { false } }
}

/// The plan while it is made.
private struct SlotWork {
    let me: NodeIdentity
    let view: ClusterView
    let settings: DynamicConfiguration
    let facts: PostgreSQLStatus.Facts
    var plan = SlotPlan()

    private var isLeader: Bool { view.leaderName == me.name }

    /// A primary that was demoted has left it: PostgreSQL, since 17, makes its own on a standby (postgresql.md §22.3).
    /// Who is about to be promoted again goes on with it.
    func isLeftUnsynced(_ slot: PostgreSQLStatus.ReplicationSlot) -> Bool {
        slot.isFailover && !slot.isSynced && facts.inRecovery && !view.isUnlocked && !isLeader
    }

    mutating func make(_ name: String, _ slot: WantedSlot) {
        switch slot.kind {
        case .physical: plan.actions.append(.create(name))
        case .logical(let database, let plugin):
            if !facts.inRecovery {
                guard isLeader else { return }
                plan.reasons.append(.begins(name))
                plan.actions.append(.createLogical(name, database: database, plugin: plugin))
            } else if slot.position != nil, !isLeader, !view.isUnlocked {
                // Without a position the leader does not have it either.
                plan.copies.append(PermanentSlot(name: name, kind: slot.kind))
            }
        }
    }

    mutating func keep(_ present: PostgreSQLStatus.ReplicationSlot, as slot: WantedSlot) {
        if isOthers(present) { return }
        guard isOfKind(present, slot.kind) else { return drop(present, .otherDefinition(present.name)) }
        if present.isLost { return drop(present, .lost(present.name)) }
        switch slot.kind {
        case .physical: keepPhysical(present, slot)
        case .logical(let database, _): keepLogical(present, slot, database)
        }
    }

    private func isOfKind(_ present: PostgreSQLStatus.ReplicationSlot, _ kind: PermanentSlot.Kind) -> Bool {
        switch kind {
        case .physical: !present.isLogical
        case .logical(let database, let plugin):
            present.isLogical && present.database == database && present.plugin == plugin
        }
    }

    /// Somebody else says what becomes of it.
    private func isOthers(_ slot: PostgreSQLStatus.ReplicationSlot) -> Bool {
        settings.isIgnored(slot) || slot.isLogical && slot.isFailover && (slot.isSynced || !facts.inRecovery)
    }

    private mutating func keepPhysical(_ present: PostgreSQLStatus.ReplicationSlot, _ slot: WantedSlot) {
        guard slot.hasReader == false, !present.isActive else { return }
        // Nobody moves it here, and rows are kept for it; it is made anew without.
        if present.hasXmin { return view.isUnlocked ? () : drop(present, .heldBackRows(present.name)) }
        // It holds nothing back, and never will by itself.
        guard let at = present.restartPosition else { return drop(present, .lost(present.name)) }
        // Nobody reads this one here: it follows its reader's own position, as the leader publishes it.
        guard let passed = slot.position else { return }
        let target = min(passed, facts.inRecovery ? facts.replayedPosition : facts.writePosition)
        if at < target { plan.actions.append(.advance(present.name, to: target)) }
    }

    private mutating func keepLogical(
        _ present: PostgreSQLStatus.ReplicationSlot, _ slot: WantedSlot, _ database: String
    ) {
        guard facts.inRecovery, !present.isActive, !isLeader, let passed = slot.position else { return }
        let target = min(passed, facts.replayedPosition)
        guard let at = present.confirmedPosition, at < target else { return }
        plan.actions.append(.advanceLogical(present.name, database: database, to: target))
    }

    mutating func drop(_ slot: PostgreSQLStatus.ReplicationSlot, _ reason: SlotReason) {
        if settings.isPaused || isOthers(slot) { return }
        if slot.isActive { return plan.reasons.append(.inUse(slot.name)) }
        plan.reasons.append(reason)
        plan.actions.append(.drop(slot.name))
    }

    /// After a copy, and after each start: does the primary keep the catalog rows that the copies need?
    mutating func verifyCopies(_ existing: [String: PostgreSQLStatus.ReplicationSlot]) {
        if !plan.copies.isEmpty { plan.reasons.append(.mustBeCopied(plan.copies.map(\.name))) }
        guard facts.inRecovery, !isLeader else { return }
        let unready = existing.values.filter { $0.isLogical && !$0.isReady && !isOthers($0) }.map(\.name).sorted()
        guard !unready.isEmpty, let leader = view.leaderMember.flatMap({ Upstream($0) }), let path = slotPath(me, view)
        else { return }
        plan.reasons.append(.notReady(unready))
        plan.actions.append(.verifyLogical(unready, at: leader, through: path))
    }
}

/// The slots to make right before a promotion, so that no receiver has to come twice.
public func slotsBeforePromotion(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus
) -> [SlotAction] {
    slotActions(me, view, settings, local).filter { action in
        if case .create = action { true } else { false }
    }
}

/// `/status`.slots: where each slot on the leader stands, a logical one by what its reader has confirmed, and the
/// leader's own name at its position (dcs.md §2.5). With `member_slots_ttl` of zero only the permanent ones.
public func publishedSlots(
    _ me: NodeIdentity, _ facts: PostgreSQLStatus.Facts, _ settings: DynamicConfiguration = DynamicConfiguration()
) -> [String: WALPosition] {
    var slots = [SlotName.of(member: me.name): facts.position]
    for slot in facts.slots where !(slot.isFailover && slot.isSynced) {
        if let position = slot.confirmedPosition ?? slot.restartPosition { slots[slot.name] = position }
    }
    if settings.memberSlotsTTL > .zero { return slots }
    let permanent = Set(settings.permanentSlots.map(\.name))
    return slots.filter { permanent.contains($0.key) }
}

/// `/status`.retain_slots: the slots of the members that are there or went away less than `member_slots_ttl` ago, the
/// leader's own included; not those that are permanent anyway.
public func retainedSlots(
    _ me: NodeIdentity, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts,
    _ settings: DynamicConfiguration = DynamicConfiguration(), _ ledger: SlotLedger = SlotLedger(),
    at now: BootInstant = BootInstant(nanoseconds: 0)
) -> [String] {
    guard settings.memberSlotsTTL > .zero else { return [] }
    let own = SlotName.of(member: me.name)
    let members = view.members.filter { !$0.tags.nostream }.map { SlotName.of(member: $0.name) }
    let gone = ledger.members.filter { !ledger.hasExpired($0, settings.memberSlotsTTL, at: now) }
    let present = Set(facts.slots.filter { !$0.isLogical }.map(\.name)).union([own])
    let permanent = settings.permanentSlots.filter { !$0.isLogical }.map(\.name)
    return Set(members).union(gone).intersection(present).subtracting(permanent).sorted()
}
