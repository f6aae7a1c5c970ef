/// What a peer said of itself over `GET /patroni`, for the race and for switchovers (ha-loop.md §11.3).
public enum PeerAnswer: Sendable, Hashable {
    /// No answer in time, or one without positions, which is what a node with a stopped PostgreSQL gives. The reason.
    case unreachable(String)
    case status(PeerStatus)

    /// Reads the answer's JSON; the HTTP code does not matter.
    public init(json: JSONValue?) {
        guard let object = json?.object, let wal = (object["wal"] ?? object["xlog"])?.object else {
            self = .unreachable("no WAL position in its answer")
            return
        }
        let role = object["role"]?.string.flatMap(NodeRole.init(wire:))
        let isPrimary = wal["location"]?.isTruthy == true || role == .primary
        let received = WALPosition(json: wal["received_location"]) ?? .zero
        let replayed = WALPosition(json: wal["replayed_location"]) ?? .zero
        var status = PeerStatus(
            isPrimary: isPrimary, position: isPrimary ? .zero : max(received, replayed),
            timeline: object["timeline"]?.int.flatMap(TimelineID.init(exactly:)) ?? 0,
            tags: Tags(object["tags"]?.object ?? JSONObject()), replayed: isPrimary ? .zero : replayed,
            watchdogFailed: object["watchdog_failed"]?.isTruthy == true, busy: Self.busy(object),
            isUnproven: object["unproven_copy"]?.isTruthy == true)
        let objections = object["stands_back"]?.array ?? []
        status.standsBack = objections.prefix(PeerStatus.Objection.most).compactMap(PeerStatus.Objection.init)
        self = .status(status)
    }

    /// What a node of ours says that it is doing; of others the state of their PostgreSQL tells.
    private static func busy(_ object: JSONObject) -> String? {
        if let operation = object["operation"]?.string { return operation }
        guard let state = object["state"]?.string.flatMap(PostgreSQLState.init(rawValue:)) else { return nil }
        return state == .running ? nil : state.rawValue
    }
}

/// A peer that answered.
public struct PeerStatus: Sendable, Hashable {
    public var isPrimary: Bool
    /// The later of received and replayed; zero on a primary.
    public var position: WALPosition
    /// Up to here its timeline is certain: what is received beyond may be of a later one.
    public var replayed: WALPosition
    /// 0 where unknown.
    public var timeline: TimelineID
    public var tags: Tags
    public var watchdogFailed: Bool
    /// What keeps it from taking over although it answers still: it is being restarted, copied anew, stopped.
    public var busy: String?
    /// What it remembers that keeps it from leading for a while.
    public var standsBack: [Objection] = []

    /// A reason of a member's own, as it tells it: `stands_back` of its `/patroni`.
    public struct Objection: Sendable, Hashable {
        /// So many of one member are heard.
        static let most = 8

        public var code: String
        public var facts: JSONObject
        public var sentence: String
        /// It says so also where an operator names it.
        public var alsoIfNamed: Bool

        public init(code: String, facts: JSONObject, sentence: String, alsoIfNamed: Bool) {
            self.code = code
            self.facts = facts
            self.sentence = sentence
            self.alsoIfNamed = alsoIfNamed
        }

        init?(_ value: JSONValue) {
            guard let object = value.object, let code = object["code"]?.string,
                let sentence = object["sentence"]?.string
            else { return nil }
            self.init(
                code: code, facts: object["facts"]?.object ?? [:], sentence: sentence,
                alsoIfNamed: object["also_if_named"]?.isTruthy == true)
        }

        public var json: JSONValue {
            [
                "code": .string(code), "facts": .object(facts), "sentence": .string(sentence),
                "also_if_named": .bool(alsoIfNamed),
            ]
        }
    }
    /// Its data directory is not the one that `/sync` speaks of (`PostgreSQLStatus.isUnproven`).
    public var isUnproven: Bool

    public init(
        isPrimary: Bool, position: WALPosition, timeline: TimelineID, tags: Tags = Tags(JSONObject()),
        replayed: WALPosition? = nil, watchdogFailed: Bool = false, busy: String? = nil,
        isUnproven: Bool = false
    ) {
        self.isPrimary = isPrimary
        self.position = position
        self.replayed = replayed ?? position
        self.timeline = timeline
        self.tags = tags
        self.watchdogFailed = watchdogFailed
        self.busy = busy
        self.isUnproven = isUnproven
    }
}
