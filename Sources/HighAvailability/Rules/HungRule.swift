public import ClusterModel

/// How long a server has owed something, and how long it may.
public struct Silence: Sendable, Hashable {
    /// What is owed.
    public enum Kind: Sendable, Hashable {
        /// Any answer to statements.
        case statements
        /// The first word to a new connection.
        case connections
        /// WAL that sessions wait for on the disk.
        case flushes
        /// Checkpoints, without which WAL piles up, the next start takes ever longer, and databases cannot be dropped.
        case checkpoints
        /// Any look at it at all: its files and processes could not be looked at either.
        case observation
        /// The end of an operation upon it.
        case operation
    }

    public var kind: Kind
    public var lasted: Duration
    public var bound: Duration
    public var processes: Pulse.Processes
    /// Its processes do nothing.
    public var isStill: Bool

    public init(_ kind: Kind, lasted: Duration, bound: Duration, processes: Pulse.Processes, isStill: Bool) {
        self.kind = kind
        self.lasted = lasted
        self.bound = bound
        self.processes = processes
        self.isStill = isStill
    }
}

/// What the signs of life of a server say.
public enum ServerHealth: Sendable, Hashable {
    case answering
    /// It has been silent for longer than is usual.
    case late(Silence)
    /// It has been silent for longer than it may.
    case hung(Silence)
}

/// Judges a server by its pulse. Any word of it counts as life: rows, an error, "too many clients", "starting up". What
/// is silent and works is slow; what is silent and does nothing hangs.
public func judgeHealth(_ local: PostgreSQLStatus, _ pulse: Pulse?, ttl: Duration, at now: BootInstant) -> ServerHealth
{
    guard local.postmaster != nil else { return .answering }
    let silences = silences(local, pulse, ttl: ttl, at: now)
    if let hung = silences.first(where: { $0.lasted >= $0.bound }) { return .hung(hung) }
    let longest = silences.filter { $0.kind != .observation }.max { $0.lasted < $1.lasted }
    guard let longest, longest.lasted >= SilenceArithmetic.late(ttl: ttl) else { return .answering }
    return .late(longest)
}

private func silences(_ local: PostgreSQLStatus, _ pulse: Pulse?, ttl: Duration, at now: BootInstant) -> [Silence] {
    let slow = SilenceArithmetic.slow(ttl: ttl)
    let hung = SilenceArithmetic.hung(ttl: ttl)
    var found: [Silence] = []
    if let pulse, now - pulse.takenAt <= SilenceArithmetic.pulseLasts(ttl: ttl) {
        let isStill =
            pulse.stillSince.map { pulse.takenAt - $0 >= SilenceArithmetic.stillness(ttl: ttl) } ?? false
        func add(_ kind: Silence.Kind, _ since: BootInstant?, bound: Duration) {
            guard let since, now > since else { return }
            found.append(
                Silence(kind, lasted: now - since, bound: bound, processes: pulse.processes, isStill: isStill))
        }
        // What was answered after the pulse was taken is owed no more.
        let isAnswered = local.facts != nil && pulse.unansweredSince.map { local.observedAt >= $0 } ?? true
        add(.statements, isAnswered ? nil : pulse.unansweredSince, bound: isStill ? hung : slow)
        let letsNobodyIn = isStill || pulse.processes.isPostmasterStopped
        add(.connections, pulse.closedSince, bound: letsNobodyIn ? hung : slow)
        add(.flushes, pulse.unflushedSince, bound: SilenceArithmetic.unflushed(ttl: ttl))
        if let checkpointer = pulse.checkpointer, let silence = silence(of: checkpointer, ttl: ttl, at: now) {
            found.append(silence)
        }
    }
    found.append(
        Silence(
            .observation, lasted: now - local.observedAt, bound: slow, processes: pulse?.processes ?? .init(),
            isStill: false))
    return found
}

/// What is stopped does nothing until somebody lets it go on, and nobody may. What is in the kernel may be slow: it is
/// told late, and judged later still.
private func silence(of checkpointer: Pulse.Checkpointer, ttl: Duration, at now: BootInstant) -> Silence? {
    let lasted = now - checkpointer.since
    if checkpointer.isStopped {
        let processes = Pulse.Processes(total: 1, stopped: 1)
        return Silence(
            .checkpoints, lasted: lasted, bound: SilenceArithmetic.hung(ttl: ttl), processes: processes, isStill: true)
    }
    guard lasted >= SilenceArithmetic.unflushed(ttl: ttl) else { return nil }
    let processes = Pulse.Processes(total: 1, uninterruptible: 1)
    return Silence(
        .checkpoints, lasted: lasted, bound: SilenceArithmetic.kernel(ttl: ttl), processes: processes, isStill: true)
}

/// When the judgement changes next if the silence goes on; nil where nothing is owed.
public func nextJudgement(_ pulse: Pulse?, ttl: Duration, after now: BootInstant) -> BootInstant? {
    guard let pulse else { return nil }
    let bounds = [
        SilenceArithmetic.late(ttl: ttl), SilenceArithmetic.hung(ttl: ttl), SilenceArithmetic.unflushed(ttl: ttl),
        SilenceArithmetic.slow(ttl: ttl), SilenceArithmetic.kernel(ttl: ttl),
    ]
    let owed = [pulse.unansweredSince, pulse.closedSince, pulse.unflushedSince, pulse.checkpointer?.since]
    return owed.compactMap(\.self)
        .flatMap { since in bounds.map { since + $0 } }.filter { $0 > now }.min()
}

/// A leader whose server hangs makes way, where somebody can take over (L1). PostgreSQL is ended by force first (S1): a
/// clean stop would wait for processes that do not run. Nobody renews meanwhile, so that the lease ends by itself where
/// even that does not end it (processes in the kernel, on a dead disk).
///
/// Nil where it does not hang, or where the ordinary rules know better.
func hungRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    guard seen.isNamedLeader, !seen.settings.isPaused, let silence = hungSilence(seen) else { return nil }
    if let running = seen.running, !mayBeCutShort(running.plan, by: silence) { return nil }
    let reason = Reason.hung(.silent(silence))
    let candidates = failoverCandidates(seen, view)
    guard let peers = seen.peers else { return Decision(.ask(.peers(candidates)), reason) }
    let verdicts = judge(candidates, peers, seen, view)
    guard verdicts.contains(where: { $0.verdict == .good }) else {
        // A server that hangs may come back, and nobody is better.
        switch seen.renewal {
        case nil: return Decision(.ask(.renewal), reason)
        case .held?:
            return Decision(.wait, reason, .request(.noHealthyCandidate(action: "failover", verdicts: verdicts)))
        case .refused?: return nil
        }
    }
    memory.heldBackUntil = seen.now + SilenceArithmetic.heldBack(ttl: seen.settings.timings.ttl)
    return giveUpKey(seen, ending: .byForce, because: reason)
}

/// What has been silent for longer than it may: the server, the disk that an operation waits for where no server runs,
/// or the operation itself.
private func hungSilence(_ seen: Observation) -> Silence? {
    if case .hung(let silence) = seen.health { return silence }
    let slow = SilenceArithmetic.slow(ttl: seen.settings.timings.ttl)
    let unseen = seen.now - seen.local.observedAt
    // Nobody runs who could be slow: it is the disk that says nothing.
    let hung = SilenceArithmetic.hung(ttl: seen.settings.timings.ttl)
    if seen.isServerGone, unseen >= hung {
        return Silence(.observation, lasted: unseen, bound: hung, processes: .init(), isStill: false)
    }
    guard let running = seen.running else { return nil }
    if seen.local.postmaster == nil, unseen >= slow {
        return Silence(.observation, lasted: unseen, bound: slow, processes: .init(), isStill: false)
    }
    let passed = seen.now - running.since
    guard let bound = running.plan.allowance(seen.settings).map({ $0 + slow }), passed >= bound else { return nil }
    return Silence(.operation, lasted: passed, bound: bound, processes: .init(), isStill: false)
}

/// What hangs with the server or the disk holds the cluster up. A start has a bound of its own, which counts only
/// while the disk can be looked at; who is about to give the key up renews nothing.
private func mayBeCutShort(_ plan: Plan, by silence: Silence) -> Bool {
    if plan.givesKeyUp { return false }
    return plan.kind.traits.mayBeCutShort || silence.kind == .observation || silence.kind == .operation
}

extension Plan {
    /// It ends PostgreSQL and then deletes the leader key: who is about to do so does not prolong the lease.
    public var givesKeyUp: Bool { kind == .demote && steps.contains(.releaseLeader) }
}

extension Observation {
    /// What is to be thought of the local server.
    var health: ServerHealth { judgeHealth(local, pulse, ttl: settings.timings.ttl, at: now) }
}

extension Decision {
    /// With the silence that is not what it waits for, but what the log has to tell.
    func noting(_ health: ServerHealth) -> Decision {
        guard case .wait = action else { return self }
        switch health {
        case .answering: return self
        case .late(let silence), .hung(let silence):
            if reasons.contains(.hung(.silent(silence))) { return self }
            return Decision(action, reasons + [.hung(.silent(silence))])
        }
    }
}

extension Decision {
    /// With the disk that says nothing, where no server runs that could: what is waited for is known from long ago.
    func noting(unlooked seen: Observation) -> Decision {
        let (lasted, bound) = (seen.now - seen.local.observedAt, SilenceArithmetic.slow(ttl: seen.settings.timings.ttl))
        guard case .wait = action, seen.local.postmaster == nil, lasted >= bound else { return self }
        let silence = Silence(.observation, lasted: lasted, bound: bound, processes: .init(), isStill: false)
        if reasons.contains(where: { $0.code == Reason.hung(.silent(silence)).code }) { return self }
        return Decision(action, reasons + [.hung(.silent(silence))])
    }
}

extension Memory {
    /// How much longer this node, whose server was ended because it hung, lets others go first; nil where it need not.
    func heldBack(at now: BootInstant) -> Duration? {
        heldBackUntil.flatMap { now < $0 ? $0 - now : nil }
    }
}

/// What a server that says nothing leads to.
public enum HungReason: Sendable, Hashable {
    case silent(Silence)
    case heldBack(Duration)

    var explanation: Explanation {
        switch self {
        case .silent(let silence): silence.explanation
        case .heldBack(let left):
            Explanation(
                "held-back", ["remaining_seconds": .fact(left)],
                "PostgreSQL here hung, or was not promoted, and was ended: others go first for \(seconds(left)) more")
        }
    }

    var needsOperator: String? {
        switch self {
        case .silent(let silence) where silence.kind == .observation:
            "the data directory does not answer: see to its disk, and to what the kernel says of it. The node goes on "
                + "by itself as soon as the disk does"
        case .silent, .heldBack: nil
        }
    }
}

extension Silence {
    /// What is owed tells the silences apart.
    fileprivate var explanation: Explanation {
        let facts: JSONObject = ["lasted_seconds": .fact(lasted), "bound_seconds": .fact(bound)]
        return switch kind {
        case .statements: Explanation("silent-statements", facts, "\(self)")
        case .connections: Explanation("silent-connections", facts, "\(self)")
        case .flushes: Explanation("silent-flushes", facts, "\(self)")
        case .checkpoints: Explanation("silent-checkpoints", facts, "\(self)")
        case .observation: Explanation("silent-observation", facts, "\(self)")
        case .operation: Explanation("silent-operation", facts, "\(self)")
        }
    }
}
