public import ClusterModel

/// A restart of PostgreSQL as asked for over REST (rest-api.md §13): now or later, and under which conditions.
public struct RestartRequest: Sendable, Hashable {
    /// When; nil for now.
    public var schedule: Timestamp?
    /// Only while the node has this role.
    public var role: NodeRole?
    /// Only where the running server is older than this: as written, and as `server_version_num`.
    public var postgreSQLVersion: Version?
    /// How long the start may take; nil for `primary_start_timeout`.
    public var timeout: Duration?
    /// Only where a parameter waits for a restart: the value as given.
    public var restartPending: JSONValue?
    /// When the server was started that a scheduled restart is meant for: another one cancels it.
    public var postmasterStartTime: String?

    /// A version of PostgreSQL.
    public struct Version: Sendable, Hashable {
        public var text: String
        public var number: Int
    }

    public typealias Refusal = SwitchoverRequest.Refusal

    /// Reads a request's body; its keys are judged in their order, as Patroni does.
    public init(body: JSONObject, _ settings: DynamicConfiguration, wallTime: Int64) throws(Refusal) {
        if body["schedule"]?.isTruthy == true, settings.isPaused {
            throw Refusal(.paused, "Can't schedule restart in the paused state")
        }
        for member in body.members { try take(member.key, member.value, wallTime) }
    }

    private mutating func take(_ key: String, _ value: JSONValue, _ wallTime: Int64) throws(Refusal) {
        switch key {
        case "schedule":
            let text = try SwitchoverRequest.checkSchedule(value, action: "restart", wallTime: wallTime)
            schedule = Timestamp(text)
        case "role":
            guard let role = value.string.flatMap(NodeRole.init(rawValue:)),
                [.primary, .standbyLeader, .replica].contains(role)
            else {
                throw Refusal(
                    .malformed, "PostgreSQL role should be either primary, standby_leader, or replica")
            }
            self.role = role
        case "postgres_version": postgreSQLVersion = try Self.version(value)
        case "timeout":
            guard let seconds = ValueParsing.integer(value, unit: .seconds), seconds > 0, seconds <= Self.longest else {
                throw Refusal(.malformed, "Timeout should be a positive number of seconds")
            }
            timeout = .seconds(seconds)
        case "restart_pending": restartPending = value
        default: throw Refusal(.malformed, "Unknown filter for the scheduled restart: \(key)")
        }
    }

    /// A start that takes more than a year is a slip of the pen.
    private static let longest: Int64 = 366 * 86_400

    private static func version(_ value: JSONValue) throws(Refusal) -> Version {
        let text = value.comparableText
        var parts: [Int] = []
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            guard let number = Int(part), (0..<100).contains(number) else {
                throw Refusal(.malformed, "Invalid PostgreSQL version: \(text)")
            }
            parts.append(number)
        }
        if parts.count == 2, parts[0] >= 10 { return Version(text: text, number: parts[0] * 10_000 + parts[1]) }
        if parts.count == 3 {
            return Version(text: text, number: parts[0] * 10_000 + parts[1] * 100 + parts[2])
        }
        throw Refusal(.malformed, "Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: \(text)")
    }

    /// Whether the conditions hold. `restart_pending` asks by its presence, as Patroni's clients know it; only a false
    /// that is JSON's counts as not given.
    public func isSatisfied(role: NodeRole, local: PostgreSQLStatus) -> Bool {
        if let wanted = self.role, wanted != role { return false }
        if let version = postgreSQLVersion, let running = local.facts?.serverVersion, running >= version.number {
            return false
        }
        if let restartPending, restartPending != false, local.pendingRestart.isEmpty { return false }
        return true
    }

    /// As `/patroni` and, with the start of the server it is meant for, the member key show it.
    public func json(withStartTime: Bool) -> JSONObject {
        var object = JSONObject()
        object["schedule"] = schedule.map { .string($0.text) }
        object["role"] = role.map { .string($0.rawValue) }
        object["postgres_version"] = postgreSQLVersion.map { .string($0.text) }
        object["timeout"] = timeout.map { .int($0.nanoseconds / 1_000_000_000) }
        object["restart_pending"] = restartPending
        if withStartTime { object["postmaster_start_time"] = postmasterStartTime.map { .string($0) } }
        return object
    }
}

/// What becomes of a scheduled restart at this moment (rest-api.md §13).
public enum ScheduleVerdict: Sendable, Hashable {
    /// It is for later, or the cluster is paused.
    case wait
    case due
    /// It can no longer be kept, or the server that it was meant for is gone: why.
    case cancelled(String)
}

/// Judges `request` by the wall clock.
public func judge(
    schedule request: RestartRequest, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus, wallTime: Int64
) -> ScheduleVerdict {
    guard let due = request.schedule else { return .cancelled("it has no time") }
    if let meant = request.postmasterStartTime, let running = local.facts?.postmasterStartTime,
        !isSameStart(meant, running)
    {
        return .cancelled("PostgreSQL was restarted meanwhile")
    }
    if settings.isPaused { return .wait }
    if due.isMissed(at: wallTime, settings.timings) { return .cancelled("its time has passed") }
    return due.lateness(at: wallTime) >= .zero ? .due : .wait
}
