public import ClusterModel

/// The leader's part of a rolling restart.
struct RollingDriver {
    let seen: Observation
    let view: ClusterView
    let rolling: RollingRestart
    /// What is done beside it: nothing.
    let decision: Decision

    func decide(_ watch: inout RollingWatch) -> Decision {
        guard let turn = rolling.turn, let entry = rolling.entry(turn.member) else { return nextTurn(&watch) }
        if turn.member == seen.me.name {
            // Whoever leads by now was to be restarted as a replica, or another switchover was faster: its turn comes
            // last.
            guard !isRestarted(entry), let candidate = turn.candidate, candidate != seen.me.name else {
                return nextTurn(&watch)
            }
            return handOver(to: candidate, &watch)
        }
        let waited = watch.waited(rolling.key(turn.member), at: seen.now)
        guard let lack = missing(entry, voters: turn.voters, &watch) else { return nextTurn(&watch) }
        return wait(for: turn.member, lack, waited)
    }

    // MARK: Whose turn is next

    private func nextTurn(_ watch: inout RollingWatch) -> Decision {
        var next = rolling
        next.turn = nil
        for place in next.entries.indices where isRestarted(next.entries[place]) { next.entries[place].isDone = true }
        let decision = begin(next, &watch)
        if case .write = decision.action { return decision }
        // Where the next one has to be waited for, the turn before ends in the store first: each look would judge it
        // anew, with another goal and another clock, and on a busy cluster never come past it.
        guard let turn = rolling.turn else { return decision }
        return Decision(.write(.rollingRestart(next)), .rolling(.turnOver(turn.member)))
    }

    private func begin(_ next: RollingRestart, _ watch: inout RollingWatch) -> Decision {
        var next = next
        let left = next.entries.filter { !$0.isDone }
        // Nobody goes while somebody is away who has been restarted.
        for entry in next.entries where entry.isDone && entry.name != seen.me.name {
            guard let lack = absence(entry.name) else { continue }
            return wait(for: entry.name, lack, watch.waited(rolling.key(entry.name), at: seen.now))
        }
        guard let entry = left.first(where: { $0.name != seen.me.name }) ?? left.first else {
            next.state = .done
            return Decision(.write(.rollingRestart(next)), .rolling(.done))
        }
        let waited = watch.waited(rolling.key(entry.name), at: seen.now)
        if entry.name == seen.me.name { return ownTurn(next, waited) }
        if let lack = absence(entry.name) { return wait(for: entry.name, lack, waited) }
        next.turn = .init(member: entry.name, voters: voters)
        return Decision(.write(.rollingRestart(next)), .rolling(.turn(entry.name)))
    }

    /// The leader's turn: somebody must be able to take over.
    private func ownTurn(_ next: RollingRestart, _ waited: Duration) -> Decision {
        if view.failover != nil { return wait(for: seen.me.name, .anotherRequest, waited) }
        let members = seen.eligibility(view).successors(by: .handOver, except: [seen.me.name])
        if !members.isEmpty, seen.peers == nil {
            return Decision(.ask(.peers(members)), decision.reasons + [.rolling(.turn(seen.me.name))])
        }
        let others = prospects(seen, view).filter { !$0.leads }
        let able = others.filter { $0.objections(.switchover).isEmpty }
        // Who has most of the WAL has least to wait for.
        guard let candidate = able.max(by: { ($0.position ?? .zero) < ($1.position ?? .zero) }) else {
            let reasons = others.compactMap { $0.objections(.switchover).first.map { "\($0)" } }
            return wait(for: seen.me.name, .nobodyTakesOver(reasons), waited)
        }
        var next = next
        next.turn = .init(member: seen.me.name, candidate: candidate.name, voters: voters)
        return Decision(
            .write(.rollingRestart(next)), .rolling(.turn(seen.me.name)), .rolling(.handsOver(candidate.name)))
    }

    /// The switchover is asked for as an operator would, and carried out by the same rules. It is asked for
    /// until the store has taken the request: who leads still when that is gone has called it off, or nobody could
    /// take over.
    private func handOver(to candidate: String, _ watch: inout RollingWatch) -> Decision {
        let waited = watch.waited(rolling.key(seen.me.name), at: seen.now)
        if view.failover != nil { return wait(for: seen.me.name, .anotherRequest, waited) }
        if watch.hasAsked || waited >= Self.patience(seen.settings) {
            return .stop(rolling, .switchoverFailed(candidate))
        }
        return Decision(
            .write(.requestFailover(FailoverRequest(leader: seen.me.name, candidate: candidate))),
            .rolling(.handsOver(candidate)))
    }

    // MARK: What a member lacks

    private func isRestarted(_ entry: RollingRestart.Entry) -> Bool {
        if entry.isDone { return true }
        let start = entry.name == seen.me.name ? ownStart : view.member(entry.name)?.postmasterStartTime
        return start.map { !isSameStart($0, entry.startedAt) } ?? false
    }

    private var ownStart: String? {
        guard let start = seen.local.facts?.postmasterStartTime, !start.isEmpty else { return nil }
        return start
    }

    private var voters: Int { seen.settings.synchronousMode == .off ? 0 : view.sync.voters.count }

    /// What is missing until the member whose turn it is has been restarted and is as it was.
    private func missing(
        _ entry: RollingRestart.Entry, voters needed: Int, _ watch: inout RollingWatch
    ) -> RollingLack? {
        if let lack = absence(entry.name) { return lack }
        guard isRestarted(entry), let member = view.member(entry.name) else { return .notRestarted }
        let end = seen.local.facts?.position ?? .zero
        let goal = watch.goal ?? end
        watch.goal = goal
        let position = member.position ?? .zero
        if position < goal { return .behind(position, goal: goal) }
        return seen.settings.synchronousMode != .off && voters < needed ? .voters(voters, needed: needed) : nil
    }

    /// Why the member, a replica, is not there.
    private func absence(_ name: String) -> RollingLack? {
        guard let member = view.member(name) else { return .gone }
        if !member.isRunning { return .state(member.state ?? "unknown") }
        if member.postmasterStartTime == nil { return .tellsNoStart }
        return member.replicationState == nil ? .noStream : nil
    }

    // MARK: Waiting

    /// How long one member may take: to stop, to start, and for all to hear of it.
    static func patience(_ settings: DynamicConfiguration) -> Duration {
        settings.startPatience + StopMode.checkpointPatience + settings.stopTimeout + settings.timings.ttl
            + settings.timings.retryTimeout
    }

    private func wait(for member: String, _ lack: RollingLack, _ waited: Duration) -> Decision {
        let limit = Self.patience(seen.settings)
        if waited >= limit { return .stop(rolling, .outOfTime(member, lack, limit: limit)) }
        return Decision(.wait, decision.reasons + [.rolling(.waitsFor(member, lack, waited: waited, limit: limit))])
    }
}

/// What a rolling restart waits for.
public enum RollingLack: Sendable, Hashable {
    case gone
    case state(String)
    case tellsNoStart
    case noStream
    case notRestarted
    case behind(WALPosition, goal: WALPosition)
    case voters(Int, needed: Int)
    case anotherRequest
    case nobodyTakesOver([String])

    /// For programs: what stands in the facts.
    var code: String {
        switch self {
        case .gone: "gone"
        case .state: "not-running"
        case .tellsNoStart: "tells-no-start"
        case .noStream: "no-stream"
        case .notRestarted: "not-restarted"
        case .behind: "behind"
        case .voters: "voters"
        case .anotherRequest: "request"
        case .nobodyTakesOver: "nobody-takes-over"
        }
    }
}

extension RollingLack: CustomStringConvertible {
    public var description: String {
        switch self {
        case .gone: "its member key is gone"
        case .state(let state): "its PostgreSQL is \(state)"
        case .tellsNoStart: "it does not tell when its PostgreSQL was started"
        case .noStream: "it does not stream"
        case .notRestarted: "it has not been restarted yet"
        case .behind(let position, let goal): "it is at \(position), and has to come to \(goal)"
        case .voters(let count, let needed): "\(count) of \(needed) synchronous standbys are there again"
        case .anotherRequest: "a request in /failover comes first"
        case .nobodyTakesOver(let reasons):
            "nobody could take over: "
                + (reasons.isEmpty ? "there is no other member" : reasons.joined(separator: ", "))
        }
    }
}

/// How a rolling restart goes.
public enum RollingReason: Sendable, Hashable {
    case turn(String)
    case turnOver(String)
    case handsOver(String)
    case waitsFor(String, RollingLack, waited: Duration, limit: Duration)
    case outOfTime(String, RollingLack, limit: Duration)
    case memberFailed(String, why: String)
    case switchoverFailed(String)
    case done

    var explanation: Explanation {
        switch self {
        case .turn(let member):
            Explanation("rolling-turn", ["member": .fact(member)], "the rolling restart has come to \(member)")
        case .turnOver(let member):
            Explanation(
                "rolling-turn-over", ["member": .fact(member)], "the turn of \(member) in the rolling restart is over")
        case .handsOver(let candidate):
            Explanation(
                "rolling-hands-over", ["candidate": .fact(candidate)],
                "the rolling restart hands over to \(candidate), so that the leader can be restarted")
        case .waitsFor(let member, let lack, let waited, let limit):
            Explanation(
                "rolling-waits-for",
                [
                    "member": .fact(member), "lack": .fact(lack.code), "waited_seconds": .fact(waited),
                    "limit_seconds": .fact(limit),
                ],
                "the rolling restart waits for \(member): \(lack) (\(seconds(waited)) of \(seconds(limit)))")
        case .outOfTime(let member, let lack, let limit):
            Explanation(
                "rolling-out-of-time",
                ["member": .fact(member), "lack": .fact(lack.code), "limit_seconds": .fact(limit)],
                "\(member) was waited for \(seconds(limit)): \(lack)")
        case .memberFailed(let member, let why):
            Explanation(
                "rolling-member-failed", ["member": .fact(member), "why": .fact(why)],
                "the restart of \(member) failed: \(why)")
        case .switchoverFailed(let candidate):
            Explanation(
                "rolling-switchover-failed", ["candidate": .fact(candidate)],
                "the switchover to \(candidate) did not come about")
        case .done: Explanation("rolling-done", "every member has been restarted")
        }
    }
}
