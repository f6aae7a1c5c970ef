import ClusterModel
import HighAvailability
import Ports

extension CycleMachine {
    // MARK: Observing

    /// A cycle that only the time has begun, while somebody leads and nothing is under way, has most likely nothing to
    /// do. What it decides is not taken from a view that may be old by a moment: a lease is renewed by what the store
    /// then says, and nobody claims a key before it was seen to be gone.
    mutating func beginCycle(_ run: inout Run, isRoutine: Bool = false) {
        phase = .observing(local: false, store: false)
        again = false
        cycle = Cycle(began: run.now)
        sight.lookedAt = run.now
        run.emit(.node(.observe(deadline: run.now + .seconds(3))))
        let isQuiet = isRoutine && progress == nil && storeFailure == nil && view?.leader != nil
        let request = isQuiet ? view.map(StoreRequest.refresh) ?? .load : .load
        run.emit(.store(request, deadline: storeDeadline(run.now)))
    }

    /// A request to the store ends in time for a leader to stop PostgreSQL before its lease does.
    func storeDeadline(_ now: BootInstant) -> BootInstant {
        let deadline = now + settings.timings.retryTimeout
        guard let lease, local.mayAcceptWrites else { return deadline }
        return max(min(deadline, LeaseArithmetic.stopBy(lease)), now + .milliseconds(500))
    }

    mutating func observed(_ status: PostgreSQLStatus, _ run: inout Run) {
        sight.see(status)
        if case .publishBootstrap? = currentStep { publishBootstrap(&run) }
        run.isNews = true
        if sight.isCurrent { answerFinishedCommands(&run) }
        if case .observing(_, let store) = phase {
            phase = .observing(local: true, store: store)
            if store { decideNow(&run) }
        } else {
            tellOfChange(&run)
        }
    }

    mutating func loaded(_ result: Result<ClusterView, DCSError>, _ run: inout Run) {
        guard case .observing(let local, false) = phase else { return }
        phase = .observing(local: local, store: true)
        switch result {
        case .success(let view): take(view, &run)
        case .failure(let error): sight.storeIsSilent(error.description)
        }
        if local { decideNow(&run) }
    }

    private mutating func take(_ view: ClusterView, _ run: inout Run) {
        let before = self.view
        // A store that has begun another life counts anew: its numbers mean other values.
        if let before, view.revision < before.revision { configurationRevision = nil }
        foundNamesake = findNamesake(in: view)
        if sight.see(view, asked: cycle.began, wallTime: run.wallTime) { run.log(.info, "the DCS answers again") }
        if let leader = view.leaderName, leader != me.name { backOff.succeeded() }
        if view.leaderName != me.name || namesake != nil, lease != nil {
            tenure.ends()
            // Health checks must not have to wait for the rest of the cycle.
            run.isNews = true
        }
        if view.leaderName != me.name { memory.hasWonKey = false }
        for member in view.members { memberMarks[member.name] = mark(of: member.data) }
        adoptSharing(view, &run)
        defer { tellUnbuilt(&run) }
        guard let config = view.config, config.isValid, config.revision != configurationRevision else { return }
        configurationRevision = config.revision
        if config.data.isEmpty || JSONValue.object(config.data).deepEquals(.object(settings.document)) { return }
        guard let settings = DynamicConfiguration(document: config.data, isShared: settings.isShared) else {
            return run.log(.error, "/config has timings that are no numbers; the last good configuration goes on")
        }
        adopt(settings, &run)
        adopt(config.data, &run)
    }

    /// What nobody does yet is said once for each change, and loudly: whoever has set it relies on it.
    private mutating func tellUnbuilt(_ run: inout Run) {
        guard settings.unbuilt != toldUnbuilt else { return }
        for setting in settings.unbuilt where !toldUnbuilt.contains(setting) {
            run.log(.error, "/config asks for what this version does not do: \(setting)")
        }
        for setting in toldUnbuilt where !settings.unbuilt.contains(setting) {
            run.log(.info, "/config asks no more for \(setting.key), which this version does not do")
        }
        toldUnbuilt = settings.unbuilt
    }

    /// A member of the peer's goes by no ttl below its minimum: then nobody does (configuration.md §4.2).
    private mutating func adoptSharing(_ view: ClusterView, _ run: inout Run) {
        let foreign = view.members.first { $0.name != me.name && $0.ownVersion == nil }
        guard (foreign != nil) != settings.isShared,
            let settings = DynamicConfiguration(document: settings.document, isShared: foreign != nil)
        else { return }
        let before = self.settings.timings
        adopt(settings, &run)
        guard settings.timings != before else { return }
        let change = "ttl goes from \(before.ttl.components.seconds) to \(settings.timings.ttl.components.seconds) s"
        if let foreign {
            run.log(.warning, "\(change): member \(foreign.name) runs Patroni, whose minimum it is")
        } else {
            run.log(.info, "\(change): no member runs Patroni any more")
        }
        run.emit(.local(.adoptTimings(settings.timings)))
    }

    /// What was adjusted of the times is said once.
    private mutating func adopt(_ settings: DynamicConfiguration, _ run: inout Run) {
        if settings.timingWarnings != self.settings.timingWarnings {
            for warning in settings.timingWarnings { run.log(.warning, warning) }
        }
        self.settings = settings
    }

    /// Hands a document to the store and to PostgreSQL; to the latter only while no operation runs.
    mutating func adopt(_ document: JSONObject, _ run: inout Run) {
        run.emit(.local(.adoptTimings(settings.timings)))
        if progress == nil {
            run.emit(.node(.adoptConfiguration(document)))
        } else {
            documentToAdopt = document
        }
    }

    // MARK: Deciding

    mutating func decideNow(_ run: inout Run) {
        // A plan has ended since this cycle looked.
        if progress == nil, !sight.isCurrent { return beginCycle(&run) }
        tellOfNamesake(&run)
        let decision = decider(observation(run), &memory)
        self.decision = decision
        note(decision, &run)
        act(on: decision, &run)
    }

    private func observation(_ run: Run) -> Observation {
        var seen = Observation(
            now: run.now, wallTime: run.wallTime, me: me, settings: settings, view: view, storeFailure: storeFailure,
            local: local, lease: lease, renewal: cycle.renewal, peers: cycle.peers, divergence: cycle.divergence,
            running: progress?.running)
        seen.pulse = pulse
        seen.namesake = namesake
        return seen
    }

    /// Quiet cycles say the same again and again: an equal line goes to the debug log.
    private mutating func note(_ decision: Decision, _ run: inout Run) {
        guard run.writesLog else { return }
        if case .ask = decision.action { return run.log(.debug, "\(decision)") }
        let line = "\(decision.action.summary). I am \(me.name) (\(role.rawValue))" + reasonsText(decision)
        decisions.record(decision, wallTime: run.wallTime)
        let isNews = decision.gist != lastLogged
        lastLogged = decision.gist
        run.log(isNews ? decision.needsOperator == nil ? .info : .warning : .debug, line)
    }

    private func reasonsText(_ decision: Decision) -> String {
        decision.reasons.isEmpty ? "" : ", " + decision.reasons.map { "\($0)" }.joined(separator: "; ")
    }

    private mutating func act(on decision: Decision, _ run: inout Run) {
        let deadline = storeDeadline(run.now)
        switch decision.action {
        case .wait: endCycle(&run)
        case .ask(let question): ask(question, &run)
        case .acquireLeader:
            if backsOff(&run) { return }
            if run.now - cycle.began > LeaseArithmetic.claimPatience(settings.timings) { return beginCycle(&run) }
            phase = .acting
            run.emit(.store(.acquire, deadline: deadline))
        case .releaseLeader:
            guard mayGiveUpKey(&run) else { return endCycle(&run) }
            phase = .acting
            tenure.ends()
            run.isNews = true
            run.emit(.store(.release(status: nil), deadline: deadline))
        case .initializeCluster:
            if backsOff(&run) { return }
            phase = .acting
            run.emit(.store(.write(.initialize, "", .absent, .initialize), deadline: deadline))
        case .write(let repair):
            if backsOff(&run) { return }
            self.repair(repair, deadline, &run)
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
        guard cycle.mayAsk() else { return endCycle(&run) }
        phase = .asking
        switch question {
        case .renewal:
            if case .releaseLeader? = currentStep { return endCycle(&run) }
            let isCovered = tenure.renews(ttl: settings.timings.ttl, at: run.now)
            run.emit(.store(.renew(view?.leader, replacingGone: isCovered), deadline: storeDeadline(run.now)))
        case .peers(let members):
            run.emit(
                .peers(
                    members, .decision, deadline: run.now + LeaseArithmetic.peerPatience(ttl: settings.timings.ttl)))
        case .divergence(let source): run.emit(.node(.compare(source, deadline: run.now + .seconds(5))))
        }
    }

    private mutating func repair(_ repair: DCSRepair, _ deadline: BootInstant, _ run: inout Run) {
        phase = .acting
        switch repair {
        case .systemIdentifier(let value):
            run.emit(.store(.write(.initialize, value, .asSeen(view?.initializeRevision), .repair), deadline: deadline))
        case .configuration:
            let text = compact(.object(settings.document))
            run.emit(.store(.write(.config, text, .asSeen(view?.config?.revision), .repair), deadline: deadline))
        case .clearFailover(let revision):
            run.emit(.store(.write(.failover, "{}", .unchanged(since: revision), .repair), deadline: deadline))
        }
    }

    // MARK: The end of a cycle

    /// Ends a cycle that must not be repeated at once.
    mutating func pauseBeforeNextCycle(_ pause: Duration, _ run: inout Run) {
        endCycle(&run)
        if isIdle { nextCycle = min(nextCycle, run.now + pause) }
    }

    mutating func endCycle(_ run: inout Run) {
        // What the cycle began may have been the last thing that this daemon does.
        if life.hasEnded { return }
        phase = .idle
        nextCycle = plannedCycle(run.now)
        if let due = judgementDue(run.now) { nextCycle = min(nextCycle, due) }
        keepKeys(&run)
        run.isNews = true
        carryOutCommands(&run)
        if again, isIdle { beginCycle(&run) }
    }

    /// The leader renews well before its lease ends; who could not reach the store tries again soon.
    private func plannedCycle(_ now: BootInstant) -> BootInstant {
        if storeFailure != nil { return now + LeaseArithmetic.retryInterval(settings.timings) }
        if let lease, view?.leaderName == me.name {
            return max(lease.since + LeaseArithmetic.renewalInterval(settings.timings), now + .milliseconds(100))
        }
        return now + settings.timings.loopWait
    }

    /// A store that hangs must not outlast the lease: at `stopBy` the decision is made without its answer.
    mutating func guardLease(_ run: inout Run) {
        guard !life.hasEnded, let lease, local.mayAcceptWrites, run.now >= LeaseArithmetic.stopBy(lease) else {
            return
        }
        if let kind = progress?.running.plan.kind, kind == .demote || kind == .demoteOffline { return }
        if progress?.successor != nil || settings.isPaused { return }
        // A daemon that was restarted late has not asked the store yet; its guardian stands by the lease.
        if tenure.isUnproven, storeFailure == nil { return }
        var seen = observation(run)
        seen.storeFailure = seen.storeFailure ?? "the DCS has not answered in time"
        let decision = decider(seen, &memory)
        self.decision = decision
        note(decision, &run)
        switch decision.action {
        case .carryOut(let plan): begin(plan, &run)
        case .breakOff(let plan): breakOff(for: plan, &run)
        case .wait, .ask, .acquireLeader, .releaseLeader, .initializeCluster, .write, .exit: break
        }
    }
}
