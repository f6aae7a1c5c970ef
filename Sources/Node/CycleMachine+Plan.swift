import ClusterModel
import HighAvailability
import Ports

/// How plans are carried out, step by step.
extension CycleMachine {
    var progress: Progress? { plans.running }

    var currentStep: Step? { progress?.currentStep }

    /// `claim` is the revision of `/initialize` that a bootstrap goes by.
    mutating func begin(_ plan: Plan, claim: Revision? = nil, _ run: inout Run) {
        plans.begin(plan, local, claim: claim, at: run.now)
        memory.begins(plan)
        runStep(&run)
    }

    private mutating func runStep(_ run: inout Run) {
        guard let progress else { return }
        guard let step = progress.currentStep else { return finishPlan(&run) }
        switch step {
        case .postgreSQL(.promote) where settings.isStandbyCluster:
            failPlan("standby_cluster is set, nobody is promoted", nil, &run)
        case .postgreSQL(.promote) where !mayPromote(run.now):
            failPlan("too little is left of the lease, nobody is promoted", nil, &run)
        case .postgreSQL(let operation):
            run.log(.info, "\(progress.kind.name): \(operation.name)")
            let slots: [SlotAction] =
                if case .promote = operation, let view { slotsBeforePromotion(me, view, settings, local) } else { [] }
            run.opensTheDoor = run.opensTheDoor || operation.opensTheDoor
            run.emit(.node(.perform(operation, slots: slots, plan: progress.number)))
        case .confirmReceipt: askForReceipt(progress.number, &run)
        // A renewal that is under way would bring the key back: its answer goes on with this step (`renewed`), and no
        // other one is asked for meanwhile (`askForRenewal`).
        case .releaseLeader: if !tenure.isRenewing { releaseLeader(&run) }
        case .publishBootstrap: look(&run)
        case .leaveDuty:
            run.log(.info, "synchronous duty is given back before PostgreSQL stops")
            run.emit(touch(run))
        case .start: lookBeforeStart(&run)
        }
    }

    /// The steps before may have taken their time, and the daemon may have stood still meanwhile (S5).
    private func mayPromote(_ now: BootInstant) -> Bool {
        !rules.looksBeforePromotion || lease.map { LeaseArithmetic.allowsPromotion($0, at: now) } ?? false
    }

    mutating func finishStep(_ run: inout Run) {
        plans.running?.finishStep(at: run.now)
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
            failPlan("\(operation.name) failed: \(error)", operation, &run, isFinal: error.isFinal(for: operation))
        case .success(.stillStarting):
            run.log(.info, "\(operation.name): PostgreSQL is still starting")
            memory.learnStart(by: operation, in: progress.kind)
            plans.running?.stillStarts()
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
            plans.running?.append(.postgreSQL(.stop(.fast, timeout: archivingPatience)))
            run.log(.info, "PostgreSQL has written its last record, and archives still")
        }
        guard plans.running?.tookDown(at: positions) == true else { return }
        run.log(.info, "PostgreSQL was shut down at \(positions.checkpoint) on timeline \(positions.timeline)")
    }

    /// What a successful operation changes in what is known, until PostgreSQL is seen again.
    private mutating func learn(from operation: PostgreSQLOperation, _ run: inout Run) {
        memory.learnSuccess(of: operation, in: progress?.kind)
        switch operation {
        case .promote: chores.want(.checkpoint)
        // What is stopped accepts no writes, and no rule needs to break this plan off.
        case .stop, .stopToRestart: sight.assumeStopped(at: run.now)
        case .finishBootstrap: sight.assumeFinished()
        case .nameSynchronous(let setting): tenure.synchronous.handed = setting
        case .bootstrap, .clone, .restore: sight.hasMadeDirectory()
        case .startPrimary, .startStandby, .follow, .resumeReplay, .rewind, .recoverSingleUser,
            .setAsideDataDirectory, .copyLogicalSlots, .prePromote, .archiveLastSegment:
            break
        }
    }

    // MARK: The end of a plan

    mutating func finishPlan(_ run: inout Run) {
        guard let finished = plans.end() else { return }
        if let id = finished.command { commands.finish(id, finished.outcome) }
        sight.planEnded = run.now
        plans.noteSuccess(of: finished.kind)
        _ = told.isDone(finished.kind.name)
        let took = (run.now - finished.running.since).nanoseconds / 1_000_000
        run.log(.info, "\(finished.kind.name): done in \(took) ms")
        let next = sequel(
            toFinished: finished.kind, local, hasLease: lease != nil, isShuttingDown: life.isShuttingDown)
        goOn(with: next, after: finished, &run) { machine, run in
            guard finished.running.plan.givesKeyUp, machine.isIdle else { return machine.wake(&run) }
            machine.schedule.moveNext(to: run.now + Self.pauseAfterKey)
        }
    }

    /// `isFinal`: trying again would give the same.
    mutating func failPlan(
        _ text: String, _ operation: PostgreSQLOperation?, _ run: inout Run, isFinal: Bool = false
    ) {
        guard let failed = plans.end() else { return }
        sight.planEnded = run.now
        if let id = failed.command { run.emit(.local(.reply(id, .failed))) }
        run.log(told.failed(failed.kind.name, text) ? .error : .debug, "\(failed.kind.name): \(text)")
        let times = plans.noteFailure(of: failed.kind)
        let pause = pauseAfterFailure(times)
        memory.learnFailure(of: operation, in: failed.kind, text, isFinal: isFinal, at: run.now)
        if failed.kind == .handOver { callOff(text, &run) }
        let next = sequel(
            toFailed: failed.running.plan, local, isPublished: failed.publication?.claim == nil,
            isShuttingDown: life.isShuttingDown)
        goOn(with: next, after: failed, &run) { machine, run in
            guard machine.isIdle else { return }
            machine.schedule.moveNext(to: run.now + pause)
        }
    }

    /// What fails again and again is tried ever more seldom, up to once in loop_wait. Who leads has no time for that,
    /// nor is a server that may accept writes left alone so long.
    private func pauseAfterFailure(_ times: Int) -> Duration {
        let pause = LeaseArithmetic.retryInterval(settings.timings)
        if isLeading || local.mayYetAcceptWrites { return pause }
        return min(pause * (1 << min(times - 1, 8)), settings.timings.loopWait)
    }

    /// `cycle` says when the rules are asked next.
    private mutating func goOn(
        with sequel: PlanSequel, after ended: Progress, _ run: inout Run,
        cycle: (inout CycleMachine, inout Run) -> Void
    ) {
        switch sequel {
        case .decide:
            handWaitingConfiguration(&run)
            cycle(&self, &run)
        case .shutDown: shutDown(&run)
        case .carryOut(let plan): begin(plan, &run)
        case .cancelBootstrap: cancelBootstrap(ended, &run)
        case .end(let code):
            life.shutDown(code: code)
            end(&run)
        }
    }
}

extension PostgreSQLError {
    /// Trying again would give the same.
    fileprivate func isFinal(for operation: PostgreSQLOperation) -> Bool {
        switch self {
        case .rewindRefused: true
        // Recovery was waited for as long as it came further.
        case .timedOut: operation == .promote
        case .tool, .query, .cancelled, .failed: false
        }
    }
}
