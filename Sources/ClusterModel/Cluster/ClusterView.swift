/// A store's revision: it grows with every write, and a compare-and-swap names the one it saw.
public typealias Revision = Int64

/// Everything that the DCS holds of one cluster, as one read saw it (dcs.md §2, §3).
public struct ClusterView: Sendable, Hashable {
    /// The store's revision at which the view was read.
    public var revision: Revision
    /// Which of the store's lives that is, as this node has counted them: in each its revisions begin anew.
    public var life = 0
    public var initialize: Initialization
    public var initializeRevision: Revision?
    public var config: ConfigRecord?
    public var leader: LeaderRecord?
    public var members: [Member]
    public var status: StatusRecord
    public var failover: FailoverRequest?
    /// Why the leader has ended the last request without a hand-over, as it stands in the key; nil where there is one,
    /// or nobody has said.
    public var failoverFailure: String?
    /// Of the key, also where it holds no request.
    public var failoverRevision: Revision?
    public var sync: SyncState
    public var history: TimelineHistory
    /// `/failsafe`: member name to `api_url`; nil where there is none.
    public var failsafe: [String: String]?
    /// Of the key, whatever it holds.
    public var failsafeRevision: Revision?
    /// `/rolling_restart`; nil where there is none, or nothing of the kind.
    public var rollingRestart: RollingRestart?
    /// Of the key, also where it holds none.
    public var rollingRestartRevision: Revision?

    public init(
        revision: Revision = 0, initialize: Initialization = .absent, initializeRevision: Revision? = nil,
        config: ConfigRecord? = nil,
        leader: LeaderRecord? = nil, members: [Member] = [], status: StatusRecord = StatusRecord(),
        failover: FailoverRequest? = nil, sync: SyncState = SyncState(), history: TimelineHistory = TimelineHistory(),
        failsafe: [String: String]? = nil
    ) {
        self.revision = revision
        self.initialize = initialize
        self.initializeRevision = initializeRevision
        self.config = config
        self.leader = leader
        self.members = members
        self.status = status
        self.failover = failover
        failoverRevision = failover?.revision
        self.sync = sync
        self.history = history
        self.failsafe = failsafe
    }

    /// `/initialize`: absent, empty and an identifier are three states (ha-loop.md §30.1).
    public enum Initialization: Sendable, Hashable {
        case absent
        /// A node is bootstrapping.
        case inProgress
        /// The system identifier of the cluster, or junk; `systemIdentifier` tells.
        case value(String)

        /// The identifier: at least ten digits and nothing else.
        public var systemIdentifier: String? {
            guard case .value(let text) = self, isValidSystemIdentifier(text) else { return nil }
            return text
        }
    }

    /// The name in the leader key; nil where there is none or an empty one.
    public var leaderName: String? {
        guard let name = leader?.name, !name.isEmpty else { return nil }
        return name
    }

    public var isUnlocked: Bool { leaderName == nil }

    /// The member of that exact name.
    public func member(_ name: String) -> Member? { members.first { $0.name == name } }

    /// The member that the leader key names; an empty one where its key has expired.
    public var leaderMember: Member? {
        leaderName.map { name in member(name) ?? Member(name: name, data: JSONObject()) }
    }

    /// The timeline that the cluster is known to be on: one more than the last parent in `/history`; 1 for an empty
    /// history that was written, 0 for none (ha-loop.md §1). The last timeline that can be numbered has none after it:
    /// such a history is junk, and tells of no timeline.
    public var timeline: TimelineID {
        guard let last = history.lines.last else { return history.isPresent ? 1 : 0 }
        return last.timeline == .max ? 0 : last.timeline + 1
    }
}

/// Whether `text` can be a PostgreSQL system identifier: at least ten digits and nothing else.
public func isValidSystemIdentifier(_ text: String) -> Bool {
    text.utf8.count >= 10 && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
}

/// `/config`.
public struct ConfigRecord: Sendable, Hashable {
    /// Empty where the value was not a JSON object.
    public let data: JSONObject
    /// False where the value was not a JSON object: the last good configuration goes on (configuration.md §4).
    public let isValid: Bool
    public let revision: Revision

    public init(data: JSONObject, isValid: Bool = true, revision: Revision) {
        self.data = data
        self.isValid = isValid
        self.revision = revision
    }
}

/// `/leader`.
public struct LeaderRecord: Sendable, Hashable {
    public let name: String
    /// The lease that the key hangs on, as the store names it.
    public let session: String
    public let revision: Revision

    public init(name: String, session: String, revision: Revision) {
        self.name = name
        self.session = session
        self.revision = revision
    }
}

/// `/status` (dcs.md §2.5).
public struct StatusRecord: Sendable, Hashable {
    /// The leader's last position.
    public var optime: WALPosition
    /// Slot name to position, the leader's own slot name included.
    public var slots: [String: WALPosition]
    public var retainSlots: [String]
    /// Who released the leader key after PostgreSQL was stopped cleanly: `optime` is where its WAL ends then, not where
    /// it was when it last looked. Ours alone: Patroni passes over it, and the next leader's status is without it.
    public var handedOverBy: String?
    /// For how long a promise holds that members give to the leader in failsafe mode, in whole seconds; nil where none
    /// is asked for. Ours alone.
    public var failsafeTTL: Duration?
    public var revision: Revision?

    public init(
        optime: WALPosition = .zero, slots: [String: WALPosition] = [:], retainSlots: [String] = [],
        handedOverBy: String? = nil, failsafeTTL: Duration? = nil, revision: Revision? = nil
    ) {
        self.optime = optime
        self.slots = slots
        self.retainSlots = retainSlots
        self.handedOverBy = handedOverBy
        self.failsafeTTL = failsafeTTL
        self.revision = revision
    }

    /// The value as it is written: parts that are empty are left out.
    public var json: JSONObject {
        var object: JSONObject = ["optime": optime.json]
        if !slots.isEmpty {
            object["slots"] = .object(JSONObject(slots.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) }))
        }
        if !retainSlots.isEmpty { object["retain_slots"] = .array(retainSlots.sorted().map { .string($0) }) }
        object["handed_over_by"] = handedOverBy.map { .string($0) }
        object["failsafe_ttl"] = failsafeTTL.map { .int($0.components.seconds) }
        return object
    }
}

/// `/failover`: what an operator asked for (dcs.md §2.7).
public struct FailoverRequest: Sendable, Hashable {
    /// The leader to step down; with one the request is a switchover.
    public let leader: String?
    public let candidate: String?
    /// When to do it: the text as written. Nil for at once.
    public let scheduledAt: String?
    public let revision: Revision

    public init(leader: String?, candidate: String?, scheduledAt: String? = nil, revision: Revision = 0) {
        self.leader = leader
        self.candidate = candidate
        self.scheduledAt = scheduledAt
        self.revision = revision
    }

    /// How the request is called in answers and logs.
    public var action: String { leader != nil ? "switchover" : "manual failover" }

    /// The value that ends a request: nothing is asked for. Ours alone beside that: `failed`, why nothing came of it,
    /// for whoever waits; readers that do not know it pass over it.
    public static func ended(because why: String?) -> JSONObject {
        var object = JSONObject()
        object["failed"] = why.map { .string(String(decoding: $0.utf8.prefix(mostBytes), as: UTF8.self)) }
        return object
    }

    private static let mostBytes = 2000

    /// The value as it is written: absent fields left out, in the order that readers know.
    public var json: JSONObject {
        var object = JSONObject()
        object["leader"] = leader.map { .string($0) }
        object["member"] = candidate.map { .string($0) }
        object["scheduled_at"] = scheduledAt.map { .string($0) }
        return object
    }
}

/// `/sync` (dcs.md §2.8).
public struct SyncState: Sendable, Hashable {
    public let leader: String?
    public let voters: [String]
    public let quorum: Int
    public let revision: Revision?

    public init(leader: String? = nil, voters: [String] = [], quorum: Int = 0, revision: Revision? = nil) {
        self.leader = leader
        self.voters = leader == nil ? [] : voters
        self.quorum = leader == nil ? 0 : quorum
        self.revision = revision
    }

    public var isEmpty: Bool { leader == nil }

    /// The value as it is written (dcs.md §2.8): voters as one text, sorted, or null.
    public var json: JSONObject {
        [
            "leader": leader.map { .string($0) } ?? .null, "quorum": .int(Int64(quorum)),
            "sync_standby": voters.isEmpty ? .null : .string(voters.sorted().joined(separator: ",")),
        ]
    }

    /// Names compare without regard to case.
    public func isVoter(_ name: String) -> Bool { voters.contains { $0.lowercased() == name.lowercased() } }

    /// Whether `name` is the leader that wrote it, or a voter.
    public func includes(_ name: String) -> Bool { isVoter(name) || leader?.lowercased() == name.lowercased() }
}

extension ClusterView {
    /// Whether `name`, where it is a replica, is shown as one that commits may wait for.
    public func isSynchronousStandby(_ name: String, _ settings: DynamicConfiguration) -> Bool {
        settings.synchronousMode != .off && sync.isVoter(name)
    }
}

extension SyncState: CustomStringConvertible {
    /// For the log.
    public var description: String {
        let names = voters.isEmpty ? "nobody else" : voters.sorted().joined(separator: ", ")
        return "leader \(leader ?? "nobody"), \(names)" + (quorum > 0 ? ", quorum \(quorum)" : "")
    }
}

/// `/history` (dcs.md §2.9).
public struct TimelineHistory: Sendable, Hashable {
    /// One timeline that ended: `[timeline, position, reason, timestamp?, new leader?]`.
    public struct Line: Sendable, Hashable {
        public let timeline: TimelineID
        public let position: WALPosition
        public let reason: String
        public let timestamp: String?
        public let newLeader: String?

        public init(
            timeline: TimelineID, position: WALPosition, reason: String, timestamp: String? = nil,
            newLeader: String? = nil
        ) {
            self.timeline = timeline
            self.position = position
            self.reason = reason
            self.timestamp = timestamp
            self.newLeader = newLeader
        }

        /// The row as it is written and answered.
        public var json: JSONValue {
            var row: [JSONValue] = [.int(Int64(timeline)), position.json, .string(reason)]
            if let timestamp { row.append(.string(timestamp)) }
            if let newLeader, timestamp != nil { row.append(.string(newLeader)) }
            return .array(row)
        }
    }

    public let lines: [Line]
    /// Whether the key exists and holds an array.
    public let isPresent: Bool
    public let revision: Revision?

    public init(lines: [Line] = [], isPresent: Bool? = nil, revision: Revision? = nil) {
        self.lines = lines
        self.isPresent = isPresent ?? !lines.isEmpty
        self.revision = revision
    }

    /// Where the cluster left `timeline`, if WAL at `position` on it lies beyond: then it was never a part of the
    /// cluster, or is none any more. Nil where it is a part, or where that is not known.
    public func left(_ timeline: TimelineID, before position: WALPosition) -> WALPosition? {
        guard let end = lines.last(where: { $0.timeline == timeline })?.position, position > end else { return nil }
        return end
    }

    public var json: JSONValue { .array(lines.map(\.json)) }
}
