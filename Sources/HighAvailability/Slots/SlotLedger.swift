public import ClusterModel

/// Since when each slot of the local server has been nobody's: what `member_slots_ttl` is counted by (dcs.md
/// §3.1). A new leader, and a daemon that was started again, begin to count anew: a slot rather lives too long.
public struct SlotLedger: Sendable, Hashable {
    /// When each slot last had a member, a reader, was configured, or was seen for the first time; on a standby, once
    /// it is nobody's, when that was seen first: a daemon that was frozen knows of a moment's view only.
    private var lastUsed: [String: BootInstant] = [:]
    /// Those that the last look found to be nobody's.
    private var nobodys: Set<String> = []
    /// Those that are known to be members'.
    private(set) var members: Set<String> = []
    private var wasLeader = false
    /// When the store began another life, which knows of its members when they have said so again.
    private var beganAnew: BootInstant?

    public init() {}

    /// Takes in what is seen; before every look at the slots.
    public mutating func note(
        _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus,
        at now: BootInstant
    ) {
        guard let facts = local.facts, local.readiness == .accepting, !facts.isDetailStale else { return }
        let isLeader = view.leaderName == me.name
        // Who is not the leader takes the leader's word, again and again; who has just become it, once.
        if !isLeader || !wasLeader {
            for name in view.status.retainSlots { use(name, now) }
        }
        wasLeader = isLeader
        if settings.useSlots {
            for member in view.members where !member.tags.nostream { use(SlotName.of(member: member.name), now) }
        }
        // Who edits the configuration, and makes a slip there, takes nothing from a reader at once.
        for slot in settings.permanentSlots { lastUsed[slot.name] = now }
        let slots = facts.slots
        for slot in slots where slot.isActive || lastUsed[slot.name] == nil { lastUsed[slot.name] = now }
        var unused: Set<String> = []
        for slot in slots where lastUsed[slot.name] != now { unused.insert(slot.name) }
        if !isLeader { for name in unused where !nobodys.contains(name) { lastUsed[name] = now } }
        nobodys = unused
        // What is neither here nor will be kept is forgotten, so that this does not grow.
        for (name, used) in lastUsed where now - used >= settings.memberSlotsTTL {
            if slots.contains(where: { $0.name == name }) { continue }
            lastUsed[name] = nil
            members.remove(name)
        }
    }

    /// The store has lost its memory, or was set back: that it shows no key of a member says nothing for a while.
    public mutating func storeBeganAnew(at now: BootInstant) {
        beganAnew = now
        lastUsed = lastUsed.mapValues { _ in now }
    }

    private mutating func use(_ name: String, _ now: BootInstant) {
        lastUsed[name] = now
        members.insert(name)
    }

    /// Whether the slot has been nobody's for `grace`. What was never seen has not.
    func hasExpired(_ name: String, _ grace: Duration, at now: BootInstant) -> Bool {
        lastUsed[name].map { now - $0 >= grace } ?? false
    }

    /// How long a slot that is nobody's stays. A standby goes by the leader's count, and only makes sure that it was
    /// not a moment's view.
    func grace(_ settings: DynamicConfiguration, isLeader: Bool, at now: BootInstant) -> Duration {
        let isYoung = beganAnew.map { now - $0 < settings.memberSlotsTTL } ?? false
        return isLeader || isYoung
            ? settings.memberSlotsTTL : min(settings.memberSlotsTTL, settings.timings.ttl)
    }
}
