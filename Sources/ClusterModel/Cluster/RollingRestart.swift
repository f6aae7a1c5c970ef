/// `/rolling_restart`: all members of a cluster restart PostgreSQL one after another, the leader last and after a
/// switchover. It stands in the store, so that whoever leads goes on with it; Patroni passes over the key.
public struct RollingRestart: Sendable, Hashable {
    public enum State: String, Sendable, Hashable, CaseIterable {
        case running
        /// It was stopped by what went wrong; an operator may have it go on.
        case failed
        case calledOff = "called off"
        case done
    }

    /// A member that takes part.
    public struct Entry: Sendable, Hashable {
        public var name: String
        /// When its server was started that is to be restarted, as PostgreSQL prints it: another one is the proof that
        /// it was, whoever did it and whoever was there to see it.
        public var startedAt: String
        /// It was restarted, and came back well.
        public var isDone: Bool

        public init(name: String, startedAt: String, isDone: Bool = false) {
            self.name = name
            self.startedAt = startedAt
            self.isDone = isDone
        }
    }

    /// Whose turn it is.
    public struct Turn: Sendable, Hashable {
        public var member: String
        /// Who is to lead meanwhile, where the leader's turn has come.
        public var candidate: String?
        /// How many synchronous standbys there were when it came: as many must be there again before the next.
        public var voters: Int

        public init(member: String, candidate: String? = nil, voters: Int = 0) {
            self.member = member
            self.candidate = candidate
            self.voters = voters
        }
    }

    public var state: State
    public var entries: [Entry]
    public var turn: Turn?
    /// Grows each time that it goes on after it was stopped.
    public var attempt: Int
    /// ISO 8601.
    public var requestedAt: String
    /// Why it was stopped: a code, facts and a sentence (docs/reasons.md).
    public var failure: JSONObject?
    public var revision: Revision

    public init(
        state: State = .running, entries: [Entry], turn: Turn? = nil, attempt: Int = 1, requestedAt: String,
        failure: JSONObject? = nil, revision: Revision = 0
    ) {
        self.state = state
        self.entries = entries
        self.turn = turn
        self.attempt = attempt
        self.requestedAt = requestedAt
        self.failure = failure
        self.revision = revision
    }

    /// The value as it is written.
    public var json: JSONObject {
        var object: JSONObject = [
            "state": .string(state.rawValue), "requested_at": .string(requestedAt), "attempt": .int(Int64(attempt)),
            "members": .array(
                entries.map {
                    ["name": .string($0.name), "started_at": .string($0.startedAt), "done": .bool($0.isDone)]
                }),
        ]
        if let turn {
            var value: JSONObject = ["member": .string(turn.member), "voters": .int(Int64(turn.voters))]
            value["candidate"] = turn.candidate.map { .string($0) }
            object["turn"] = .object(value)
        }
        object["failure"] = failure.map { .object($0) }
        return object
    }

    /// Nil for what is no rolling restart.
    init?(json: JSONValue?, revision: Revision) {
        guard let object = json?.object, let state = object["state"]?.string.flatMap(State.init),
            let rows = object["members"]?.array, rows.count <= Self.membersMax
        else { return nil }
        let entries = rows.compactMap { row -> Entry? in
            guard let name = row["name"]?.string, !name.isEmpty, let startedAt = row["started_at"]?.string else {
                return nil
            }
            return Entry(name: name, startedAt: startedAt, isDone: row["done"]?.bool == true)
        }
        guard entries.count == rows.count, !entries.isEmpty else { return nil }
        let turn = object["turn"]?.object.flatMap { turn in
            turn["member"]?.string.map {
                Turn(
                    member: $0, candidate: turn["candidate"]?.string,
                    voters: Int(clamping: turn["voters"]?.int ?? 0))
            }
        }
        self.init(
            state: state, entries: entries, turn: turn, attempt: Int(clamping: object["attempt"]?.int ?? 1),
            requestedAt: object["requested_at"]?.string ?? "", failure: object["failure"]?.object, revision: revision)
    }

    /// What is longer was not written by a cluster.
    public static let membersMax = 1000
}

/// Whether two texts tell one start of a server. PostgreSQL prints it in its own time zone, which may have changed.
public func isSameStart(_ one: String, _ other: String) -> Bool {
    if one == other { return true }
    guard let one = Timestamp(one), let other = Timestamp(other) else { return false }
    return one.nanosecondsSinceEpoch == other.nanosecondsSinceEpoch
}
