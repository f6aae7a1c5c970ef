import ClusterModel
import HighAvailability
import Ports

/// What is under way and has to end: broken off, waited for so long, and then left behind.
extension CycleMachine {
    /// PostgreSQL accepts writes, or may before the plan that runs has ended: a promotion counts from its first step.
    var mayBeWritable: Bool { mayBecomeWritable(local, progress?.running) }

    /// Ends what runs, PostgreSQL included, and goes on with `plan` when that has returned, or has not in good time.
    mutating func breakOff(for plan: Plan, _ run: inout Run) {
        guard progress != nil else { return begin(plan, &run) }
        let deadline = LeaseArithmetic.breakOffEnds(lease, mayAcceptWrites: mayBeWritable, at: run.now)
        guard plans.running?.giveWay(to: plan, until: deadline) == true else { return }
        memory.begins(plan, breaksOff: true)
        run.emit(.node(.breakOff(deadline: deadline)))
        if case .postgreSQL? = currentStep { return }
        // No operation of PostgreSQL's is under way that would return.
        succeed(with: plan, &run)
    }

    mutating func succeed(with plan: Plan, _ run: inout Run) {
        let ended = plans.end()
        if let id = ended?.command { run.emit(.local(.reply(id, .failed))) }
        // Where this node leads again later, it does not begin anew what was broken off.
        if ended?.kind == .handOver, let request = view?.failover {
            memory.callsOff(request, because: "it was broken off: \(plan.kind.name)")
        }
        begin(plan, &run)
    }

    /// When the operation under way is waited for no longer; nil for one that may take its time.
    var operationEnd: BootInstant? {
        guard let progress, !life.hasEnded else { return nil }
        if progress.successor != nil { return progress.brokenOffUntil }
        switch progress.kind.takesDown {
        case .forLackOfLease?:
            // Also of one that looks for what a postmaster has left, on a disk that may not answer: the key waits for
            // it.
            let isWaitedFor = local.mayYetAcceptWrites || progress.running.plan.givesKeyUp
            guard isWaitedFor, !settings.isPaused else { return nil }
        // They keep the key until PostgreSQL has ended, and the last one the service manager waiting.
        case .toHandOver?, .forGood?: break
        case nil: return nil
        }
        return LeaseArithmetic.endIsDue(currentStep, since: progress.stepBegan, lease)
    }

    /// What hangs on a dead disk never returns. It is left where it is: whatever it holds up, what takes over ends
    /// PostgreSQL without it, and nothing that was broken off starts PostgreSQL any more, should it return after all.
    mutating func goOnWithoutOperation(_ run: inout Run) {
        guard let progress, let end = operationEnd, run.now >= end, case .postgreSQL(let operation)? = currentStep
        else { return }
        let kind = progress.kind.name
        run.log(.error, "\(kind): \(operation.name) does not return, PostgreSQL is ended by force")
        if let successor = progress.successor { return succeed(with: successor.byForce, &run) }
        run.emit(.node(.breakOff(deadline: run.now)))
        succeed(with: progress.rest.byForce, &run)
    }
}
