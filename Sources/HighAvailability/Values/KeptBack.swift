public import ClusterModel

/// What a node remembers that keeps it from leading for a while, whatever the others say of it.
public struct KeptBack: Sendable, Hashable {
    /// What was promised in failsafe mode, or may have been.
    private var promise: FailsafePromise?
    private var began: BootInstant?
    private var refused: Memory.RefusedPromotion?
    private var heldBackUntil: BootInstant?
    private var leaderlessSince: BootInstant?
    private var storeForgotSince: BootInstant?
    private var unledSince: BootInstant?
    private var inflow: Memory.Inflow?
    private var lastLeader: String?
    private var membersUnderLastLeader: [Member] = []
    private var following = Memory.Following.unknown

    public init() {}

    public init(_ memory: Memory, _ failsafe: FailsafeFacts) {
        promise = failsafe.promise
        began = failsafe.began
        refused = memory.refusedPromotion
        heldBackUntil = memory.heldBackUntil
        leaderlessSince = memory.leaderlessSince
        storeForgotSince = memory.storeForgotSince
        unledSince = memory.unledSince
        inflow = memory.inflow
        lastLeader = memory.lastLeader
        membersUnderLastLeader = memory.membersUnderLastLeader
        following = memory.following
    }

    /// Who was a member under the last leader, that one itself among them, and has no key while nobody leads.
    public func gone(_ view: ClusterView) -> [Member] {
        view.isUnlocked ? membersUnderLastLeader.filter { view.member($0.name) == nil } : []
    }

    /// What the rules of a race would say to it. Whom an operator names is held to a promise alone, but in pause.
    func objections(_ seen: Observation, _ view: ClusterView, isRace: Bool) -> [Reason] {
        var seen = seen
        seen.failsafe.promise = promise
        seen.failsafe.began = began
        var memory = Memory()
        memory.refusedPromotion = refused
        memory.heldBackUntil = heldBackUntil
        memory.leaderlessSince = leaderlessSince
        memory.storeForgotSince = storeForgotSince
        memory.unledSince = unledSince
        memory.inflow = inflow
        memory.lastLeader = lastLeader
        memory.membersUnderLastLeader = membersUnderLastLeader
        memory.following = following
        var found: [Reason] = []
        // What `/failsafe` says is said of every member.
        if case .failsafe(let why)? = failsafeObstacle(seen, view) { found.append(.failsafe(why)) }
        if view.isUnlocked, let why = servingPrimary(seen, view, memory) { found.append(.serving(why)) }
        if isRace || seen.settings.isPaused, let why = refusedPromotion(seen, memory) { found.append(.promotion(why)) }
        guard isRace else { return found }
        if let left = memory.heldBack(at: seen.now) { found.append(.hung(.heldBack(left))) }
        if view.isUnlocked, let wait = raceBackoff(seen, view, memory) { found.append(.backoff(wait)) }
        if view.isUnlocked, !seen.local.isPrimary, let why = unseenPrimary(seen, memory) {
            found.append(.newcomer(why))
        }
        return found
    }
}

extension NodeSnapshot {
    /// What a standby remembers that keeps it from leading for a while, for others to tell (`/explain`).
    public func standsBack(at now: BootInstant) -> [PeerStatus.Objection] {
        guard local.facts?.inRecovery == true, let view else { return [] }
        let seen = Observation(
            now: now, me: me, settings: settings, view: view, storeFailure: storeFailure, local: local, lease: lease,
            running: running)
        let named = keptBack.objections(seen, view, isRace: false)
        return keptBack.objections(seen, view, isRace: true).map { reason in
            let explanation = reason.explanation
            return PeerStatus.Objection(
                code: explanation.code, facts: explanation.facts, sentence: explanation.sentence,
                alsoIfNamed: named.contains(reason))
        }
    }
}
