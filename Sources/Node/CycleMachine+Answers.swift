import ClusterModel
import HighAvailability
import Ports

/// What the store and PostgreSQL answer to a cycle's question or action.
extension CycleMachine {
    mutating func renewed(_ result: Result<LeaderClaim, DCSError>, _ run: inout Run) {
        tenure.renewalAnswered()
        if case .releaseLeader? = currentStep {
            plans.running?.stepWaited(until: run.now)
            releaseLeader(&run)
            return endCycle(&run)
        }
        guard stage == .asking, schedule.cycle?.takes(.renewal, at: run.now) ?? false else { return }
        switch result {
        case .success(.held(let since, let ttl, let session)):
            tenure.holds(since: since, ttl: min(ttl, settings.timings.ttl), session: session)
            schedule.cycle?.answers.renewal = .held
        case .success(.refused):
            tenure.ends()
            schedule.cycle?.answers.renewal = .refused
        case .failure(let error): sight.storeIsSilent(error.description)
        }
        run.isNews = true
        decideWhenAnswered(&run)
    }

    mutating func acquired(_ result: Result<LeaderClaim, DCSError>, _ run: inout Run) {
        guard stage == .acting else { return }
        switch result {
        case .success(.held(let since, let ttl, let session)):
            tenure.holds(since: since, ttl: min(ttl, settings.timings.ttl), session: session)
            memory.hasWonKey = true
            tenure.raced(by: view)
            isDone("claiming the leader key", &run)
            schedule.backOff.succeeded()
            run.log(.info, "acquired the leader key (session \(session))")
            if let request = view?.failover, isUnderWay(request, view ?? ClusterView(), wallTime: run.wallTime) {
                endRequest(request, leaving: requestWhenWon(request, me, isPaused: settings.isPaused, &memory), &run)
            }
        case .success(.refused):
            run.log(.info, "could not acquire the leader key: another node was faster")
            schedule.backOff.missed(at: run.now, settings.timings)
        case .failure(let error):
            complain("claiming the leader key", error, &run)
            switch error {
            // Perhaps it is ours: the view tells, if there is one.
            case .unreachable: schedule.backOff.missed(at: run.now, settings.timings)
            case .unauthorized, .failed: schedule.backOff.failed(at: run.now, settings.timings)
            }
        }
        if schedule.backOff.until != nil { return endAndWait(&run) }
        // Only the view that shows our key leads to a promotion.
        beginCycle(&run)
    }

    mutating func compared(_ result: Result<DivergenceFacts, PostgreSQLError>, _ run: inout Run) {
        guard stage == .asking, schedule.cycle?.takes(.comparison, at: run.now) ?? false else { return }
        switch result {
        case .success(let facts): schedule.cycle?.answers.divergence = .facts(facts)
        case .failure(let error):
            schedule.cycle?.answers.divergence = .unavailable(error.description)
            run.log(.warning, "comparing timelines failed: \(error)")
        }
        schedule.cycle?.answers.comparedAt = run.now
        if let answer = schedule.cycle?.answers.divergence { sight.comparisons.note(answer, in: observation(run)) }
        decideNow(&run)
    }

    mutating func wrote(
        _ purpose: StoreRequest.Purpose, _ result: Result<WriteOutcome, DCSError>, _ run: inout Run
    ) {
        switch result {
        case .failure(let error): complain("writing to the DCS (\(purpose.rawValue))", error, &run)
        case .success: isDone("writing to the DCS (\(purpose.rawValue))", &run)
        }
        switch purpose {
        case .initialize: initialized(result, &run)
        case .repair, .requestSwitchover:
            guard stage == .acting else { return }
            switch result {
            case .success(.written):
                if purpose == .requestSwitchover { memory.rolling.switchoverIsAskedFor() }
                schedule.backOff.succeeded()
                told.wrote()
                return beginCycle(&run)
            // It is not as it was seen: a write of ours has come first (the winner of a switchover clears it), or
            // another's. A pause here would keep a new leader from the claim of `/sync` that its promotion waits for.
            case .success(.refused):
                schedule.backOff.missed(at: run.now, settings.timings)
                if schedule.backOff.until == nil { return beginCycle(&run) }
            case .failure: schedule.backOff.failed(at: run.now, settings.timings)
            }
            // The rest of the cycle is not held up by it, but the looks of before are older than the wait.
            schedule.cycle?.hasWaited(until: run.now)
            decideNow(&run)
            if let until = schedule.backOff.until, isIdle { schedule.hasten(to: until) }
        case .bootstrapInitialize, .bootstrapConfig: bootstrapWrote(purpose, result, &run)
        case .history: chores.end(.history)
        case .sync: wroteSync(result, &run)
        case .failsafe: wroteFailsafe(result, &run)
        case .clearFailover: if case .success = result { told.wrote() }
        case .cancelInitialize, .status: break
        }
    }

    private mutating func initialized(_ result: Result<WriteOutcome, DCSError>, _ run: inout Run) {
        guard stage == .acting else { return }
        guard case .success(.written(let revision)) = result else {
            if case .success = result { run.log(.info, "another node initializes the cluster") }
            schedule.backOff.failed(at: run.now, settings.timings)
            return endAndWait(&run)
        }
        schedule.backOff.succeeded()
        begin(bootstrapPlan(settings), claim: revision, &run)
        endCycle(&run)
    }
}
