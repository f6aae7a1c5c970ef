public import ClusterModel

extension Memory {
    /// A plan begins, in the place of another one that is broken off where `breaksOff`, which may have been a
    /// promotion: then a primary that went on alone is compared before it follows anybody. The one place that says so,
    /// whichever rule takes it down.
    public mutating func begins(_ plan: Plan, breaksOff: Bool = false) {
        if breaksOff || plan.kind.traits.isComparedAfter { rewind = .suspected }
    }

    /// A view has a leader. Where the store was away keys run out one by one, and whose key does so a moment before the
    /// leader's is there all the same: for a ttl it is one of those who are asked.
    mutating func noteMembers(_ members: [Member], ttl: Duration, at now: BootInstant) {
        let lacking = membersUnderLastLeader.filter { known in !members.contains { $0.name == known.name } }
        var since: [String: BootInstant] = [:]
        for member in lacking { since[member.name] = lackedSince[member.name] ?? now }
        lackedSince = since
        membersUnderLastLeader = members + lacking.filter { now - (since[$0.name] ?? now) < ttl }
    }

    /// A hand-over that was asked for has come to nothing: where this node leads, or leads again, the same request does
    /// not begin another one.
    public mutating func callsOff(_ request: FailoverRequest, because why: String) {
        calledOff = request.revision
        calledOffBecause = why
    }

    /// Pause is over: whoever was at work on it may have mended what had failed before (ha-loop.md §4). Nothing is
    /// taken for mended: what was kept is compared again.
    mutating func resume() {
        wasPaused = false
        judgeAgain()
        failedStarts = 0
        triedSingleUserRecovery = false
        starting = Retries()
        failedCopies = nil
        promotions = Promotions()
        passedOverSince = nil
    }

    /// Who is followed is another one by an operator's word, elsewhere or here: what was found by the one that was
    /// followed before says nothing of it. A directory that another site has left is the newest that this one has.
    mutating func note(judge now: StandbyCluster?) {
        guard judge != now else { return }
        judge = now
        judgeAgain()
        promotions = Promotions()
    }

    private mutating func judgeAgain() {
        if case .failed = rewind { rewind = .suspected }
        if kept != nil { rewind = .suspected }
        kept = nil
        rejoining = Retries()
    }

    /// What a successful operation teaches.
    public mutating func learnSuccess(of operation: PostgreSQLOperation, in plan: Plan.Kind?) {
        switch operation {
        case .startStandby(let upstream, _):
            following = .upstream(upstream)
            // What comes up is compared before it is promoted: the key was won with what stood there before. Only the
            // leader of a standby cluster has what is elsewhere, whatever its own site had once.
            if upstream?.isFollowedByLeader != true { hasWonKey = false }
        case .follow(let upstream): following = .upstream(upstream)
        case .clone, .restore, .rewind:
            rewind = .unsuspected
            kept = nil
            rejoining = Retries()
            ledTimeline = nil
            ledPosition = .zero
            failedCopies = nil
            promotions = Promotions()
        case .promote:
            following = .unknown
            rewind = .unsuspected
            kept = nil
            refusedPromotion = nil
            promotions = Promotions()
            hasArchivedLastSegment = false
        case .startPrimary, .bootstrap:
            following = .unknown
            rewind = .unsuspected
            hasArchivedLastSegment = false
        case .archiveLastSegment: hasArchivedLastSegment = true
        case .stop: if plan == .handOver { isHandingOver = true }
        case .finishBootstrap, .stopToRestart, .resumeReplay, .recoverSingleUser, .setAsideDataDirectory,
            .copyLogicalSlots, .nameSynchronous, .prePromote:
            break
        }
    }

    /// What an operation teaches after which PostgreSQL starts still: whom it was started for.
    public mutating func learnStart(by operation: PostgreSQLOperation, in plan: Plan.Kind?) {
        switch operation {
        case .startStandby, .follow: learnSuccess(of: operation, in: plan)
        case .bootstrap, .finishBootstrap, .clone, .restore, .startPrimary, .resumeReplay, .prePromote, .promote, .stop,
            .stopToRestart, .rewind, .recoverSingleUser, .setAsideDataDirectory, .copyLogicalSlots, .nameSynchronous,
            .archiveLastSegment:
            break
        }
    }

    /// What a failed operation teaches: what to try next, and when again. `isFinal`: trying again would give the same.
    public mutating func learnFailure(
        of operation: PostgreSQLOperation?, in plan: Plan.Kind, _ text: String, isFinal: Bool, at now: BootInstant
    ) {
        switch operation {
        // It ran before: the rules try once more before another node leads.
        case .startPrimary? where plan == .restart, .startStandby? where plan == .restart: break
        case .startPrimary?, .startStandby?:
            failedStarts += 1
            return starting.note(text, at: now, first: .seconds(1), longest: .seconds(300))
        case .rewind(let source)? where isFinal:
            rewindRefusedBy = source.name
            return rewind = .failed(text)
        case .clone(let source, _, _)?: noteFailedCopy(of: source.name, at: now)
        case .restore?: noteFailedCopy(of: FailedCopies.ofNobody, at: now)
        case .copyLogicalSlots?: copying.why = text
        // It may be down all the same.
        case .stop? where plan == .handOver: isHandingOver = true
        case .prePromote?: refusedPromotion = RefusedPromotion(why: text, at: now)
        case .rewind?, .bootstrap?, .finishBootstrap?, .follow?, .resumeReplay?, .promote?, .stop?, .stopToRestart?,
            .recoverSingleUser?, .setAsideDataDirectory?, .nameSynchronous?, .archiveLastSegment?, nil:
            break
        }
        // Where nothing was tried, for lack of time, nothing has failed.
        if plan == .promote, let operation, operation != .prePromote {
            promotions.failed.note(text, at: now, first: .seconds(1), longest: .seconds(10))
            promotions.isHopeless = isFinal
        }
        // A source that died, a full disk, a network cut: the directory is what it was, or carries its mark.
        if plan == .rewind || plan == .reclone {
            rejoining.note(text, at: now, first: .seconds(5), longest: .seconds(300))
        }
    }

    private mutating func noteFailedCopy(of source: String, at now: BootInstant) {
        guard failedCopies != nil else { return failedCopies = .init(source: source, last: now) }
        failedCopies?.add(source, at: now)
    }
}
