import ClusterModel
import HighAvailability
import Node
import Ports

/// Bugs of guardians that hang, directories that were moved, and what a status lacks.
extension PlantedBug {
    /// What the rules do not see, or remember, of those.
    func forgetMore(_ seen: inout Observation, _ memory: inout Memory) {
        if self == .earlierDaemonForgotten { memory.beganWithoutLease = nil }
        if self == .unledNotAwaited {
            memory.unledSince = seen.now - .seconds(3600)
            memory.unledPublication = seen.view?.initializeRevision
        }
        if self == .refusalCountsAsSilence, seen.local.unobservable != nil, let postmaster = seen.local.postmaster {
            let since = seen.now - .seconds(3600)
            seen.pulse = Pulse(takenAt: seen.now, postmaster: postmaster, unansweredSince: since, stillSince: since)
        }
        if self == .removalsConfused, seen.local.mayRemove.onRewindFailure {
            seen.local.mayRemove.onDivergedTimelines = true
        }
        if self == .restoredCopyTrusted {
            seen.local.isUnproven = false
            seen.peers = seen.peers?.mapValues { $0.proven }
        }
        if self == .checkpointNotAwaited { seen.forgetCheckpoints() }
        if self == .failedStartIsParted, seen.local.postmaster == nil, memory.failedStarts > 0 {
            seen.invertDivergence()
        }
    }

    /// An order that nobody has answered counts as taken.
    func heard(_ event: CycleEvent) -> CycleEvent {
        guard self == .silentGuardianTrusted, case .guardian(let order, .failure) = event else { return event }
        return .guardian(order, .success(GuardianStatus(pid: 1)))
    }
}

extension PlantedBug {
    /// The faults that bring it to light.
    public var profile: FaultProfile {
        switch self {
        case .expiredLeaseIsValid, .storeLossNeverDemotes, .noDemotionMargin: .unguarded
        case .lagLimitOffByOne: .lag
        case .receiptNotConfirmed, .statusLeftBehind, .startTimeoutStops, .requestOverrulesRace: .handover
        case .synchronousSetIgnored, .namesForgottenFirst, .claimSkipped, .namesForgottenAtRestart, .strictIgnored:
            .synchronous
        case .promotionWithoutNames, .votesNotCounted: .quorum
        case .restoredCopyTrusted: .synchronous
        case .confirmationSkipped, .settlingSkipped: .modes
        case .timelineNotChecked, .hungLeaderKept, .priorityIgnored, .raceBackoffIgnored, .slotsKeptForEver,
            .partedNeverCompared, .removalNotAsked, .recoveredWithoutRewind, .removalsConfused,
            .checkpointNotAwaited,
            .failedStartIsParted, .deadManForgotten, .silentGuardianTrusted, .rewindMarkIgnored,
            .bootstrapMarkIgnored, .lifeForgottenAtRestart:
            .process
        case .keyLeftWithDirectory, .keyLeftToForeigner, .refusalForgotten, .failedPromotionKept,
            .promotionRecordsCount, .emptyStoreTrusted, .markIgnored, .lockNotTaken, .earlierDaemonForgotten,
            .refusalCountsAsSilence, .unledNotAwaited, .newClusterUnguarded:
            .ground
        case .failsafeSilenceIgnored, .failsafeCountedFromReceipt, .failsafeOfFormerLife, .failsafePromiseBroken,
            .failsafePromiseForgotten, .failsafeOneNotAsked, .failsafeOutlivesTerm, .failsafePromiseNeverEnds,
            .failsafeMembersDropped:
            .failsafe
        case .standbyClusterIgnored, .keyLeftByDemotion, .formerSiteBelieved: .sites
        case .pauseIgnoredWhenDown, .pauseIgnoredByStandbys, .pauseIgnoredWithoutStore, .servingPrimaryIgnored,
            .disarmingForgotten:
            .pauses
        case .checkpointerIgnored: .checkpoints
        case .rollingTurnSkipped: .operators
        case .refusalsHammered, .nonsenseIsFinal, .otherLifeRefused, .otherLifeTrusted, .watchOfFormerLife:
            .store
        case .compareSkipped, .leaderKeyOverwritten, .historyCut, .leaseCountedFromReply, .refusedRenewalIsHeld,
            .promotionWithoutRereading, .lagIgnored, .raceIgnoresWhoIsAhead, .keyReleasedBeforeStop, .rewindSkipped,
            .rewindWithoutProof, .exPrimaryStartsAsPrimary, .adoptionRestarts, .slotDroppedEarly, .circleFollowed:
            .mixed
        }
    }
}

extension Observation {
    /// Nobody says that a checkpoint is owed.
    fileprivate mutating func forgetCheckpoints() {
        guard let members = view?.members else { return }
        view?.members = members.map { member in
            var data = member.data
            data["checkpoint_after_promote"] = nil
            return Member(name: member.name, session: member.session, revision: member.revision, data: data)
        }
    }
}

extension PeerAnswer {
    /// Without the mark of a restored copy.
    fileprivate var proven: PeerAnswer {
        guard case .status(var status) = self else { return self }
        status.isUnproven = false
        return .status(status)
    }
}
