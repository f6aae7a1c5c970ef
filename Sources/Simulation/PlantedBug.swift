import ClusterModel
import HighAvailability
import Node
import Ports

/// Bugs that are planted on purpose: the test of the tester. Each is the kind of slip that a change to the rules, to
/// the cycle or to a store could bring; the simulation must find every one of them.
public enum PlantedBug: String, Sendable, Hashable, CaseIterable {
    // In the store.
    case compareSkipped
    case leaderKeyOverwritten
    case historyCut

    // In the cycle.
    case leaseCountedFromReply
    case refusedRenewalIsHeld
    case promotionWithoutRereading

    // In the rules.
    case expiredLeaseIsValid
    case storeLossNeverDemotes
    case noDemotionMargin
    case lagLimitOffByOne
    case lagIgnored
    case raceIgnoresWhoIsAhead
    case timelineNotChecked
    case keyReleasedBeforeStop
    case receiptNotConfirmed
    case rewindSkipped
    case rewindWithoutProof
    case exPrimaryStartsAsPrimary
    case adoptionRestarts
    case synchronousSetIgnored
    case hungLeaderKept
    case slotDroppedEarly

    /// What it does, for people.
    public var summary: String {
        switch self {
        case .compareSkipped: "the store writes although the compare failed"
        case .leaderKeyOverwritten: "the leader key is put although there is one"
        case .historyCut: "the history is written without its first line"
        case .leaseCountedFromReply: "the lease counts from the answer, not from before the request"
        case .refusedRenewalIsHeld: "a refused renewal counts as held"
        case .promotionWithoutRereading: "a node promotes when it wants the key, before it has it"
        case .expiredLeaseIsValid: "the lease counts twice its ttl"
        case .storeLossNeverDemotes: "a primary without the store never stops"
        case .noDemotionMargin: "a primary without the store stops when the lease ends, not before"
        case .lagLimitOffByOne: "one record more than maximum_lag_on_failover is allowed"
        case .lagIgnored: "maximum_lag_on_failover is ignored"
        case .raceIgnoresWhoIsAhead: "a peer that has more WAL is ignored in the race"
        case .timelineNotChecked: "an old primary takes the key back after the cluster went on without it"
        case .keyReleasedBeforeStop: "a switchover releases the key before PostgreSQL is stopped"
        case .receiptNotConfirmed: "a switchover does not wait for the candidate to have everything"
        case .rewindSkipped: "an ex-primary that has parted follows without a rewind"
        case .rewindWithoutProof: "whoever might have parted is rewound"
        case .exPrimaryStartsAsPrimary: "an ex-primary that is down starts as a primary"
        case .adoptionRestarts: "a daemon that finds PostgreSQL running restarts it"
        case .synchronousSetIgnored: "a node takes the key although /sync does not name it"
        case .hungLeaderKept: "a leader goes by facts of any age"
        case .slotDroppedEarly: "a slot is dropped as soon as nobody reads it"
        }
    }

    /// The faults that bring it to light.
    public var profile: FaultProfile {
        switch self {
        case .expiredLeaseIsValid, .storeLossNeverDemotes, .noDemotionMargin: .unguarded
        case .lagLimitOffByOne: .lag
        case .receiptNotConfirmed: .handover
        case .synchronousSetIgnored: .synchronous
        case .timelineNotChecked, .hungLeaderKept: .process
        case .compareSkipped, .leaderKeyOverwritten, .historyCut, .leaseCountedFromReply, .refusedRenewalIsHeld,
            .promotionWithoutRereading, .lagIgnored, .raceIgnoresWhoIsAhead, .keyReleasedBeforeStop, .rewindSkipped,
            .rewindWithoutProof, .exPrimaryStartsAsPrimary, .adoptionRestarts, .slotDroppedEarly:
            .mixed
        }
    }

    // MARK: Rules

    /// The production rules with the bug around them.
    var decider: CycleMachine.Decider {
        { seen, memory in
            var seen = seen
            blind(&seen)
            return spoil(decide(seen, &memory), seen)
        }
    }

    /// What the rules do not see.
    private func blind(_ seen: inout Observation) {
        switch self {
        case .refusedRenewalIsHeld:
            if seen.renewal == .refused {
                seen.renewal = .held
                seen.lease = Lease(since: seen.now, ttl: seen.settings.timings.ttl)
            }
        case .expiredLeaseIsValid: seen.lease?.ttl *= 2
        case .noDemotionMargin:
            if let lease = seen.lease, lease.isValid(at: seen.now) { seen.lease?.ttl = .seconds(3600) }
        case .storeLossNeverDemotes: if seen.view != nil { seen.lease?.since = seen.now }
        case .lagLimitOffByOne: seen.allowLag(Int64(SimulatedPostgreSQL.recordBytes))
        case .lagIgnored: seen.allowLag(1 << 40)
        case .raceIgnoresWhoIsAhead:
            let mine = seen.local.facts?.position ?? .zero
            seen.hidePeers { $0.position > mine }
        case .synchronousSetIgnored: seen.view?.sync = SyncState()
        case .hungLeaderKept:
            seen.pulse = nil
            seen.local.observedAt = seen.now
        case .timelineNotChecked: seen.view?.history = TimelineHistory()
        case .rewindSkipped: if case .facts? = seen.divergence { seen.divergence = .unavailable("not looked at") }
        case .rewindWithoutProof:
            if case .facts(var facts)? = seen.divergence {
                facts.localTimeline = 1
                facts.sourceTimeline = 2
                facts.sourceHistory = []
                facts.sourceInRecovery = false
                seen.divergence = .facts(facts)
            }
        case .compareSkipped, .leaderKeyOverwritten, .historyCut, .leaseCountedFromReply, .promotionWithoutRereading,
            .keyReleasedBeforeStop, .receiptNotConfirmed, .exPrimaryStartsAsPrimary, .adoptionRestarts,
            .slotDroppedEarly:
            break
        }
    }

    /// What becomes of their decision.
    private func spoil(_ decision: Decision, _ seen: Observation) -> Decision {
        if case .acquireLeader = decision.action, self == .promotionWithoutRereading {
            guard seen.local.facts?.inRecovery == true else { return decision }
            return Decision(.carryOut(Plan(.promote, [.postgreSQL(.promote)])), decision.reasons)
        }
        guard case .carryOut(let plan) = decision.action, let spoiled = spoiled(plan, seen) else { return decision }
        return Decision(.carryOut(spoiled), decision.reasons)
    }

    /// The plan with the bug in it; nil where it stays as it is.
    private func spoiled(_ plan: Plan, _ seen: Observation) -> Plan? {
        if self == .keyReleasedBeforeStop, plan.kind == .handOver {
            let stop = plan.steps.filter { if case .postgreSQL = $0 { true } else { false } }
            return Plan(.handOver, [.releaseLeader] + stop)
        }
        if self == .receiptNotConfirmed, plan.kind == .handOver {
            return Plan(.handOver, plan.steps.filter { if case .confirmReceipt = $0 { false } else { true } })
        }
        if self == .exPrimaryStartsAsPrimary, plan.kind == .startStandby, !seen.local.hasStandbySignal {
            return Plan(.startPrimary, [.postgreSQL(.startPrimary(timeout: .seconds(300)))])
        }
        if self == .adoptionRestarts, plan.kind == .follow {
            return Plan(.follow, [.postgreSQL(.restart(timeout: .seconds(60)))] + plan.steps)
        }
        return nil
    }

    /// The rule of the slots with the bug around it.
    var slotDecider: CycleMachine.SlotDecider? {
        guard self == .slotDroppedEarly else { return nil }
        return { me, view, settings, local, ledger, now in
            var plan = slotRule(me, view, settings, local, ledger, at: now)
            let unread = local.facts?.slots.filter { !$0.isActive }.map(\.name) ?? []
            if view.leaderName == me.name { plan.actions += unread.map { .drop($0) } }
            return plan
        }
    }

    // MARK: Around them

    /// What the machine is told in place of `event`.
    func changed(_ event: CycleEvent, _ now: BootInstant) -> CycleEvent {
        guard self == .leaseCountedFromReply, case .store(let answer) = event else { return event }
        switch answer {
        case .renewed(.success(.held(_, let ttl, let session))):
            return .store(.renewed(.success(.held(since: now, ttl: ttl, session: session))))
        case .acquired(.success(.held(_, let ttl, let session))):
            return .store(.acquired(.success(.held(since: now, ttl: ttl, session: session))))
        case .loaded, .renewed, .acquired, .released, .wrote, .touched: return event
        }
    }

    /// What the store writes in place of `text`.
    func written(_ key: DCSKey, _ text: String) -> String {
        guard self == .historyCut, key == .history, let end = text.firstRange(of: "],[") else { return text }
        return "[[" + text[end.upperBound...]
    }
}

extension Observation {
    fileprivate mutating func allowLag(_ bytes: Int64) {
        var document = settings.document
        document["maximum_lag_on_failover"] = .int(settings.maximumLagOnFailover + bytes)
        if let changed = DynamicConfiguration(document: document) { settings = changed }
    }

    fileprivate mutating func hidePeers(_ isHidden: (PeerStatus) -> Bool) {
        guard let known = peers else { return }
        peers = known.mapValues { answer in
            if case .status(let status) = answer, isHidden(status) { .unreachable("not looked at") } else { answer }
        }
    }
}
