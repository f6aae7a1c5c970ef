import ClusterModel

/// Why something is done to a replication slot, or cannot be.
public enum SlotReason: Sendable, Hashable {
    /// Nobody has asked for it, or not for `member_slots_ttl`.
    case nobodys(String)
    /// Members whose names map to one slot name: neither can be told from the other.
    case nameShared(String, members: [String])
    /// A slot of that name stands there, of another type, database or plugin.
    case otherDefinition(String)
    /// PostgreSQL has removed the WAL that it stands for.
    case lost(String)
    /// It must go, and somebody reads it.
    case inUse(String)
    /// It keeps rows for a reader that is elsewhere.
    case heldBackRows(String)
    /// PostgreSQL keeps slots for a failover itself, and has not brought this one in step.
    case notSynced(String)
    /// An entry of `slots` that cannot be carried out.
    case invalid(String, why: String)
    /// A logical permanent slot whose name is a member's slot.
    case namedAsMember(String)
    /// A standby lacks logical slots that the primary has.
    case mustBeCopied([String])
    /// Copies of logical slots for which the primary is not known to keep catalog rows.
    case notReady([String])
    /// A logical slot that begins now: what was not read of an earlier one of its name, its reader does not get.
    case begins(String)
    /// A slot stands so far behind that its WAL may fill the disk. More than `limit` bytes.
    case holdsBackWAL(String, limit: Int64)
    case copyTriedAgain(why: String, in: Duration)

    /// The slot that holds back more WAL than `slot_wal_warning`; nil for every other reason.
    public var slotBeyondWarning: String? {
        if case .holdsBackWAL(let name, _) = self { name } else { nil }
    }

    var explanation: Explanation {
        switch self {
        case .nobodys(let name):
            Explanation("slot-nobodys", Self.facts(name), "the replication slot \(name) is nobody's")
        case .otherDefinition(let name):
            Explanation(
                "slot-other-definition", Self.facts(name),
                "the replication slot \(name) is not of the kind that is wanted")
        case .lost(let name):
            Explanation("slot-lost", Self.facts(name), "the WAL that the replication slot \(name) needs is gone")
        case .inUse(let name):
            Explanation(
                "slot-in-use", Self.facts(name),
                "the replication slot \(name) cannot be dropped, somebody reads it")
        case .heldBackRows(let name):
            Explanation(
                "slot-held-back-rows", Self.facts(name), "the replication slot \(name) keeps rows for nobody here")
        case .notSynced(let name):
            Explanation(
                "slot-not-synced", Self.facts(name),
                "the failover slot \(name) is not one that PostgreSQL has synchronized")
        case .namedAsMember(let name):
            Explanation(
                "slot-named-as-member", Self.facts(name), "the logical slot \(name) has the name of a member's slot")
        case .begins(let name):
            Explanation("slot-begins", Self.facts(name), "the logical slot \(name) is made, and begins here")
        case .nameShared, .invalid, .holdsBackWAL, .mustBeCopied, .notReady, .copyTriedAgain: explanationOfMore
        }
    }

    private var explanationOfMore: Explanation {
        switch self {
        case .nameShared(let name, let members):
            Explanation(
                "slot-name-shared", ["slot": .fact(name), "members": .array(members.map { .string($0) })],
                "the members \(members.joined(separator: ", ")) share the replication slot name \(name)")
        case .invalid(let name, let why):
            Explanation(
                "slot-invalid", ["slot": .fact(name), "why": .fact(why)],
                "the permanent slot \(name) cannot be made: \(why)")
        case .holdsBackWAL(let name, let limit):
            Explanation(
                "slot-holds-back-wal", ["slot": .fact(name), "limit": .fact(limit)],
                "the replication slot \(name) holds back more than \(limit / 1_048_576) MB of WAL")
        case .mustBeCopied(let names):
            Explanation(
                "slots-must-be-copied", Self.facts(names),
                "logical slots are to be copied from the leader: \(names.joined(separator: ", "))")
        case .notReady(let names):
            Explanation(
                "slots-not-ready", Self.facts(names),
                "logical slots may not be safe to use after a promotion: \(names.joined(separator: ", "))")
        case .copyTriedAgain(let why, let pause):
            Explanation(
                "slot-copy-tried-again", ["why": .fact(why), "pause_seconds": .fact(pause)],
                "the copy of logical slots is tried again in \(seconds(pause)): \(why)")
        case .nobodys, .otherDefinition, .lost, .inUse, .heldBackRows, .notSynced, .namedAsMember, .begins: explanation
        }
    }

    private static func facts(_ slot: String) -> JSONObject { ["slot": .fact(slot)] }

    private static func facts(_ slots: [String]) -> JSONObject { ["slots": .array(slots.map { .string($0) })] }
}
