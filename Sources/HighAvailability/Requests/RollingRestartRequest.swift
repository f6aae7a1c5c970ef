public import ClusterModel

/// A rolling restart as asked for over REST (docs/rest.md): a new one, or one that was stopped and is to go on.
public struct RollingRestartRequest: Sendable, Hashable {
    /// Only these; nil for all.
    public var members: [String]?
    /// Only those on which a parameter waits for it.
    public var isForPending = false
    /// The one that was stopped goes on.
    public var resumes = false

    public typealias Refusal = SwitchoverRequest.Refusal

    /// One of all members.
    public init() {}

    public init(body: JSONObject) throws(Refusal) {
        for (key, value) in body.members.map({ ($0.key, $0.value) }) {
            switch key {
            case "members":
                guard let rows = value.array, !rows.isEmpty, rows.count <= RollingRestart.membersMax,
                    case let names = rows.compactMap(\.string), names.count == rows.count
                else { throw Refusal(.malformed, "members should be a list of names") }
                members = names
            case "restart_pending":
                guard let flag = value.bool else {
                    throw Refusal(.malformed, "restart_pending should be true or false")
                }
                isForPending = flag
            case "resume":
                guard let flag = value.bool else { throw Refusal(.malformed, "resume should be true or false") }
                resumes = flag
            default:
                throw Refusal(.malformed, "Unknown field: \(String(decoding: key.utf8.prefix(100), as: UTF8.self))")
            }
        }
        if resumes, members != nil || isForPending {
            throw Refusal(.malformed, "One that goes on has its members already")
        }
    }

    /// What is to stand in the store, `view` being what stands there now.
    ///
    /// - Parameter now: ISO 8601.
    public func rollingRestart(
        _ view: ClusterView, _ settings: DynamicConfiguration, now: String
    ) throws(Refusal) -> RollingRestart {
        if view.rollingRestart?.state == .running {
            throw Refusal(.precondition, "a rolling restart is under way already")
        }
        if settings.isPaused { throw Refusal(.precondition, "no rolling restart begins while the cluster is paused") }
        guard let leader = view.leaderName else { throw Refusal(.precondition, "the cluster has no leader") }
        if resumes { return try resumed(view.rollingRestart) }
        if view.failover != nil { throw Refusal(.precondition, "a switchover or failover is asked for") }
        let chosen = try chosen(view)
        var entries: [RollingRestart.Entry] = []
        for member in chosen {
            if let obstacle = Self.obstacle(member, leads: member.name == leader) {
                throw Refusal(.precondition, "\(member.name) cannot be restarted: \(obstacle)")
            }
            entries.append(.init(name: member.name, startedAt: member.postmasterStartTime ?? ""))
        }
        if chosen.contains(where: { $0.name == leader }),
            Eligibility(view, settings).successors(by: .handOver, except: [leader]).isEmpty
        {
            throw Refusal(.precondition, "nobody could take over from the leader \(leader)")
        }
        return RollingRestart(entries: entries, requestedAt: now, revision: view.rollingRestartRevision ?? 0)
    }

    private func resumed(_ before: RollingRestart?) throws(Refusal) -> RollingRestart {
        guard var rolling = before, rolling.state != .done else {
            throw Refusal(.precondition, "no rolling restart was stopped")
        }
        rolling.state = .running
        rolling.turn = nil
        rolling.failure = nil
        rolling.attempt += 1
        return rolling
    }

    private func chosen(_ view: ClusterView) throws(Refusal) -> [Member] {
        for name in members ?? [] where view.member(name) == nil {
            throw Refusal(.precondition, "\(String(decoding: name.utf8.prefix(100), as: UTF8.self)) is not a member")
        }
        let chosen = view.members.filter { member in
            if let members, !members.contains(member.name) { return false }
            return !isForPending || member.data["pending_restart"]?.isTruthy == true
        }
        if chosen.isEmpty { throw Refusal(.precondition, "no member waits for a restart") }
        // Commits wait for none of the first, so that the duty of the others changes hands once.
        return chosen.filter { !view.sync.isVoter($0.name) } + chosen.filter { view.sync.isVoter($0.name) }
    }

    private static func obstacle(_ member: Member, leads: Bool) -> String? {
        if member.ownVersion == nil { return "it runs Patroni" }
        if !member.isRunning { return "its PostgreSQL is \(member.state ?? "unknown")" }
        if member.postmasterStartTime == nil { return "it does not tell when its PostgreSQL was started" }
        return !leads && member.replicationState == nil ? "it does not stream" : nil
    }
}
