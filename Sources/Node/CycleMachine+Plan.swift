import ClusterModel
import HighAvailability
import Ports

extension CycleMachine {
    /// How long a stopped primary waits for a candidate that has not received everything yet.
    static let receiptTimeout = Duration.seconds(5)
    /// Between two questions whether it has.
    static let receiptInterval = Duration.milliseconds(50)
    /// How long a primary that has handed over may archive before it is ended and joins the new leader. What is not
    /// archived by then nobody else archives, so this is long.
    static let archivingPatience = Duration.seconds(300)

    var currentStep: Step? {
        guard let progress, progress.step < progress.running.plan.steps.count else { return nil }
        return progress.running.plan.steps[progress.step]
    }

    mutating func begin(_ plan: Plan, _ run: inout Run) {
        plans += 1
        progress = Progress(
            number: plans, running: RunningPlan(plan: plan, since: run.now), stepBegan: run.now,
            beganWritable: local.mayAcceptWrites)
        if plan.kind == .demote || plan.kind == .demoteOffline { memory.rewind = .suspected }
        runStep(&run)
    }

    /// Ends what runs, PostgreSQL included, and goes on with `plan` when that has returned.
    mutating func breakOff(for plan: Plan, _ run: inout Run) {
        guard progress != nil else { return begin(plan, &run) }
        if progress?.successor != nil { return }
        progress?.successor = plan
        memory.rewind = .suspected
        run.emit(.node(.breakOff(deadline: run.now + .seconds(5))))
        if case .postgreSQL? = currentStep { return }
        // No operation of PostgreSQL's is under way that would return.
        succeed(with: plan, &run)
    }

    private mutating func succeed(with plan: Plan, _ run: inout Run) {
        if let id = progress?.command { run.emit(.local(.reply(id, .failed))) }
        progress = nil
        begin(plan, &run)
    }

    private mutating func runStep(_ run: inout Run) {
        guard let progress else { return }
        guard let step = currentStep else { return finishPlan(&run) }
        switch step {
        case .postgreSQL(let operation):
            run.log(.info, "\(progress.running.plan.kind.rawValue): \(operation.name)")
            let slots: [SlotAction] =
                if case .promote = operation, let view { slotsBeforePromotion(me, view, settings, local) } else { [] }
            run.opensTheDoor = run.opensTheDoor || operation.opensTheDoor
            run.emit(.node(.perform(operation, slots: slots, plan: progress.number)))
        case .confirmReceipt: askForReceipt(progress.number, &run)
        case .releaseLeader: if !tenure.isRenewing { releaseLeader(&run) }
        case .publishBootstrap: run.emit(.node(.observe(deadline: run.now + .seconds(3))))
        }
    }

    /// From here on nobody here is the leader, whatever the store answers.
    mutating func releaseLeader(_ run: inout Run) {
        guard mayGiveUpKey(&run) else { return }
        let status = handedOverStatus()
        tenure.ends()
        run.isNews = true
        run.emit(.store(.release(status: status), deadline: run.now + settings.timings.retryTimeout))
    }

    /// `/status` with the end of the WAL, the rest as it was last known (dcs.md §2.5).
    private func handedOverStatus() -> JSONObject? {
        guard let positions = progress?.positions, var status = view?.status else { return nil }
        status.optime = positions.required
        status.handedOverBy = me.name
        return status.json
    }

    mutating func finishStep(_ run: inout Run) {
        progress?.step += 1
        progress?.stepBegan = run.now
        runStep(&run)
    }

    // MARK: Operations

    mutating func performed(
        _ plan: Int, _ result: Result<OperationResult, PostgreSQLError>, _ run: inout Run
    ) {
        guard let progress, progress.number == plan, case .postgreSQL(let operation)? = currentStep else { return }
        if let successor = progress.successor { return succeed(with: successor, &run) }
        switch result {
        case .failure(let error):
            failPlan("\(operation.name) failed: \(error)", operation, &run, isFinal: error.isFinal)
        case .success(.stillStarting):
            run.log(.info, "\(operation.name): PostgreSQL is still starting")
            self.progress?.isStillStarting = true
            finishStep(&run)
        case .success(let outcome):
            learn(from: operation, &run)
            tookDown(outcome, &run)
            finishStep(&run)
        }
    }

    /// Where the WAL of a server that was stopped ends. One that archives still is waited for at the end of the plan,
    /// when somebody else leads.
    private mutating func tookDown(_ outcome: OperationResult, _ run: inout Run) {
        let positions: ShutdownPositions
        switch outcome {
        case .done, .stillStarting, .shutDown(nil): return
        case .shutDown(let found?): positions = found
        case .archiving(let found):
            positions = found
            sight.assumeShutDown()
            progress?.running.plan.steps.append(.postgreSQL(.stop(.fast, timeout: Self.archivingPatience)))
            run.log(.info, "PostgreSQL has written its last record, and archives still")
        }
        if progress?.positions == positions { return }
        progress?.positions = positions
        run.log(.info, "PostgreSQL was shut down at \(positions.checkpoint) on timeline \(positions.timeline)")
    }

    /// What a successful operation changes in memory.
    private mutating func learn(from operation: PostgreSQLOperation, _ run: inout Run) {
        switch operation {
        case .startStandby(let upstream, _), .follow(let upstream): memory.following = .upstream(upstream)
        case .clone, .rewind:
            memory.rewind = .unsuspected
            memory.kept = nil
            memory.rejoining = Memory.Retries()
            memory.ledTimeline = nil
            memory.failedCopies = nil
        case .promote:
            chores.want(.checkpoint)
            memory.following = .unknown
            memory.rewind = .unsuspected
            memory.kept = nil
        case .startPrimary, .bootstrap:
            memory.following = .unknown
            memory.rewind = .unsuspected
        case .stop:
            if progress?.running.plan.kind == .handOver { memory.isHandingOver = true }
            // Until the next observation: what is stopped accepts no writes, and no rule needs to break this plan off.
            sight.assumeStopped(at: run.now)
        case .finishBootstrap: sight.assumeFinished()
        case .restart, .resumeReplay, .recoverSingleUser, .setAsideDataDirectory, .copyLogicalSlots: break
        }
    }

    private mutating func finishPlan(_ run: inout Run) {
        guard let progress else { return }
        let finished = progress.running
        if let id = progress.command {
            commands.finish(id, progress.isStillStarting ? .stillStarting : .done)
        }
        self.progress = nil
        sight.planEnded = run.now
        let took = (run.now - finished.since).nanoseconds / 1_000_000
        run.log(.info, "\(finished.plan.kind.rawValue): done in \(took) ms")
        // What the shutdown had to wait for may have left PostgreSQL running, and an operator may have started it.
        if life.isShuttingDown, local.postmaster != nil, finished.plan.kind != .shutdown || local.mayAcceptWrites {
            return shutDown(&run)
        }
        if finished.plan.kind == .shutdown || life.isShuttingDown {
            // A claim that was on its way when the shutdown began may have won the key since.
            return lease == nil ? end(&run) : begin(Plan(.shutdown, [.releaseLeader]), &run)
        }
        if let document = documentToAdopt {
            documentToAdopt = nil
            run.emit(.node(.adoptConfiguration(document)))
        }
        wake(&run)
    }

    /// `isFinal`: trying again would give the same.
    mutating func failPlan(
        _ text: String, _ operation: PostgreSQLOperation?, _ run: inout Run, isFinal: Bool = false
    ) {
        guard let failed = progress?.running else { return }
        let mayBePublished = progress?.mayBePublished ?? false
        sight.planEnded = run.now
        if let id = progress?.command { run.emit(.local(.reply(id, .failed))) }
        progress = nil
        run.log(.error, "\(failed.plan.kind.rawValue): \(text)")
        if failed.plan.kind == .shutdown {
            life.shutDown(code: 1)
            return end(&run)
        }
        memory.learnFailure(of: operation, in: failed.plan.kind, text, isFinal: isFinal, at: run.now)
        // Once the cluster is published it is the others' too, and stays.
        if failed.plan.kind == .bootstrap, initializeRevision != nil {
            return cancelBootstrap(mayBePublished: mayBePublished, &run)
        }
        if life.isShuttingDown { return shutDown(&run) }
        if isIdle { nextCycle = run.now + LeaseArithmetic.retryInterval(settings.timings) }
    }

    // MARK: Handing over

    /// Before the key goes: does a candidate have everything that was acknowledged here?
    mutating func askForReceipt(_ plan: Int, _ run: inout Run) {
        guard let progress, progress.number == plan, case .confirmReceipt(let members)? = currentStep else { return }
        // It had crashed before, or was a standby: there is no end of its WAL that somebody could have received.
        if progress.positions == nil && !progress.beganWritable { return finishStep(&run) }
        if members.isEmpty { return abandonHandOver("no other member may lead", &run) }
        if progress.receiptUntil == nil { self.progress?.receiptUntil = run.now + Self.receiptTimeout }
        run.emit(.peers(members, .receipt(plan: plan), deadline: run.now + .seconds(2)))
    }

    mutating func receiptAnswered(_ plan: Int, _ answers: [String: PeerAnswer], _ run: inout Run) {
        guard let progress, progress.number == plan, case .confirmReceipt(let members)? = currentStep else { return }
        guard let positions = progress.positions else {
            return abandonHandOver("where the WAL ends is not known", &run)
        }
        let verdicts = receipts(members, answers, end: positions.required, timeline: positions.timeline)
        if verdicts.contains(where: { $0.verdict == .good }) { return finishStep(&run) }
        if let until = progress.receiptUntil, run.now < until {
            return run.emit(.local(.retryReceipt(at: run.now + Self.receiptInterval, plan: plan)))
        }
        abandonHandOver(
            "no candidate has received everything: " + verdicts.map { "\($0)" }.joined(separator: ", "), &run)
    }

    /// Nobody has everything: this node goes on as primary, and the request ends.
    mutating func abandonHandOver(_ why: String, _ run: inout Run) {
        if progress?.running.plan.kind == .shutdown {
            run.log(.warning, "the leader key is left to expire, nobody is known to have everything: \(why)")
            tenure.ends()
            return finishPlan(&run)
        }
        run.log(.error, "the switchover is called off, \(why)")
        progress = nil
        sight.planEnded = run.now
        if let request = view?.failover {
            memory.calledOff = request.revision
            run.emit(
                .store(
                    .write(.failover, "{}", .unchanged(since: request.revision), .clearFailover),
                    deadline: storeDeadline(run.now)))
        }
        wake(&run)
    }

    // MARK: Bootstrap

    /// With the cluster up, its identifier and configuration are published; the leader key follows by the race.
    mutating func publishBootstrap(_ run: inout Run) {
        guard let progress, !progress.isPublishing, sight.isFresh(since: progress.stepBegan) else { return }
        guard let identifier = local.systemIdentifier, let initializeRevision else {
            return failPlan("the new cluster has no system identifier", nil, &run)
        }
        self.progress?.isPublishing = true
        run.emit(
            .store(
                .write(.initialize, identifier, .unchanged(since: initializeRevision), .bootstrapInitialize),
                deadline: run.now + settings.timings.retryTimeout))
    }

    mutating func bootstrapWrote(
        _ purpose: StoreRequest.Purpose, _ result: Result<WriteOutcome, DCSError>, _ run: inout Run
    ) {
        guard case .publishBootstrap? = currentStep else { return }
        guard purpose == .bootstrapInitialize else {
            // With its identifier the cluster is known; a leader without `/config` writes it again.
            initializeRevision = nil
            return finishStep(&run)
        }
        guard case .success(.written(let revision)) = result else {
            // Without an answer it may be published all the same: the mark stays, and what the store says decides.
            if case .failure = result { self.progress?.mayBePublished = true }
            return failPlan("the new cluster could not be published", nil, &run)
        }
        initializeRevision = revision
        run.emit(
            .store(
                .write(.config, compact(.object(settings.document)), .asSeen(view?.config?.revision), .bootstrapConfig),
                deadline: run.now + settings.timings.retryTimeout))
    }

    /// A cluster that could not be made leaves no trace but the directory, moved aside (ha-loop.md §6.3).
    private mutating func cancelBootstrap(mayBePublished: Bool, _ run: inout Run) {
        life.shutDown(code: 1)
        run.log(.critical, "Failed to bootstrap cluster")
        let condition = initializeRevision.map { WriteCondition.unchanged(since: $0) }
        if let condition {
            run.emit(
                .store(
                    .delete(.initialize, condition, .cancelInitialize),
                    deadline: run.now + settings.timings.retryTimeout))
        }
        begin(cancelledBootstrapPlan(mayBePublished: mayBePublished), &run)
    }

    // MARK: The end

    mutating func shutDown(_ run: inout Run) {
        life.shutDown()
        if settings.isPaused {
            run.log(.info, "the cluster is paused: PostgreSQL and the leader key are left as they are")
            return end(&run)
        }
        let plan = shutdownPlan(me, view, settings, isLeading: isLeading)
        if progress == nil { return begin(plan, &run) }
        if progress?.running.plan.kind == .shutdown || progress?.successor?.kind == .shutdown { return }
        breakOff(for: plan, &run)
    }

    private mutating func end(_ run: inout Run) {
        // The member key tells the others that we stopped; it ends with the session.
        if local.dataDirectory == .initialized && !settings.isPaused {
            sight.assumeGone()
            if namesake == nil { run.emit(touch(run)) }
        }
        life.end()
        run.isNews = true
        run.emit(.local(.exit(code: life.exitCode)))
    }
}
