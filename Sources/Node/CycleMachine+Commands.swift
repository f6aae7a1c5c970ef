import ClusterModel
import HighAvailability
import Ports

/// What operators ask of the node (rest-api.md §13, §14). A command is carried out between two cycles, so that no
/// decision is under way that knows nothing of it; what it starts is a plan like any other.
extension CycleMachine {
    mutating func commanded(_ id: Int, _ command: NodeCommand, _ run: inout Run) {
        if isIdle { return carryOut(id, command, &run) }
        if !commands.wait(id, command) { run.emit(.local(.reply(id, .busy("another command")))) }
    }

    mutating func carryOutCommands(_ run: inout Run) {
        while isIdle, let (id, command) = commands.next() { carryOut(id, command, &run) }
    }

    mutating func answerFinishedCommands(_ run: inout Run) {
        for (id, outcome) in commands.takeFinished() { run.emit(.local(.reply(id, outcome))) }
    }

    /// Nobody waits for a node that has ended.
    mutating func refuseCommands(_ run: inout Run) {
        answerFinishedCommands(&run)
        while let (id, _) = commands.next() { run.emit(.local(.reply(id, .failed))) }
        if let id = progress?.command { run.emit(.local(.reply(id, .failed))) }
        plans.running?.command = nil
    }

    private mutating func carryOut(_ id: Int, _ command: NodeCommand, _ run: inout Run) {
        if life.isShuttingDown { return run.emit(.local(.reply(id, .busy(Plan.Kind.shutdown.name)))) }
        switch command {
        case .restart(let request):
            if request.schedule == nil { restart(id, request, &run) } else { schedule(id, request, &run) }
        case .cancelRestart:
            run.emit(.local(.reply(id, commands.scheduledRestart == nil ? .nothingScheduled : .done)))
            if commands.scheduledRestart != nil { forgetSchedule("an operator asked for it", &run) }
        case .reinitialize(let force, let fromLeader): reinitialize(id, force: force, fromLeader: fromLeader, &run)
        }
    }

    // MARK: Restarting

    private mutating func restart(_ id: Int?, _ request: RestartRequest, _ run: inout Run) {
        guard request.isSatisfied(role: role, local: local) else { return reply(id, .conditionsNotMet, &run) }
        if let running = progress?.kind { return reply(id, .busy(running.name), &run) }
        guard local.dataDirectory == .initialized, let view else { return reply(id, .failed, &run) }
        if local.postmaster == nil, let obstacle = startObstacle(local, view, memory) {
            run.log(.error, "PostgreSQL is not started: \(obstacle)")
            return reply(id, .failed, &run)
        }
        memory.askedPatience = request.timeout
        let timeout = request.timeout ?? settings.startPatience
        begin(
            restartPlan(
                me, local, view, settings, isLeading: isLeading, timeout: timeout), &run)
        plans.running?.command = id
    }

    private func reply(_ id: Int?, _ outcome: CommandOutcome, _ run: inout Run) {
        if let id { return run.emit(.local(.reply(id, outcome))) }
        run.log(.warning, "the scheduled restart does not happen: \(outcome)")
    }

    private mutating func schedule(_ id: Int, _ request: RestartRequest, _ run: inout Run) {
        if commands.scheduledRestart != nil { return run.emit(.local(.reply(id, .alreadyScheduled))) }
        var request = request
        request.postmasterStartTime = local.facts?.postmasterStartTime
        commands.scheduledRestart = request
        run.log(.info, "a restart is scheduled for \(request.schedule?.text ?? "")")
        run.emit(.local(.reply(id, .done)))
        wake(&run)
    }

    private mutating func forgetSchedule(_ why: String, _ run: inout Run) {
        commands.scheduledRestart = nil
        run.log(.info, "the scheduled restart is cancelled: \(why)")
        wake(&run)
    }

    /// Carries a scheduled restart out when its time has come; it is forgotten then, whatever becomes of it.
    mutating func keepSchedule(_ run: inout Run) {
        guard isIdle, let request = commands.scheduledRestart else { return }
        switch judge(schedule: request, settings, local, wallTime: run.wallTime) {
        case .wait: return
        // It waits for that until its time is past (ha-loop.md §21.3).
        case .due where !mayRestartOnSchedule: return
        case .cancelled(let why): forgetSchedule(why, &run)
        case .due:
            commands.scheduledRestart = nil
            run.log(.info, "the scheduled restart is due")
            restart(nil, request, &run)
            wake(&run)
        }
    }

    /// Not beside anything else that is done here, nor while nobody leads or the store does not answer.
    private var mayRestartOnSchedule: Bool {
        progress == nil && storeFailure == nil && view?.leaderName != nil
    }

    /// When the scheduled restart wants to be looked at; what it waits for then is an event of its own.
    func scheduleDue(_ run: Run) -> BootInstant? {
        guard isIdle, !settings.isPaused, let due = commands.scheduledRestart?.schedule else { return nil }
        let lateness = due.lateness(at: run.wallTime)
        if lateness >= .zero, !mayRestartOnSchedule { return nil }
        return run.now + max(.zero, .zero - lateness)
    }

    // MARK: A new base backup

    private mutating func reinitialize(_ id: Int, force: Bool, fromLeader: Bool, _ run: inout Run) {
        guard let view, let leader = view.leaderName else { return run.emit(.local(.reply(id, .noLeader))) }
        if leader == me.name || lease != nil { return run.emit(.local(.reply(id, .isLeader))) }
        if let running = progress?.kind {
            guard force, running.yieldsToReinitialize, progress?.successor == nil else {
                return run.emit(.local(.reply(id, .busy(running.name))))
            }
        }
        guard let plan = reinitializePlan(me, local, view, settings, fromLeader: fromLeader) else {
            return run.emit(.local(.reply(id, .failed)))
        }
        run.log(.warning, "an operator asked for a new base backup")
        run.emit(.local(.reply(id, .done)))
        if progress == nil { begin(plan, &run) } else { breakOff(for: plan, &run) }
        wake(&run)
    }
}
