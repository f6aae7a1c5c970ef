public import ClusterModel

// Failsafe mode (ha-loop.md §16; docs/failsafe.md has the proof): a primary without the store goes on while every
// member that could lead in its place has promised not to. The promise is a lease that they grant together: the primary
// counts it from before it asked, each member from when it was asked, and a member that has forgotten its promises,
// because its daemon is new, keeps back as if it had made one.

/// What a member has promised to a primary that goes on without the store.
public struct FailsafePromise: Sendable, Hashable {
    public var ping: FailsafePing
    public var until: BootInstant

    public init(_ ping: FailsafePing, until: BootInstant) {
        self.ping = ping
        self.until = until
    }

    /// The promise that is made at `now`: for as long as whoever has the longer ttl says, so that an edit which one of
    /// them has not seen makes it no shorter.
    public init(_ ping: FailsafePing, _ settings: DynamicConfiguration, at now: BootInstant) {
        self.init(ping, until: now + max(ping.ttl ?? .zero, settings.timings.ttl))
    }
}

/// What is known of failsafe mode, on both sides.
public struct FailsafeFacts: Sendable, Hashable {
    /// Of a leader: `/failsafe`, as far as it may stand in the store since this node leads; nil where that is not
    /// known.
    public var members: [String: String]?
    /// Whose promises the lease is made of; nil where the store has granted it.
    public var granted: [String]?
    /// Until when others may be bound by what this node has asked of them.
    public var othersBoundUntil: BootInstant?
    /// Of the others: what this node has promised.
    public var promise: FailsafePromise?
    /// When this daemon began, which knows nothing of an earlier one's promises.
    public var began: BootInstant?

    public init() {}
}

/// Who is asked: all that `/failsafe` names, but for this node. Nil where that cannot be said.
func failsafeMembers(_ seen: Observation) -> [String: String]? {
    guard var members = seen.failsafe.members, members[seen.me.name] != nil else { return nil }
    members[seen.me.name] = nil
    return members
}

/// What failsafe mode has to say while the store is silent.
enum FailsafeStep: Sendable, Hashable {
    case ask([String: String])
    /// Nothing is asked: why, and what became of the last question.
    case told([Reason])
}

/// Whether a primary without the lease of the store asks the others now.
func failsafeStep(_ seen: Observation) -> FailsafeStep {
    guard seen.settings.failsafeMode, !seen.settings.isPaused, let lease = seen.lease, hasWritesToLose(seen)
    else { return .told([]) }
    let granted = seen.failsafe.granted.map { [Reason.failsafe(.granted(by: $0))] } ?? []
    if let answers = seen.answers.failsafe {
        let lacking = lacking(in: answers)
        return .told(lacking.isEmpty ? granted : [.failsafe(.notAll(lacking))])
    }
    guard let members = failsafeMembers(seen) else { return .told([.failsafe(.membersUnknown)]) }
    // Nobody promises for a server that is of no use to anybody (L1).
    if case .hung(let silence) = judgeHealth(seen.local, seen.pulse, ttl: seen.settings.timings.ttl, at: seen.now) {
        return .told([.hung(.silent(silence))])
    }
    // A new lease begins within the one that it follows, or not at all: in between somebody may have led.
    guard seen.now < LeaseArithmetic.stopBy(lease) else { return .told(granted) }
    let pause = LeaseArithmetic.renewalInterval(seen.settings.timings, safetyMargin: lease.safetyMargin)
    let isDue = seen.now >= lease.since + pause
    return isDue ? .ask(members) : .told(granted)
}

private func lacking(in answers: [String: FailsafeAnswer]) -> [String] {
    answers.sorted { $0.key < $1.key }.compactMap { name, answer in
        switch answer {
        case .accepted: nil
        case .refused(let why), .unreachable(let why): "\(name): \(why)"
        }
    }
}

/// The lease that the others grant together: from before they were asked, for the ttl that they were told. Nil where
/// one of those asked has not promised, or where the lease that this one follows has ended.
public func failsafeLease(
    _ present: Lease?, asked members: Set<String>, _ answers: [String: FailsafeAnswer], sent: BootInstant,
    ttl: Duration, at now: BootInstant
) -> Lease? {
    guard let present, present.isValid(at: now) else { return nil }
    for member in members {
        guard case .accepted? = answers[member] else { return nil }
    }
    let granted = Lease(since: sent, ttl: ttl, session: present.session, safetyMargin: present.safetyMargin)
    // Of a ttl that was made shorter meanwhile it may end before the present one, which is no loss: the next question
    // comes in time. What counts is that PostgreSQL is stopped later.
    return LeaseArithmetic.stopBy(granted) > LeaseArithmetic.stopBy(present) ? granted : nil
}

/// Why this node does not promise anything to a primary that asks; nil where it does. The text is the answer's.
public func failsafeRefusal(
    _ me: NodeIdentity, _ local: PostgreSQLStatus, _ running: RunningPlan?, _ settings: DynamicConfiguration,
    hasLease: Bool, isClaiming: Bool, from name: String
) -> String? {
    if !settings.failsafeMode { return "Failsafe mode is off" }
    if mayBecomeWritable(local, running) { return "Running as a leader" }
    // What it has may become a promotion: whoever asks must not count on this node.
    if hasLease || isClaiming { return "About to be the leader" }
    return name == me.name ? "This is my own name" : nil
}

/// Why this node, whose server is no primary, must not take the leader key, nor promote where it has it; nil where it
/// may.
func failsafeObstacle(_ seen: Observation, _ view: ClusterView) -> Reason? {
    if let promise = seen.promise {
        return .failsafe(.bound(to: promise.ping.name, for: promise.until - seen.now))
    }
    // Who leads a standby cluster takes nobody the writes.
    guard !seen.settings.isStandbyCluster, let members = view.failsafe, !members.isEmpty, !seen.local.isPrimary else {
        return nil
    }
    if !seen.eligibility(view).isInFailsafe(seen.me.name) { return .eligibility(.notInFailsafe) }
    // The mode and the ttl may have been edited since: what the leader has told last is what it asks by.
    let told = view.status.failsafeTTL
    guard seen.settings.failsafeMode || told != nil, members.count > 1, let began = seen.failsafe.began else {
        return nil
    }
    let end = began + max(seen.settings.timings.ttl, told ?? .zero)
    return seen.now < end ? .failsafe(.mayBeBound(for: end - seen.now)) : nil
}

/// Whom alone `/failsafe` lets lead, and who cannot: their directories are gone, or they are themselves. Whom it does
/// not name leads never, so nobody will (L1). Nil where somebody may yet, and for a ttl after the last one led, in
/// which members come back. Only an operator knows whether a server of theirs is left that accepts writes.
func lostFailsafe(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> FailsafeReason? {
    let isEmpty = seen.local.dataDirectory == .empty
    let isNamed = seen.eligibility(view).isInFailsafe(seen.me.name)
    guard !isNamed || isEmpty && seen.settings.failsafeMode && !seen.settings.isStandbyCluster,
        let named = view.failsafe?.keys.sorted(), !named.isEmpty, let since = memory.leaderlessSince,
        seen.now - since >= seen.settings.timings.ttl,
        named.allSatisfy({ $0 == seen.me.name ? isEmpty : view.member($0).map(\.cannotLead) ?? true })
    else { return nil }
    return .nobodyCanLead(named)
}

extension Member {
    /// By its own word: it has no data, or is a standby that may not be promoted.
    fileprivate var cannotLead: Bool { role == .uninitialized || tags.nofailover && role != .primary }
}

extension Observation {
    /// What this node has promised and must keep still.
    var promise: FailsafePromise? { failsafe.promise.flatMap { now < $0.until ? $0 : nil } }

    /// What a member sees that has promised to let another one lead: while the store names nobody, that one leads.
    var heedingPromise: Observation {
        guard let promise, let view else { return self }
        var copy = self
        copy.view = view.led(by: promise.ping)
        return copy
    }

    /// The lease is one that the others have granted, and holds: nobody can have led since.
    var leadsByPromises: Bool { failsafe.granted != nil && lease.map { now < LeaseArithmetic.stopBy($0) } ?? false }
}

/// How failsafe mode stands.
public enum FailsafeReason: Sendable, Hashable {
    /// All of these have promised.
    case granted(by: [String])
    /// These have not, each with why.
    case notAll([String])
    case membersUnknown
    case bound(to: String, for: Duration)
    case mayBeBound(for: Duration)
    case othersBound(for: Duration)
    /// `/failsafe` names these alone.
    case nobodyCanLead([String])

    var explanation: Explanation {
        switch self {
        case .granted(let names):
            Explanation(
                "failsafe-granted", ["members": .array(names.map { .string($0) })],
                "continue to run as a leader because failsafe mode is enabled and all members are accessible"
                    + (names.isEmpty ? " (there is no other)" : ": \(names.joined(separator: ", "))"))
        case .notAll(let lacking):
            Explanation(
                "failsafe-not-all", ["lacking": .array(lacking.map { .string($0) })],
                "failsafe mode needs every member, and not all have promised: \(lacking.joined(separator: "; "))")
        case .membersUnknown:
            Explanation(
                "failsafe-members-unknown",
                "failsafe mode has nobody to ask: /failsafe was not seen since this node leads, or lacks it")
        case .bound(let name, let left):
            Explanation(
                "failsafe-bound", ["leader": .fact(name), "remaining_seconds": .fact(left)],
                "\(name) leads without the store, and I have promised not to race for \(seconds(left)) more")
        case .mayBeBound(let left):
            Explanation(
                "failsafe-may-be-bound", ["remaining_seconds": .fact(left)],
                "I began lately: what I may have promised before holds for \(seconds(left)) more")
        case .othersBound(let left):
            Explanation(
                "failsafe-others-bound", ["remaining_seconds": .fact(left)],
                "others have promised not to race for \(seconds(left)) more: nobody could take over")
        case .nobodyCanLead(let names):
            Explanation(
                "failsafe-nobody-can-lead", ["members": .array(names.map { .string($0) })],
                "/failsafe names \(names.joined(separator: ", ")) alone, and none of them can lead")
        }
    }

    var needsOperator: String? {
        switch self {
        case .nobodyCanLead(let names):
            "nobody leads, and nobody can: /failsafe lets only \(names.joined(separator: ", ")) lead, who have no data, "
                + "may not be promoted, or are not there. Where one of them has its data, see that its daemon runs. "
                + "Else see that no PostgreSQL of theirs accepts writes, turn failsafe mode off (PATCH /config "
                + "{\"failsafe_mode\": false}), and on again when somebody leads"
        case .granted, .notAll, .membersUnknown, .bound, .mayBeBound, .othersBound: nil
        }
    }
}
