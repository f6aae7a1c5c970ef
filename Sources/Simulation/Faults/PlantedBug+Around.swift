import ClusterModel
import HighAvailability
import Node
import Ports

/// Bugs around the rules: in what the cycle is told, in what it keeps, in what the store writes.
extension PlantedBug {
    /// What goes wrong with `/failsafe` and the promises inside the cycle.
    var failsafeSlip: FailsafeSlip? {
        let slips: [PlantedBug: FailsafeSlip] = [
            .failsafeOfFormerLife: .membersOfFormerLife, .failsafeMembersDropped: .absentLeaveAtOnce,
        ]
        return slips[self]
    }

    /// What the machine is told in place of `event`.
    func changed(_ event: CycleEvent, _ now: BootInstant) -> CycleEvent {
        if case .failsafe(let sent, let answers) = event { return changed(sent, answers, now) }
        guard self == .leaseCountedFromReply, case .store(let answer) = event else { return heard(event) }
        switch answer {
        case .renewed(.success(.held(_, let ttl, let session))):
            return .store(.renewed(.success(.held(since: now, ttl: ttl, session: session))))
        case .acquired(.success(.held(_, let ttl, let session))):
            return .store(.acquired(.success(.held(since: now, ttl: ttl, session: session))))
        case .loaded, .renewed, .acquired, .released, .wrote, .touched: return event
        }
    }

    private func changed(_ sent: BootInstant, _ answers: [String: FailsafeAnswer], _ now: BootInstant) -> CycleEvent {
        if self == .failsafeCountedFromReceipt { return .failsafe(sent: now, answers) }
        if self == .failsafeOutlivesTerm { return .failsafe(sent: sent + .seconds(10), answers) }
        var answers = answers
        let silent = answers.keys.sorted().first { if case .unreachable? = answers[$0] { true } else { false } }
        if self == .failsafeSilenceIgnored, let silent { answers[silent] = .accepted(nil) }
        return .failsafe(sent: sent, answers)
    }

    /// What is known of a promise in failsafe mode is not what it was.
    func changePromise(_ seen: inout Observation) {
        if self == .failsafePromiseBroken { seen.failsafe.promise = nil }
        if self == .failsafePromiseForgotten { seen.failsafe.began = nil }
        if self == .failsafePromiseNeverEnds { seen.failsafe.promise?.until = seen.now + .seconds(60) }
    }

    /// The pause is not seen where it ought to be minded, nor a checkpointer that hangs.
    func forgetPause(_ seen: inout Observation) {
        let isMinded = [
            PlantedBug.pauseIgnoredWhenDown: seen.local.postmaster == nil,
            .pauseIgnoredByStandbys: seen.local.facts?.inRecovery == true,
            .pauseIgnoredWithoutStore: seen.view == nil && seen.local.mayAcceptWrites,
        ]
        let forgets = isMinded[self] ?? false
        if forgets { seen.set("pause", nil) }
        if self == .servingPrimaryIgnored, seen.settings.isPaused {
            seen.local.facts?.receiver = nil
            seen.hidePeers { _ in true }
        }
        if self == .checkpointerIgnored { seen.pulse?.checkpointer = nil }
    }

    /// What is known of a data directory is not what it was.
    func forgetFiles(_ seen: inout Observation, _ memory: inout Memory) {
        if self == .removalNotAsked {
            seen.local.mayRemove = .init(onRewindFailure: true, onDivergedTimelines: true)
        }
        guard seen.local.postmaster == nil else { return }
        if self == .recoveredWithoutRewind, seen.divergence == nil { seen.local.canRewind = true }
        guard self == .partedNeverCompared, seen.local.hasStandbySignal, memory.kept == nil else { return }
        memory.failedStarts = 0
        memory.rewind = .unsuspected
        if [.crashed, .startFailed, .restartFailed].contains(seen.local.state) { seen.local.state = .stopped }
    }

    /// What the store writes in place of `text`.
    func written(_ key: DCSKey, _ value: DCSValue) -> DCSValue {
        guard self == .historyCut, key == .history, case .document(let history) = value,
            let rows = history.array, rows.count > 1
        else { return value }
        return .document(.array(Array(rows.dropFirst())))
    }

    /// The world in which the last search from the first world on came upon it, where that took long: searches begin
    /// there, and end sooner. A rule that changes may change it, and then it is only a place to begin.
    public var lastFound: UInt64? {
        let worlds: [PlantedBug: UInt64] = [
            .failsafePromiseForgotten: 13_470, .lagLimitOffByOne: 6605, .claimSkipped: 3815, .noDemotionMargin: 3063,
            .promotionWithoutNames: 2743, .settlingSkipped: 2715, .votesNotCounted: 2319, .priorityIgnored: 1297,
            .hungLeaderKept: 1297, .refusedRenewalIsHeld: 1166, .receiptNotConfirmed: 1136, .lockNotTaken: 1755,
            .requestOverrulesRace: 1119, .newClusterUnguarded: 1066, .unledNotAwaited: 422, .nonsenseIsFinal: 462,
            .slotsKeptForEver: 446, .partedNeverCompared: 467, .removalNotAsked: 256, .confirmationSkipped: 883,
            .removalsConfused: 3193, .leaseCountedFromReply: 794, .circleFollowed: 707, .namesForgottenAtRestart: 586,
            .raceIgnoresWhoIsAhead: 433, .failsafeCountedFromReceipt: 581, .failsafeOfFormerLife: 295,
            .servingPrimaryIgnored: 625,
        ]
        return worlds[self]
    }
}

extension Observation {
    /// Another value in `/config`, or none.
    mutating func set(_ key: String, _ value: JSONValue?) {
        var document = settings.document
        document[key] = value
        if let changed = DynamicConfiguration(document: document) { settings = changed }
    }

    mutating func allowLag(_ bytes: Int64) {
        set("maximum_lag_on_failover", .int(settings.maximumLagOnFailover + bytes))
    }

    /// While nobody leads, a switchover that nobody has acted upon has a candidate, and no leader.
    mutating func takeRequestForFailover() {
        guard let view, view.isUnlocked, let request = view.failover, let candidate = request.candidate,
            request.leader != nil, view.status.handedOverBy != request.leader
        else { return }
        self.view?.failover = FailoverRequest(leader: nil, candidate: candidate, revision: request.revision)
    }

    /// Whoever might have parted has.
    mutating func invertDivergence() {
        guard case .facts(var facts)? = divergence else { return }
        facts.localTimeline = 1
        facts.sourceTimeline = 2
        facts.sourceHistory = []
        facts.sourceInRecovery = false
        divergence = .facts(facts)
    }

    /// Whoever is a voter is enough.
    mutating func forgetVotes() {
        guard let sync = view?.sync else { return }
        view?.sync = SyncState(leader: sync.leader, voters: sync.voters, revision: sync.revision)
    }

    mutating func hidePriorities() {
        peers = peers?.mapValues { answer in
            guard case .status(var status) = answer, !status.tags.nofailover else { return answer }
            status.tags = Tags(JSONObject())
            return .status(status)
        }
    }

    mutating func hidePeers(_ isHidden: (PeerStatus) -> Bool) {
        guard let known = peers else { return }
        peers = known.mapValues { answer in
            if case .status(let status) = answer, isHidden(status) { .unreachable("not looked at") } else { answer }
        }
    }
}

extension RollingRestart {
    /// Whose turn it was to be has had it.
    var withoutTurn: RollingRestart {
        guard let turn else { return self }
        var changed = self
        changed.turn = nil
        for index in changed.entries.indices where changed.entries[index].name == turn.member {
            changed.entries[index].isDone = true
        }
        return changed
    }
}

extension Plan {
    /// Its stops may take so long.
    func stopping(within timeout: Duration) -> Plan {
        Plan(
            kind,
            steps.map { step in
                guard case .postgreSQL(.stop(let mode, _, let heirs)) = step else { return step }
                return .postgreSQL(.stop(mode, timeout: timeout, heirs: heirs))
            })
    }
}
