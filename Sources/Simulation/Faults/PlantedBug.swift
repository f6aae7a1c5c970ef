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
    case statusLeftBehind

    // In the client of the store.
    case nonsenseIsFinal
    case otherLifeRefused
    case otherLifeTrusted
    case watchOfFormerLife
    case lifeForgottenAtRestart

    // In the cycle.
    case leaseCountedFromReply
    case refusedRenewalIsHeld
    case promotionWithoutRereading
    case refusalsHammered

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
    case keyLeftWithDirectory
    case keyLeftToForeigner
    case refusalForgotten
    case failedPromotionKept
    case promotionRecordsCount
    case confirmationSkipped
    case settlingSkipped
    case namesForgottenFirst
    case promotionWithoutNames
    case claimSkipped
    case votesNotCounted
    case namesForgottenAtRestart
    case strictIgnored
    case circleFollowed
    case priorityIgnored
    case failsafeSilenceIgnored
    case failsafeCountedFromReceipt
    case failsafeOfFormerLife
    case failsafePromiseBroken
    case failsafePromiseForgotten
    case failsafeOneNotAsked
    case failsafeOutlivesTerm
    case failsafePromiseNeverEnds
    case failsafeMembersDropped
    case standbyClusterIgnored
    case keyLeftByDemotion
    case formerSiteBelieved
    case raceBackoffIgnored
    case emptyStoreTrusted
    case pauseIgnoredWhenDown
    case pauseIgnoredByStandbys
    case pauseIgnoredWithoutStore
    case servingPrimaryIgnored
    case disarmingForgotten
    case checkpointerIgnored
    case rollingTurnSkipped
    case requestOverrulesRace
    case startTimeoutStops
    case slotsKeptForEver
    case partedNeverCompared
    case removalNotAsked
    case recoveredWithoutRewind
    case earlierDaemonForgotten
    case refusalCountsAsSilence
    case removalsConfused
    case checkpointNotAwaited
    case failedStartIsParted
    case unledNotAwaited

    // In the guardian.
    case deadManForgotten
    case silentGuardianTrusted
    case newClusterUnguarded

    // In the directory.
    case markIgnored
    case rewindMarkIgnored
    case bootstrapMarkIgnored
    case restoredCopyTrusted
    case lockNotTaken

    /// What it does, for people.
    public var summary: String {
        switch self {
        case .compareSkipped: "the store writes although the compare failed"
        case .leaderKeyOverwritten: "the leader key is put although there is one"
        case .nonsenseIsFinal: "what is no word of etcd's ends a call, and the endpoint stays the one that is asked"
        case .otherLifeRefused: "a store that has lost its memory is refused for ever"
        case .otherLifeTrusted: "a store of another cluster, or set back, is taken for the store at once"
        case .lifeForgottenAtRestart: "a daemon that starts takes whatever store it finds for the one that it knew"
        case .watchOfFormerLife: "the watch goes on from where it was in the store's former life"
        case .historyCut: "the history is written without its first line"
        case .leaseCountedFromReply: "the lease counts from the answer, not from before the request"
        case .refusedRenewalIsHeld: "a refused renewal counts as held"
        case .promotionWithoutRereading: "a node promotes when it wants the key, before it has it"
        case .expiredLeaseIsValid: "the lease counts twice its ttl"
        case .storeLossNeverDemotes: "a primary without the store never stops"
        case .noDemotionMargin: "a primary without the store stops a second after the lease has ended, not before"
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
        case .keyLeftWithDirectory: "the key goes with the data directory, whatever still runs in it"
        case .keyLeftToForeigner: "the key goes when /initialize is another cluster's, whatever still runs"
        case .refusalForgotten: "a node that was refused a promotion keeps the key and asks again"
        case .failedPromotionKept: "a leader whose promotion fails again and again keeps the key"
        case .promotionRecordsCount: "what a failed promotion has written itself counts as what others lack"
        case .confirmationSkipped: "a standby enters /sync as soon as it is named, before it has everything"
        case .settlingSkipped: "what a standby has is compared before all senders go by the new names"
        case .namesForgottenFirst: "PostgreSQL forgets a standby before it leaves /sync"
        case .promotionWithoutNames: "a new primary commits before it is told whom to wait for"
        case .claimSkipped: "a new primary commits under the /sync of its predecessor"
        case .votesNotCounted: "a voter takes the key without the votes of the others"
        case .namesForgottenAtRestart: "a daemon that starts sets PostgreSQL's names back"
        case .strictIgnored: "synchronous_mode_strict is ignored"
        case .circleFollowed: "a standby streams from whom replicatefrom names, also in a circle"
        case .priorityIgnored: "failover_priority is ignored"
        case .failsafeSilenceIgnored: "in failsafe mode one member that does not answer is ignored"
        case .failsafeCountedFromReceipt: "the failsafe lease counts from the answers, not from before the question"
        case .failsafeOfFormerLife: "the members of /failsafe are those of an earlier leadership"
        case .failsafePromiseBroken: "a member that has promised not to race does so at once"
        case .failsafePromiseForgotten: "a daemon that has just begun knows nothing of its promises, and races"
        case .failsafeOneNotAsked: "one of the members that /failsafe names is not asked"
        case .failsafeOutlivesTerm: "the failsafe lease counts a while longer than the promises hold"
        case .failsafePromiseNeverEnds: "a member that has promised once never races again"
        case .failsafeMembersDropped: "a member leaves /failsafe as soon as its key is gone"
        case .standbyClusterIgnored: "a primary goes on although standby_cluster is set"
        case .keyLeftByDemotion: "a cluster that is to follow another gives the key up before its primary is stopped"
        case .emptyStoreTrusted: "a directory that was left behind begins a cluster where the store knows of none"
        case .raceBackoffIgnored: "primary_race_backoff is ignored"
        case .pauseIgnoredWhenDown: "a server that is down is started in a pause"
        case .pauseIgnoredByStandbys: "a standby takes part in a race in a pause"
        case .pauseIgnoredWithoutStore: "a primary without the store stops in a pause"
        case .servingPrimaryIgnored: "an operator's failover in a pause promotes beside a primary that serves on"
        case .disarmingForgotten: "the guardian goes on to guard a lease in a pause"
        case .checkpointerIgnored: "a leader whose checkpointer hangs goes on"
        case .rollingTurnSkipped: "whose turn it is in a rolling restart counts as restarted"
        case .requestOverrulesRace: "a switchover that its leader never acted upon is taken for a manual failover"
        case .statusLeftBehind: "the key goes although the store refuses /status with the end of WAL"
        case .startTimeoutStops: "primary_start_timeout is how long a stop may take"
        case .slotsKeptForEver: "the slots of members that are gone are never dropped"
        case .partedNeverCompared: "a standby that does not start is started again, and never compared"
        case .removalNotAsked: "remove_data_directory_… is not asked before a directory is removed"
        case .recoveredWithoutRewind: "a crashed primary is recovered where no pg_rewind can follow"
        case .markIgnored: "a directory whose copy was broken off counts as a cluster"
        case .earlierDaemonForgotten: "the key of an earlier daemon's goes although its server may live elsewhere"
        case .refusalCountsAsSilence: "a server that has no connection left counts as one that hangs"
        case .removalsConfused: "remove_data_directory_on_rewind_failure counts for what cannot be rewound at all"
        case .checkpointNotAwaited: "a primary is rewound from before it has written a checkpoint"
        case .failedStartIsParted: "a directory whose server does not start counts as parted"
        case .unledNotAwaited: "nobody waits for the server of who has made a cluster and not led it"
        case .newClusterUnguarded: "the guardian knows no deadline for the server of a new cluster"
        case .deadManForgotten: "no timer of the kernel's ends a guardian that hangs"
        case .silentGuardianTrusted: "an order that the guardian does not answer counts as taken"
        case .rewindMarkIgnored: "a directory whose rewind was broken off counts as whole"
        case .bootstrapMarkIgnored: "a cluster that was not made to its end counts as one"
        case .restoredCopyTrusted: "a copy that was restored from a backup has the voice that /sync gives its member"
        case .lockNotTaken: "what an earlier daemon has begun writes on beside its successor"
        case .refusalsHammered: "what the store refuses is tried again at once"
        case .formerSiteBelieved: "what was found by a site that is followed no more is believed of the next"
        }
    }

    // MARK: Rules

    /// The production rules with the bug around them.
    var decider: Rules.Decider {
        { seen, memory in
            var seen = seen
            blind(&seen)
            forgetFiles(&seen, &memory)
            forgetMore(&seen, &memory)
            if self == .refusalForgotten { memory.refusedPromotion = nil }
            if self == .failedPromotionKept { memory.promotions.failed = Memory.Retries() }
            if self == .promotionRecordsCount { memory.promotions.from = nil }
            if self == .formerSiteBelieved { memory.judge = seen.settings.standbyCluster }
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
            if let lease = seen.lease, seen.now < lease.deadline + .seconds(1) { seen.lease?.ttl = .seconds(3600) }
        case .storeLossNeverDemotes: if seen.view != nil { seen.lease?.since = seen.now }
        case .lagLimitOffByOne: seen.allowLag(Int64(SimulatedPostgreSQL.recordBytes))
        case .lagIgnored: seen.allowLag(1 << 40)
        case .raceBackoffIgnored: seen.set("primary_race_backoff", nil)
        case .emptyStoreTrusted: if seen.view?.initialize == .absent { seen.view?.status.optime = WALPosition(1) }
        case .raceIgnoresWhoIsAhead:
            let mine = seen.local.facts?.position ?? .zero
            seen.hidePeers { $0.position > mine }
        // Who leads keeps it, and would never be done.
        case .synchronousSetIgnored: if seen.view?.isUnlocked == true { seen.view?.sync = SyncState() }
        case .hungLeaderKept:
            seen.pulse = nil
            seen.local.observedAt = seen.now
        case .timelineNotChecked: seen.view?.history = TimelineHistory()
        case .rewindSkipped: if case .facts? = seen.divergence { seen.divergence = .unavailable("not looked at") }
        case .rewindWithoutProof: seen.invertDivergence()
        case .priorityIgnored: seen.hidePriorities()
        case .standbyClusterIgnored: if seen.local.mayAcceptWrites { seen.set("standby_cluster", nil) }
        case .failsafePromiseBroken, .failsafePromiseForgotten, .failsafePromiseNeverEnds: changePromise(&seen)
        case .votesNotCounted: seen.forgetVotes()
        case .requestOverrulesRace: seen.takeRequestForFailover()
        case .pauseIgnoredWhenDown, .pauseIgnoredByStandbys, .pauseIgnoredWithoutStore, .checkpointerIgnored,
            .servingPrimaryIgnored, .disarmingForgotten, .rollingTurnSkipped:
            forgetPause(&seen)
        case .compareSkipped, .leaderKeyOverwritten, .historyCut, .leaseCountedFromReply, .promotionWithoutRereading,
            .keyReleasedBeforeStop, .receiptNotConfirmed, .exPrimaryStartsAsPrimary, .adoptionRestarts,
            .slotDroppedEarly, .keyLeftWithDirectory, .keyLeftToForeigner, .refusalForgotten, .failedPromotionKept,
            .promotionRecordsCount, .confirmationSkipped, .settlingSkipped, .namesForgottenFirst,
            .promotionWithoutNames, .claimSkipped, .namesForgottenAtRestart, .strictIgnored, .circleFollowed,
            .failsafeSilenceIgnored, .failsafeCountedFromReceipt, .failsafeOfFormerLife, .failsafeOneNotAsked,
            .failsafeOutlivesTerm, .failsafeMembersDropped, .keyLeftByDemotion, .formerSiteBelieved,
            .statusLeftBehind, .startTimeoutStops, .slotsKeptForEver, .partedNeverCompared, .removalNotAsked,
            .recoveredWithoutRewind, .markIgnored, .lockNotTaken, .refusalsHammered,
            .earlierDaemonForgotten, .refusalCountsAsSilence, .removalsConfused,
            .checkpointNotAwaited, .failedStartIsParted, .unledNotAwaited, .newClusterUnguarded,
            .deadManForgotten, .silentGuardianTrusted, .rewindMarkIgnored, .bootstrapMarkIgnored, .nonsenseIsFinal,
            .otherLifeRefused, .otherLifeTrusted, .watchOfFormerLife, .lifeForgottenAtRestart, .restoredCopyTrusted:
            break
        }
    }

    /// What becomes of their decision.
    private func spoil(_ decision: Decision, _ seen: Observation) -> Decision {
        if seen.view?.leaderName == seen.me.name, seen.local.mayAcceptWrites, leavesKey(seen) {
            return Decision(.releaseLeader, decision.reasons)
        }
        if case .ask(.failsafe(var members)) = decision.action, self == .failsafeOneNotAsked {
            if let last = members.keys.max() { members[last] = nil }
            return Decision(.ask(.failsafe(members)), decision.reasons)
        }
        if case .acquireLeader = decision.action, self == .promotionWithoutRereading {
            guard seen.local.facts?.inRecovery == true else { return decision }
            return Decision(.carryOut(Plan(.promote, [.postgreSQL(.promote)])), decision.reasons)
        }
        if case .write(.sync) = decision.action, self == .claimSkipped {
            return Decision(.carryOut(Plan(.promote, [.postgreSQL(.promote)])), decision.reasons)
        }
        if case .write(.rollingRestart(let rolling)) = decision.action, self == .rollingTurnSkipped {
            return Decision(.write(.rollingRestart(rolling.withoutTurn)), decision.reasons)
        }
        guard case .carryOut(let plan) = decision.action, let spoiled = spoiled(plan, seen) else { return decision }
        return Decision(.carryOut(spoiled), decision.reasons)
    }

    private func leavesKey(_ seen: Observation) -> Bool {
        if self == .keyLeftWithDirectory { return seen.local.dataDirectory == .empty }
        guard self == .keyLeftToForeigner, let cluster = seen.view?.initialize.systemIdentifier else { return false }
        return cluster != seen.local.systemIdentifier
    }

    /// Whether the cycle still looks before the key goes.
    var looksBeforeRelease: Bool {
        ![.keyReleasedBeforeStop, .keyLeftWithDirectory, .keyLeftToForeigner, .keyLeftByDemotion].contains(self)
    }

    /// The plan with the bug in it; nil where it stays as it is.
    private func spoiled(_ plan: Plan, _ seen: Observation) -> Plan? {
        if self == .keyReleasedBeforeStop, plan.kind == .handOver {
            let stop = plan.steps.filter { if case .postgreSQL = $0 { true } else { false } }
            return Plan(.handOver, [.releaseLeader] + stop)
        }
        if self == .keyLeftByDemotion, plan.kind == .demoteCluster {
            return Plan(.demoteCluster, [.releaseLeader] + plan.steps)
        }
        if self == .receiptNotConfirmed, plan.kind == .handOver {
            return Plan(.handOver, plan.steps.filter { if case .confirmReceipt = $0 { false } else { true } })
        }
        if self == .exPrimaryStartsAsPrimary, plan.kind == .startStandby, !seen.local.hasStandbySignal {
            return Plan(.startPrimary, [.postgreSQL(.startPrimary(timeout: .seconds(300)))])
        }
        if self == .startTimeoutStops, plan.kind == .handOver {
            return plan.stopping(within: seen.settings.primaryStartTimeout)
        }
        if self == .promotionWithoutNames, plan.kind == .promote {
            return Plan(.promote, [.postgreSQL(.promote)])
        }
        if self == .circleFollowed, plan.kind == .follow, let name = seen.me.tags.replicatefrom, name != seen.me.name,
            let upstream = seen.view?.member(name).flatMap({ Upstream($0) })
        {
            return Plan(.follow, [.postgreSQL(.follow(upstream))])
        }
        if self == .adoptionRestarts, plan.kind == .follow {
            return Plan(
                .follow,
                [.postgreSQL(.stopToRestart(timeout: .seconds(60))), .start(timeout: .seconds(60))] + plan.steps)
        }
        return nil
    }
}
