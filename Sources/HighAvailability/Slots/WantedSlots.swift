import ClusterModel

/// A slot that this node is to have (dcs.md §3.1, postgresql.md §22.2).
struct WantedSlot: Sendable, Hashable {
    var kind: PermanentSlot.Kind
    /// Whether somebody is to read it here; nil where that is not known: it is kept, and not moved.
    var hasReader: Bool?
    /// How far its reader is, elsewhere.
    var position: WALPosition?
}

/// The slots that this node is to have, and what cannot be had.
struct WantedSlots: Sendable, Hashable {
    private(set) var slots: [String: WantedSlot] = [:]
    private(set) var reasons: [SlotReason] = []

    init(
        _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ ledger: SlotLedger,
        at now: BootInstant
    ) {
        addMembers(me, view, settings)
        addRetained(me, view, settings, ledger, at: now)
        addPermanent(me, view, settings)
    }

    /// The members for which this node keeps a slot. Without `member_slots_ttl` only those that stream from it.
    private mutating func addMembers(_ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration) {
        guard settings.useSlots else { return }
        let isLedByOldPeer = isLedByOldPeer(view)
        for member in view.members where member.name != me.name {
            let tags = member.tags
            if tags.nostream { continue }
            let isRead = streamsFromMe(member, me, view)
            if me.tags.nofailover {
                if tags.replicatefrom != me.name { continue }
            } else if settings.memberSlotsTTL <= .zero, !isRead {
                continue
            }
            let name = SlotName.of(member: member.name)
            var position = view.status.slots[name]
            if isLedByOldPeer || tags.replicatefrom != nil {
                // Its own slot on the leader is not moved by its receiver, which is elsewhere.
                position = [position, member.position].compactMap { $0 }.max()
            }
            if let other = slots[name] {
                // Neither may lose WAL by what the other has.
                slots[name]?.hasReader = isRead || other.hasReader == true
                slots[name]?.position = nil
            } else {
                slots[name] = WantedSlot(kind: .physical(cluster: nil), hasReader: isRead, position: position)
            }
        }
        addSharing(view)
    }

    /// Tells of members that no slot tells apart.
    private mutating func addSharing(_ view: ClusterView) {
        // Names that are slots' names differ as they stand.
        if view.members.allSatisfy({ PermanentSlot.isName($0.name) }) { return }
        for (name, sharing) in Dictionary(grouping: view.members, by: { SlotName.of(member: $0.name) })
            .sorted(by: { $0.key < $1.key }) where sharing.count > 1
        {
            reasons.append(.nameShared(name, members: sharing.map(\.name).sorted()))
        }
    }

    /// Patroni before 4.0.0 publishes no positions of members' slots.
    private func isLedByOldPeer(_ view: ClusterView) -> Bool {
        guard let leader = view.leaderMember, leader.ownVersion == nil,
            let version = leader.version.flatMap({ SoftwareVersion($0) })
        else { return false }
        return version.parts.lexicographicallyPrecedes([4, 0, 0])
    }

    /// The slots of members that went away: the leader goes by its own count, the others by what it publishes.
    private mutating func addRetained(
        _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ ledger: SlotLedger,
        at now: BootInstant
    ) {
        guard settings.useSlots, !me.tags.nofailover, settings.memberSlotsTTL > .zero else { return }
        let own = SlotName.of(member: me.name)
        let isLeader = view.leaderName == me.name
        for name in view.status.retainSlots where name != own && slots[name] == nil && PermanentSlot.isName(name) {
            if isLeader && ledger.hasExpired(name, settings.memberSlotsTTL, at: now) { continue }
            slots[name] = WantedSlot(kind: .physical(cluster: nil), hasReader: nil, position: nil)
        }
    }

    private mutating func addPermanent(_ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration) {
        guard settings.useSlots, !me.tags.nofailover else { return }
        reasons += settings.permanentSlotFaults.map { .invalid($0.name, why: $0.reason) }
        let onlyPhysical =
            settings.isStandbyCluster || view.leaderName != me.name && slotPath(me, view) == nil
        let own = SlotName.of(member: me.name)
        for slot in settings.permanentSlots {
            let position = view.status.slots[slot.name]
            switch slot.kind {
            case .physical(let cluster):
                if slot.name == own { continue }
                if onlyPhysical, let cluster, (cluster == "standby") != settings.isStandbyCluster { continue }
                // A member's slot is kept as that; one that nobody has any more is kept as permanent.
                if let present = slots[slot.name], present.hasReader != nil { continue }
                let isRead = view.leaderName == me.name
                slots[slot.name] = WantedSlot(kind: slot.kind, hasReader: isRead, position: position)
            case .logical:
                if onlyPhysical { continue }
                if slot.name == own || slots[slot.name] != nil {
                    reasons.append(.namedAsMember(slot.name))
                } else {
                    slots[slot.name] = WantedSlot(kind: slot.kind, hasReader: nil, position: position)
                }
            }
        }
    }
}

/// Whether `member` streams from this node.
func streamsFromMe(_ member: Member, _ me: NodeIdentity, _ view: ClusterView) -> Bool {
    (Cascade(member, view).source?.name ?? view.leaderName) == me.name
}

/// The slot on the leader through which WAL comes to this node; nil where none does (dcs.md §3.1).
func slotPath(_ me: NodeIdentity, _ view: ClusterView) -> String? {
    if me.tags.nostream { return nil }
    var last = me.name
    var source = Cascade(me.name, me.tags, view).source
    while let member = source, member.name != view.leaderName {
        if member.tags.nostream { return nil }
        last = member.name
        source = Cascade(member, view).source
    }
    return SlotName.of(member: last)
}
