import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    mutating func handle(_ event: Event) {
        switch event {
        case .deliver(let node, let incarnation, let answer):
            if isAwake(node, incarnation, event) { deliver(answer, to: node, incarnation) }
        case .timer(let node, let incarnation, let number):
            if nodes[node].timers == number, isAwake(node, incarnation, event) {
                deliver(.timer, to: node, incarnation)
            }
        case .effect(let node, let incarnation, let effect):
            if isAwake(node, incarnation, event) { carryOutLate(effect, node, incarnation) }
        case .request(let sent): answer(sent)
        case .attempt(let sent, let failure): goOn(sent, after: failure)
        case .up(let node, let era): comeUp(node, era)
        case .promoted(let node, let era): finishPromotion(node, era)
        case .promotionCrashes(let node, let era): crashPromoting(node, era)
        case .startFailed(let node, let era): failStart(node, era)
        case .drain(let node, let era, let until): drain(node, era, until)
        case .startedByHand(let node, let era): startByHand(node, era)
        case .reread(let node, let era): reread(node, era)
        case .act(let node, let era): act(node, era)
        case .finish(let node, let operation): finish(node, operation)
        case .guardian(let node): guardianLooks(node)
        case .replicate:
            replicate()
            queue.add(.replicate, at: now + .milliseconds(250))
        case .sweep:
            if storeIsDown == 0 { store.sweep(now) }
            tellWatchers()
            queue.add(.sweep, at: now + .milliseconds(500))
        case .look: look()
        case .begin(let index): begin(setup.faults[index].kind)
        case .heal(let index): heal(setup.faults[index])
        case .startDaemon(let node): startDaemon(node)
        case .failsafe(let number, let message): handle(message, of: number)
        case .trouble(let node, let trouble): handle(trouble, node)
        }
    }

    /// False for a daemon that is gone; what a frozen one would hear waits.
    private mutating func isAwake(_ index: Int, _ incarnation: Int, _ event: Event) -> Bool {
        guard nodes[index].incarnation == incarnation, nodes[index].machine != nil else { return false }
        if nodes[index].isFrozen {
            nodes[index].deferred.append(event)
            return false
        }
        return hasProcessor(index, event)
    }

    mutating func startDaemon(_ index: Int) {
        guard nodes[index].machine == nil, nodes[index].heldDown == 0 else { return }
        nodes[index].incarnation += 1
        nodes[index].timers += 1
        nodes[index].published = nil
        store.forgetSession(of: name(index))
        beginClient(index)
        nodes[index].leaderSession = nil
        nodes[index].unheardUntil = nil
        nodes[index].standingOrder = nil
        nodes[index].ttl = .seconds(30)
        if setup.bug == .namesForgottenAtRestart { nameAtOnce(.configured, index) }
        nodes[index].machine = CycleMachine(machineSetup(index), now: now)
        note("\(name(index)): the daemon starts")
        nodes[index].daemonBegan = now
        nodes[index].sawPauseAt = nil
        nodes[index].leaderKey = World.SeenKey()
        nodes[index].inflow = nil
        watchInherited(index)
        deliver(.timer, to: index, nodes[index].incarnation)
    }

    func identity(_ index: Int) -> NodeIdentity { NodeIdentity(name: name(index), tags: tags(index)) }

    private func machineSetup(_ index: Int) -> CycleMachine.Setup {
        let name = nodes[index].name
        var setup = CycleMachine.Setup(
            scope: "sim", me: identity(index),
            addresses: MemberKey.Addresses(
                connectionURL: "postgres://\(name):5432/postgres", apiURL: "http://\(name):8008/patroni",
                version: "4.1.5", ownVersion: "0"),
            document: document)
        setup.writesLog = self.setup.traces
        if let bug = self.setup.bug {
            setup.rules.decide = bug.decider
            setup.rules.looksBeforeRelease = bug.looksBeforeRelease
            setup.rules.looksBeforePromotion = bug != .promotionWithoutRereading
            setup.rules.backsOff = bug != .refusalsHammered
            if let decider = bug.slotDecider { setup.rules.slots = decider }
            if let decider = bug.synchronousDecider { setup.rules.synchronous = decider }
            setup.rules.waitsForSettling = bug != .settlingSkipped
        }
        setup.rules.failsafeSlip = self.setup.bug?.failsafeSlip
        setup.hasGuardian = self.setup.guardian
        let server = nodes[index].postgreSQL
        setup.inheritedLease = server.acceptsWrites || server.isPromoting ? nodes[index].toldLease : nil
        return setup
    }

    /// `/config` as the operator has it.
    var document: JSONObject {
        var document: JSONObject = [
            "ttl": .int(Int64(configuration.ttl)), "loop_wait": 10, "retry_timeout": 10,
            "maximum_lag_on_failover": .int(Int64(configuration.maximumLag)), "slots": ["kept": ["type": "physical"]],
        ]
        if checksTimeline { document["check_timeline"] = true }
        configuration.synchronous.write(to: &document)
        if setup.isFailsafe { document["failsafe_mode"] = true }
        if let seconds = setup.failsafeTimeout { document["failsafe_timeout"] = .double(seconds) }
        if setup.raceBackoff > 0 { document["primary_race_backoff"] = .int(Int64(setup.raceBackoff)) }
        setup.tempers.write(to: &document)
        if configuration.isPaused { document["pause"] = true }
        if configuration.followers > 0 { document["standby_cluster"] = ["host": .string(Self.hostElsewhere)] }
        return document
    }

    /// The daemon is gone; PostgreSQL stays as it is.
    mutating func endDaemon(_ index: Int) {
        orphan(index)
        nodes[index].machine = nil
        nodes[index].incarnation += 1
        nodes[index].deferred = []
        nodes[index].published = nil
    }

    mutating func deliver(_ event: CycleEvent, to index: Int, _ incarnation: Int) {
        let event = setup.bug?.changed(event, now) ?? event
        if case .store(.released(.failure)) = event { store.forgetSession(of: name(index)) }
        if case .store(.renewed(.success(.held(let since, let ttl, _)))) = event, since + ttl <= now {
            coverage.count(.frozenRenewal)
        }
        let wall = now.nanoseconds + nodes[index].wallOffset
        guard let effects = nodes[index].machine?.step(event, now: now, wallTime: wall) else { return }
        noteLeaderKey(event, index)
        for effect in effects { carryOut(effect, index, incarnation) }
    }

    mutating func reply(_ event: CycleEvent, to node: Int, _ incarnation: Int, after range: ClosedRange<Int>) {
        let at = now + generator.milliseconds(in: range)
        queue.add(.deliver(node: node, incarnation: incarnation, event), at: at)
    }

    // MARK: Effects

    private mutating func carryOut(_ effect: CycleEffect, _ index: Int, _ incarnation: Int) {
        switch effect {
        case .store(let request, let deadline): send(request, deadline, index, incarnation)
        case .node(let request): carryOut(request, index, incarnation)
        case .peers(let members, let purpose, let deadline): askPeers(members, purpose, deadline, index, incarnation)
        case .failsafe(let ping, let members, let sent, let deadline):
            askFailsafe(ping, members, sent: sent, deadline, index, incarnation)
        case .guardian(let order, _): takeOrder(order, index, incarnation)
        case .local(let effect): carryOut(effect, index, incarnation)
        }
    }

    private mutating func carryOut(_ effect: LocalEffect, _ index: Int, _ incarnation: Int) {
        switch effect {
        case .setTimer(let instant):
            nodes[index].timers += 1
            queue.add(.timer(node: index, incarnation: incarnation, number: nodes[index].timers), at: max(instant, now))
        case .retryReceipt(let instant, let plan):
            queue.add(.deliver(node: index, incarnation: incarnation, .receiptRetry(plan: plan)), at: instant)
        case .adoptTimings(let timings):
            if timings.ttl != nodes[index].ttl, nodes[index].published?.snapshot.lease != nil {
                coverage.count(.sessionChanged)
            }
            nodes[index].ttl = timings.ttl
        // Commands come from operators of the world's own.
        case .cacheConfiguration, .reply: break
        case .replyFailsafe(let number, let answer): replyFailsafe(number, answer, index)
        case .publish(let published): show(published, index)
        case .log(let level, let text):
            note("\(name(index)): \(level == .info || level == .debug ? "" : "[\(level)] ")\(text)")
        case .exit: exit(index)
        }
    }

    private mutating func carryOut(_ request: NodeRequest, _ index: Int, _ incarnation: Int) {
        switch request {
        case .observe(_, let deadline): observe(deadline, index, incarnation)
        case .compare(let source, let deadline): compare(source, deadline, index, incarnation)
        case .perform(let operation, let slots, let plan):
            soon(.perform(operation, slots: slots, plan: plan), index, incarnation)
        case .breakOff: soon(.breakOff, index, incarnation)
        case .applySlots(let actions, _): soon(.applySlots(actions), index, incarnation)
        case .checkpoint: checkpoint(index, incarnation)
        case .proveCopy(let postmaster):
            guard nodes[index].postgreSQL.pid == postmaster else { return }
            nodes[index].postgreSQL.isUnproven = false
            coverage.count(.copyProven)
        case .readHistory(let timeline): readHistory(timeline, index, incarnation)
        case .nameSynchronous(let setting): soon(.nameSynchronous(setting), index, incarnation)
        case .adoptConfiguration:
            // Whatever stands in the file is read on the way.
            queue.add(
                .reread(node: index, era: nodes[index].postgreSQL.era), at: now + generator.milliseconds(in: 1...50))
            reply(.node(.configurationAdopted(.success(()))), to: index, incarnation, after: 1...50)
        }
    }

    private mutating func soon(_ doing: Late, _ index: Int, _ incarnation: Int) {
        checkIntention(doing, index)
        queue.add(
            .effect(node: index, incarnation: incarnation, doing),
            at: now + .microseconds(generator.number(in: 1...900)))
    }

    private mutating func carryOutLate(_ doing: Late, _ index: Int, _ incarnation: Int) {
        switch doing {
        case .perform(let operation, let slots, let plan):
            apply(slots, index)
            perform(operation, plan, index, incarnation)
        case .breakOff: breakOff(index)
        case .applySlots(let actions): apply(actions, index)
        case .nameSynchronous(let setting): name(setting, index, incarnation)
        }
    }

    private mutating func show(_ published: PublishedSnapshot, _ index: Int) {
        let isPaused = published.snapshot.settings.isPaused
        if isPaused || nodes[index].isPaused { nodes[index].pausedUntil = now }
        nodes[index].isPaused = isPaused
        noteFollowing(published, index)
        notePause(published, index)
        if let decision = published.snapshot.decision { count(decision) }
        if published.leadsByPromises(at: now), store.leader == nil { coverage.count(.keyOutlived) }
        if published.snapshot.running?.plan.steps.contains(.leaveDuty) == true { coverage.count(.dutyLeft) }
        if self.setup.isFailsafe {
            for member in published.snapshot.view?.members ?? [] { nodes[index].sawKey[member.name] = now }
        }
        nodes[index].published = published
    }

    private mutating func count(_ decision: Decision) {
        countCheckpointer(decision)
        for reason in decision.reasons {
            if case .race(.laggingBehindStatus) = reason { coverage.count(.lagRefused) }
            if case .race(.peerIsAhead) = reason { coverage.count(.peerAhead) }
            if case .eligibility(.notInSynchronousSet) = reason { coverage.count(.notInSync) }
            if case .race(.tooFewVotes) = reason { coverage.count(.tooFewVotes) }
            if case .race(.peerHasPriority) = reason { coverage.count(.lowerPriority) }
            if case .backoff(.leaderMayReturn) = reason { coverage.count(.raceHeldBack) }
            if case .backoff(.walArrives) = reason { coverage.count(.walArrived) }
            if case .follow(.goesInCircles) = reason { coverage.count(.circleLeft) }
            if case .failsafe(.granted) = reason { coverage.count(.failsafeGranted) }
            if case .failsafe(.notAll) = reason { coverage.count(.failsafeRefused) }
            if case .failsafe(.mayBeBound) = reason { coverage.count(.heldBackAtStart) }
        }
    }

    private mutating func exit(_ index: Int) {
        note("\(name(index)): the daemon ends")
        endDaemon(index)
        queue.add(.startDaemon(index), at: now + .seconds(5))
    }

    private mutating func readHistory(_ timeline: TimelineID, _ index: Int, _ incarnation: Int) {
        let lines = nodes[index].postgreSQL.log.switchPoints.map {
            TimelineHistory.Line(
                timeline: $0.timeline, position: SimulatedPostgreSQL.position($0.end),
                reason: "no recovery target specified")
        }
        reply(
            .node(.historyRead(timeline, lines, writtenAt: "2026-01-01T00:00:00+00:00")), to: index, incarnation,
            after: 1...5)
    }

    private mutating func apply(_ actions: [SlotAction], _ index: Int) {
        // SQL, which a server that is down does not take.
        guard nodes[index].postgreSQL.process == .running else { return }
        for action in actions {
            checkSlot(action, index)
            switch action {
            case .create(let name): nodes[index].postgreSQL.slots[name] = nodes[index].postgreSQL.log.count
            case .drop(let name): nodes[index].postgreSQL.slots[name] = nil
            case .createLogical, .advanceLogical, .verifyLogical: break
            case .advance(let name, let position):
                // The statement looks at the slot again: a receiver may have moved it.
                let present = nodes[index].postgreSQL.slots[name] ?? 0
                nodes[index].postgreSQL.slots[name] = max(present, SimulatedPostgreSQL.records(position))
            }
        }
    }
}
