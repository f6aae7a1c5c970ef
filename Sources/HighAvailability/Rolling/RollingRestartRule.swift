import ClusterModel

/// What a node adds to a decision to do nothing while a rolling restart is under way: whoever leads sees to whose turn
/// it is, and whose turn it is restarts its own server. All that they tell each other stands in the store, so that
/// either may die at any moment: another leader goes on by the same key.
///
/// Replicas come first, one at a time, each caught up before the next; then the leader hands over to one of them, and
/// comes back as a replica. It stops at the first thing that goes wrong, and in pause it stands still.
func rollingRestartRule(_ seen: Observation, _ decision: Decision, _ memory: inout Memory) -> Decision {
    guard case .wait = decision.action, let view = seen.view, let rolling = view.rollingRestart,
        rolling.state == .running, seen.storeFailure == nil, seen.running == nil, seen.namesake == nil
    else { return decision }
    if seen.settings.isPaused {
        memory.rolling.stopClock()
        return decision
    }
    if seen.isNamedLeader {
        // Who leads a standby cluster is a standby itself, and its turn comes by a switchover all the same.
        let leads = seen.local.isPrimary || seen.settings.isStandbyCluster && seen.local.facts?.inRecovery == true
        guard seen.renewal == .held, seen.lease?.isValid(at: seen.now) == true, leads else { return decision }
        let driver = RollingDriver(seen: seen, view: view, rolling: rolling, decision: decision)
        return driver.decide(&memory.rolling)
    }
    return ownTurn(seen, view, rolling, &memory) ?? decision
}

/// What a node knows of a rolling restart beyond what stands in the store.
public struct RollingWatch: Sendable, Hashable {
    /// The turn that the rest is of.
    private var turn = ""
    private(set) var since: BootInstant?
    /// What the member must have of the WAL before it counts as caught up: what the leader had when it came back.
    var goal: WALPosition?
    /// The leader's request for the switchover that its turn is stands in the store, or has stood there.
    private(set) var hasAsked = false
    /// The turn in which this node has restarted its own server.
    var attempted: String?

    public init() {}

    /// For how long this node has waited in the turn, which begins anew with another one.
    mutating func waited(_ turn: String, at now: BootInstant) -> Duration {
        if self.turn != turn {
            self.turn = turn
            since = nil
            goal = nil
            hasAsked = false
        }
        let since = since ?? now
        self.since = since
        return now - since
    }

    /// The store has taken the request for the switchover.
    public mutating func switchoverIsAskedFor() { hasAsked = true }

    /// What the operator's pause takes is nobody's delay.
    mutating func stopClock() { since = nil }
}

extension RollingRestart {
    /// Names one try at one member.
    func key(_ member: String) -> String { "\(requestedAt) \(attempt) \(member)" }

    func entry(_ name: String) -> Entry? { entries.first { $0.name == name } }

    func failed(_ reason: RollingReason) -> RollingRestart {
        var failed = self
        let explanation = reason.explanation
        failed.state = .failed
        failed.turn = nil
        failed.failure = [
            "code": .string(explanation.code), "facts": .object(explanation.facts),
            "sentence": .string(explanation.sentence),
        ]
        return failed
    }
}

extension Decision {
    /// The rolling restart ends here, and says why.
    static func stop(_ rolling: RollingRestart, _ reason: RollingReason) -> Decision {
        Decision(.write(.rollingRestart(rolling.failed(reason))), .rolling(reason))
    }
}

/// It is this node's turn, which does not lead: its server is restarted, once.
private func ownTurn(
    _ seen: Observation, _ view: ClusterView, _ rolling: RollingRestart, _ memory: inout Memory
) -> Decision? {
    guard let turn = rolling.turn, turn.member == seen.me.name, let entry = rolling.entry(turn.member), !entry.isDone,
        view.leaderName != nil
    else { return nil }
    let key = rolling.key(turn.member)
    let hasTried = memory.rolling.attempted == key
    guard let facts = seen.local.facts, seen.local.readiness == .accepting else {
        // The rules try again; but whoever waits for this node need not.
        guard hasTried, seen.local.postmaster == nil, memory.failedStarts > 0 else { return nil }
        return .stop(rolling, .memberFailed(turn.member, why: memory.starting.why))
    }
    guard facts.inRecovery, isSameStart(facts.postmasterStartTime, entry.startedAt) else { return nil }
    if hasTried { return .stop(rolling, .memberFailed(turn.member, why: "its server is the one from before")) }
    memory.rolling.attempted = key
    let plan = restartPlan(
        seen.me, seen.local, view, seen.settings, isLeading: false, timeout: seen.settings.startPatience)
    return Decision(.carryOut(plan), .rolling(.turn(turn.member)))
}
