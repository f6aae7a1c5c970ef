import ClusterModel
import HighAvailability
import Ports

extension CycleMachine {
    // MARK: Observing

    /// A cycle that only the time has begun, while somebody leads and nothing is under way, has most likely nothing to
    /// do. What it decides is not taken from a view that may be old by a moment: a lease is renewed by what the store
    /// then says, and nobody claims a key before it was seen to be gone.
    mutating func beginCycle(_ run: inout Run, isRoutine: Bool = false) {
        schedule.begin(at: run.now)
        look(&run)
        let isQuiet =
            isRoutine && progress == nil && storeFailure == nil && view?.leader != nil
            && mayLookProlong(me, view, lease: lease, settings.timings, at: run.now)
        let request = isQuiet ? view.map(StoreRequest.refresh) ?? .load : .load
        run.emit(.store(request, deadline: storeDeadline(run.now)))
    }

    /// A request to the store ends in time for a leader to stop PostgreSQL before its lease does. What a plan has left
    /// was not seen yet where one has just ended: a promotion's primary, most likely.
    func storeDeadline(_ now: BootInstant) -> BootInstant {
        let deadline = now + settings.timings.retryTimeout
        guard let lease, mayBeWritable || !sight.isCurrent else { return deadline }
        let asksOthers = settings.failsafeMode && !settings.isPaused
        return LeaseArithmetic.requestEnds(deadline, lease, settings.timings, asksOthers: asksOthers, at: now)
    }

    mutating func observed(_ status: PostgreSQLStatus, _ run: inout Run) {
        sight.see(status)
        wantCheckpoint(after: status)
        if case .publishBootstrap? = currentStep { publishBootstrap(&run) }
        startWhenSeen(&run)
        releaseWhenSeen(&run)
        run.isNews = true
        if sight.isCurrent { answerFinishedCommands(&run) }
        if case .observing(_, let store)? = stage {
            schedule.cycle?.stage = .observing(local: true, store: store)
            if store { decideNow(&run) }
        } else if stage == .lookingAgain {
            decideNow(&run)
        } else {
            tellOfChange(&run)
            if isIdle { goOnWithSynchronous(&run) }
            if isIdle { keepStatusBetween(&run) }
        }
    }

    mutating func loaded(_ result: Result<ClusterView, DCSError>, _ run: inout Run) {
        guard case .observing(let local, false)? = stage else { return }
        schedule.cycle?.stage = .observing(local: local, store: true)
        schedule.cycle?.hasWaited(until: run.now)
        switch result {
        case .success(let view): see(view, &run)
        case .failure(let error):
            sight.storeIsSilent(error.description)
            resumeAtLast(&run)
        }
        if local { decideNow(&run) }
    }

    private mutating func see(_ view: ClusterView, _ run: inout Run) {
        let before = self.view
        // A store that has begun another life counts anew: its numbers mean other values.
        if let before, view.life != before.life || view.revision < before.revision {
            configuration.forgetRevision()
            sight.storeBeganAnew(ttl: settings.timings.ttl, at: run.now)
        }
        if let before, view.life != before.life {
            tenure.failsafe.storeBeganAnew()
            memory.slots.storeBeganAnew(at: run.now)
            // What it shows as handed over is of a life before the last leader, or of one that knew of it.
            memory.leaderSince = memory.leaderSince.map { _ in view.revision + 1 }
        }
        identity.lookForNamesake(in: view, session: lease?.session)
        let isMine = view.leaderName == me.name
        if sight.see(view, isMine: isMine, asked: schedule.began, wallTime: run.wallTime) {
            run.log(.info, "the DCS answers again")
            comeBack(&run)
        }
        if let leader = view.leaderName, leader != me.name {
            schedule.backOff.succeeded()
            memory.promotions = Memory.Promotions()
        }
        if !isMine || namesake != nil, lease != nil, !goesOnWithoutKey(view, at: run.now) {
            tenure.ends()
            // Health checks must not have to wait for the rest of the cycle.
            run.isNews = true
        }
        // Somebody else has led between the race and the claim, which finds a free key all the same.
        if isMine, tenure.hasRacedInVain(view) { memory.hasWonKey = false }
        if !isMine {
            memory.hasWonKey = false
            tenure.synchronous.leadsNoMore()
        }
        if let sync = sight.view?.sync { tenure.synchronous.see(sync) }
        tenure.failsafe.heed(view)
        tenure.failsafe.see(view, isLeading: isMine && namesake == nil, hasLease: lease != nil)
        adoptSharing(view, &run)
        if !renewsBeforeResuming(view, &run) { adoptConfiguration(of: view, &run) }
        if settings.isStandbyCluster { sight.seesStandbyCluster() }
    }

    /// Another node of our name is told of once, and again when it has gone and come back.
    private mutating func tellOfNamesake(_ run: inout Run) {
        guard told.isThere(namesake) else { return }
        guard let namesake else {
            return run.log(.info, "no other node is a member under the name \(me.name) any more")
        }
        run.log(
            .error,
            "\(namesake) is a member under the name \(me.name), which is mine: I put no key before its own has gone")
    }

    // MARK: Deciding

    mutating func decideNow(_ run: inout Run) {
        // A plan has ended since this cycle looked.
        if progress == nil, !sight.isCurrent { return beginCycle(&run) }
        tellOfNamesake(&run)
        let decision = decide(run)
        note(decision, &run)
        act(on: decision, &run)
    }

    func observation(_ run: Run) -> Observation {
        var seen = Observation(
            now: run.now, me: me, settings: configuration.$settings, view: sight.$view, local: sight.$local)
        seen.wallTime = run.wallTime
        seen.storeFailure = storeFailure
        seen.lease = lease
        if let answers = schedule.cycle?.answers { seen.answers = answers }
        seen.running = progress?.running
        seen.pulse = pulse
        seen.isServerGone = sight.isServerGone
        seen.namesake = namesake
        seen.notStreamingSince = sight.notStreamingSince
        seen.watchdogFailure = me.requiresWatchdog ? guardian?.watchdogFailure : nil
        seen.failsafe = tenure.failsafe.facts(granted: tenure.granted)
        seen.repairsWait = schedule.backOff.waits(at: run.now)
        seen.isSyncUncertain = tenure.synchronous.isUncertain
        return seen
    }

    /// While a comparison is not due again its last answer stands, where nothing but waiting comes of it: whoever acts
    /// asks anew.
    private mutating func decide(_ run: Run) -> Decision {
        let seen = observation(run)
        if seen.divergence == nil, let answer = sight.comparisons.answer(for: seen) {
            var (old, memory) = (seen, memory)
            old.divergence = answer
            old.comparedAt = sight.comparisons.comparedAt
            let decision = rules.decide(old, &memory)
            if case .wait = decision.action {
                self.memory = memory
                return decision
            }
        }
        return rules.decide(seen, &memory)
    }

    /// Quiet cycles say the same again and again: an equal line goes to the debug log.
    mutating func note(_ decision: Decision, _ run: inout Run) {
        let isNews = told.decided(decision, wallTime: run.wallTime)
        guard run.writesLog else { return }
        if case .ask = decision.action { return run.log(.debug, "\(decision)") }
        let line = "\(decision.action.summary). I am \(me.name) (\(role.rawValue))" + reasonsText(decision)
        run.log(isNews ? decision.needsOperator == nil ? .info : .warning : .debug, line)
    }

    private func reasonsText(_ decision: Decision) -> String {
        decision.reasons.isEmpty ? "" : ", " + decision.reasons.map { "\($0)" }.joined(separator: "; ")
    }

    private mutating func act(on decision: Decision, _ run: inout Run) {
        let deadline = storeDeadline(run.now)
        switch decision.action {
        case .wait:
            if isLeading { schedule.backOff.hasNothingToDo(at: run.now) }
            endCycle(&run)
        case .ask(let question): ask(question, &run)
        case .acquireLeader:
            if backsOff(&run) { return }
            if isRaceOutdated(run) { return beginCycle(&run) }
            schedule.cycle?.stage = .acting
            schedule.cycle?.isClaiming = true
            run.emit(.store(.acquire, deadline: deadline))
        case .releaseLeader:
            guard hasLooked(since: schedule.cycle?.waitedUntil ?? run.now, &run) else {
                schedule.cycle?.stage = .lookingAgain
                return
            }
            guard mayGiveUpKey(&run) else { return endCycle(&run) }
            schedule.cycle?.stage = .acting
            tenure.ends()
            run.isNews = true
            run.emit(.store(.release(status: nil), deadline: deadline))
        case .initializeCluster:
            if backsOff(&run) { return }
            schedule.cycle?.stage = .acting
            run.emit(.store(.write(.initialize, .text(""), .absent, .initialize), deadline: deadline))
        case .write(let repair):
            if backsOff(&run) { return }
            self.repair(repair, deadline, because: decision.reasons, &run)
        case .carryOut(let plan):
            begin(plan, &run)
            endCycle(&run)
        case .breakOff(let plan):
            breakOff(for: plan, &run)
            endCycle(&run)
        case .exit:
            run.log(.critical, decision.reasons.map { "\($0)" }.joined(separator: "; "))
            life.end(code: 1)
            run.emit(.local(.exit(code: 1)))
        }
    }

    private mutating func ask(_ question: Question, _ run: inout Run) {
        guard schedule.cycle?.mayAsk() ?? false else { return endCycle(&run) }
        schedule.cycle?.stage = .asking
        schedule.cycle?.waits(for: question.awaited)
        let ttl = settings.timings.ttl
        switch question {
        case .renewal: askForRenewal(&run)
        case .peers(let members):
            run.emit(.peers(members, .decision, deadline: run.now + LeaseArithmetic.peerPatience(ttl: ttl)))
        case .renewalAndPeers(let members):
            askForRenewal(&run)
            run.emit(.peers(members, .decision, deadline: run.now + LeaseArithmetic.receiptPatience(ttl: ttl)))
        case .failsafe(let members): askFailsafe(members, &run)
        case .divergence(let source):
            run.emit(.node(.compare(source, deadline: run.now + .seconds(5))))
        }
    }

    private mutating func askForRenewal(_ run: inout Run) {
        if case .releaseLeader? = currentStep { return endCycle(&run) }
        let isCovered = tenure.renews(ttl: settings.timings.ttl, at: run.now)
        run.emit(.store(.renew(view?.leader, replacingGone: isCovered), deadline: storeDeadline(run.now)))
    }

    /// Decides as soon as nothing is waited for that was asked at the same time.
    mutating func decideWhenAnswered(_ run: inout Run) {
        if schedule.cycle?.awaits.isEmpty ?? false { decideNow(&run) }
    }

    private mutating func repair(
        _ repair: DCSRepair, _ deadline: BootInstant, because reasons: [Reason], _ run: inout Run
    ) {
        schedule.cycle?.stage = .acting
        switch repair {
        case .systemIdentifier(let value):
            run.emit(
                .store(
                    .write(.initialize, .text(value), .asSeen(view?.initializeRevision), .repair), deadline: deadline))
        case .configuration:
            let document = DCSValue.object(settings.document)
            run.emit(.store(.write(.config, document, .asSeen(view?.config?.revision), .repair), deadline: deadline))
        case .sync(let state):
            let condition = WriteCondition.leadingAsSeen(view?.sync.revision)
            run.emit(
                .store(
                    state.map { .write(.sync, .object($0.json), condition, .repair) }
                        ?? .delete(.sync, condition, .repair),
                    deadline: deadline))
        case .requestFailover(let request):
            run.emit(
                .store(
                    .write(
                        .failover, .object(request.json), .asSeen(view?.failoverRevision), .requestSwitchover),
                    deadline: deadline))
        case .rollingRestart(let rolling):
            let condition: WriteCondition =
                isLeading ? .leadingAsSeen(rolling.revision) : .unchanged(since: rolling.revision)
            run.emit(
                .store(.write(.rollingRestart, .object(rolling.json), condition, .repair), deadline: deadline))
        case .clearFailover(let revision):
            let ended = FailoverRequest.ended(because: reasons.map { "\($0)" }.joined(separator: "; "))
            run.emit(
                .store(.write(.failover, .object(ended), .unchanged(since: revision), .repair), deadline: deadline))
        }
    }

    // MARK: The end of a cycle

    /// Ends a cycle that must not be repeated at once.
    mutating func pauseBeforeNextCycle(_ pause: Duration, _ run: inout Run) {
        endCycle(&run)
        if isIdle { schedule.hasten(to: run.now + pause) }
    }

    mutating func endCycle(_ run: inout Run) {
        // What the cycle began may have been the last thing that this daemon does.
        if life.hasEnded { return }
        let isAgain = schedule.end(next: plannedCycle(run.now))
        if let due = judgementDue(run.now) { schedule.hasten(to: due) }
        if let due = promisesDue(run.now) { schedule.hasten(to: due) }
        if let due = memory.raceBackoffEnds(settings, after: run.now) { schedule.hasten(to: due) }
        if memory.hasToLookAgain { schedule.hasten(to: run.now + Self.lookInterval) }
        keepKeys(&run)
        run.isNews = true
        carryOutCommands(&run)
        if isAgain, isIdle { beginCycle(&run) }
    }

    /// The leader renews well before its lease ends; who could not reach the store tries again soon.
    private func plannedCycle(_ now: BootInstant) -> BootInstant {
        if storeFailure != nil { return now + LeaseArithmetic.retryInterval(settings.timings) }
        if let lease, view?.leaderName == me.name {
            let pause = LeaseArithmetic.renewalInterval(settings.timings, safetyMargin: lease.safetyMargin)
            return max(lease.since + pause, now + .milliseconds(100))
        }
        return now + settings.timings.loopWait
    }

    /// A store that hangs must not outlast the lease: at `stopBy` the decision is made without its answer.
    mutating func guardLease(_ run: inout Run) {
        guard !life.hasEnded, let lease, mayBeWritable, run.now >= LeaseArithmetic.stopBy(lease) else {
            return
        }
        if progress?.kind.takesDown == .forLackOfLease { return }
        if progress?.successor != nil || settings.isPaused { return }
        // A daemon that was restarted late has not asked the store yet; its guardian stands by the lease.
        if tenure.isUnproven, storeFailure == nil { return }
        var seen = observation(run)
        seen.storeFailure = seen.storeFailure ?? "the DCS has not answered in time"
        let decision = rules.decide(seen, &memory)
        note(decision, &run)
        switch decision.action {
        case .carryOut(let plan): begin(plan, &run)
        case .breakOff(let plan): breakOff(for: plan, &run)
        case .wait, .ask, .acquireLeader, .releaseLeader, .initializeCluster, .write, .exit: break
        }
    }
}
