public import ClusterModel

/// A switchover or failover as asked for over REST (rest-api.md §12.2).
public struct SwitchoverRequest: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case switchover, failover

        /// `switchover`.
        public var word: String { self == .switchover ? "switchover" : "failover" }
        /// `Switchover`.
        public var title: String { self == .switchover ? "Switchover" : "Failover" }
    }

    /// A failover that names a leader counts as a switchover once it was accepted in form.
    public var kind: Kind
    public var leader: String?
    public var candidate: String?
    /// As asked for; not yet checked.
    public var scheduledAt: JSONValue?

    public init(kind: Kind, leader: String?, candidate: String?, scheduledAt: JSONValue? = nil) {
        self.kind = kind
        self.leader = leader
        self.candidate = candidate
        self.scheduledAt = scheduledAt
    }

    /// Reads a request's body; empty texts count as absent, unknown fields are ignored.
    public init(kind: Kind, body: JSONObject) {
        let text = { (key: String) -> String? in body[key]?.string.flatMap { $0.isEmpty ? nil : $0 } }
        let schedule = body["scheduled_at"].flatMap { $0.isTruthy ? $0 : nil }
        self.init(
            kind: kind, leader: text("leader"), candidate: text("candidate") ?? text("member"), scheduledAt: schedule)
    }

    /// A refusal: of which kind, and the text that clients compare.
    public struct Refusal: Error, Sendable, Hashable {
        /// What is in the way; whoever answers makes a status of it.
        public enum Kind: Sendable, Hashable, CaseIterable {
            /// The request contradicts itself, or asks for what is never done.
            case malformed
            /// A value cannot be made sense of, or not any more.
            case unprocessable
            /// The cluster is not as the request needs it.
            case precondition
            /// No restart is scheduled while the cluster is paused. (A switchover is malformed then: Patroni's clients
            /// are told so.)
            case paused
            /// It was tried, and did not come about.
            case unavailable
        }

        public var kind: Kind
        public var text: String

        public init(_ kind: Kind, _ text: String) {
            self.kind = kind
            self.text = text
        }
    }

    /// The form of the request (rest-api.md §12.2.1–7). Gives the schedule's text as it is written to the DCS, nil for
    /// now.
    public func check(_ settings: DynamicConfiguration, wallTime: Int64) throws(Refusal) -> String? {
        if kind == .failover, candidate == nil {
            throw Refusal(.malformed, "Failover could be performed only to a specific candidate")
        }
        if kind == .switchover, leader == nil {
            throw Refusal(.malformed, "Switchover could be performed only from a specific leader")
        }
        var schedule: String?
        if let scheduledAt {
            if kind == .failover { throw Refusal(.malformed, "Failover can't be scheduled") }
            if settings.isPaused { throw Refusal(.malformed, "Can't schedule switchover in the paused state") }
            schedule = try Self.checkSchedule(scheduledAt, action: kind.word, wallTime: wallTime)
        }
        if settings.isPaused, candidate == nil {
            throw Refusal(.malformed, "Switchover is possible only to a specific candidate in a paused state")
        }
        if let leader, leader == candidate { throw Refusal(.malformed, "Switchover target and source are the same") }
        return schedule
    }

    /// A schedule's rules (rest-api.md §12.4).
    public static func checkSchedule(_ value: JSONValue, action: String, wallTime: Int64) throws(Refusal) -> String {
        guard let text = value.string, let timestamp = Timestamp(text) else {
            throw Refusal(
                .unprocessable,
                "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601")
        }
        if !timestamp.hasOffset {
            throw Refusal(.malformed, "Timezone information is mandatory for the scheduled \(action)")
        }
        if timestamp.nanosecondsSinceEpoch < wallTime {
            throw Refusal(.unprocessable, "Cannot schedule \(action) in the past")
        }
        return timestamp.text
    }

    /// Whom to ask before an immediate request is written (rest-api.md §12.3.1–5).
    public func candidates(_ view: ClusterView, _ settings: DynamicConfiguration) throws(Refusal) -> [Member] {
        let action = leader != nil ? "switchover" : kind.word
        if let leader, leader != view.leaderName { throw Refusal(.precondition, "leader name does not match") }
        let eligibility = Eligibility(view, settings)
        if let candidate {
            if !eligibility.admits(candidate, action == "switchover" ? .request : .manualFailover) {
                throw Refusal(.precondition, "candidate name does not match with sync_standby")
            }
            guard let member = view.member(candidate) else { throw Refusal(.precondition, "candidate does not exists") }
            if !eligibility.isInFailsafe(candidate) {
                throw Refusal(.precondition, "\(action) is not possible: \(candidate) is not in /failsafe")
            }
            return [member]
        }
        // Tags are what each says of itself when it is asked.
        let others = eligibility.askable(except: [view.leaderName]).filter { eligibility.admits($0.name, .request) }
        if others.isEmpty {
            let lack =
                eligibility.goesBySync(.request)
                ? "can not find sync_standby" : "cluster does not have members except leader"
            throw Refusal(.precondition, "\(action) is not possible: \(lack)")
        }
        return others
    }

    /// Whether anybody who answered could take over; lag and timeline are the leader's to judge (rest-api.md §12.3.6).
    public func check(answers: [String: PeerAnswer], of members: [Member]) throws(Refusal) {
        let verdicts = members.map { Self.judge($0, answers[$0.name]) }
        if verdicts.contains(where: { $0.verdict == .good }) { return }
        let action = leader != nil ? "switchover" : kind.word
        // Of these alone it is told why: clients of Patroni's compare the text of the others.
        let busy = verdicts.filter { if case .busy = $0.verdict { true } else { false } }.map { "\($0)" }
        throw Refusal(
            .precondition,
            "\(action) is not possible: no good candidates have been found"
                + (busy.isEmpty ? "" : ": " + busy.joined(separator: ", ")))
    }

    /// One without positions is away, too, where its member key says so: it is being copied, say.
    private static func judge(_ member: Member, _ answer: PeerAnswer?) -> CandidateVerdict {
        let verdict = HighAvailability.judge(answer, .anything, clusterTimeline: nil)
        guard case .unreachable = verdict, let state = member.state.flatMap(PostgreSQLState.init(rawValue:)),
            state != .running
        else { return CandidateVerdict(name: member.name, verdict: verdict) }
        return CandidateVerdict(name: member.name, verdict: .busy(state.rawValue))
    }
}
