import ClusterModel
import HighAvailability
import Ports

/// What the store and PostgreSQL answer to a cycle's question or action.
extension CycleMachine {
    mutating func renewed(_ result: Result<LeaderClaim, DCSError>, _ run: inout Run) {
        tenure.renewalAnswered()
        if case .releaseLeader? = currentStep {
            releaseLeader(&run)
            return endCycle(&run)
        }
        guard phase == .asking else { return }
        switch result {
        case .success(.held(let since, let ttl, let session)):
            tenure.holds(Lease(since: since, ttl: ttl, session: session, safetyMargin: safetyMargin))
            cycle.renewal = .held
        case .success(.refused):
            tenure.ends()
            cycle.renewal = .refused
        case .failure(let error): sight.storeIsSilent(error.description)
        }
        run.isNews = true
        decideNow(&run)
    }

    mutating func acquired(_ result: Result<LeaderClaim, DCSError>, _ run: inout Run) {
        guard phase == .acting else { return }
        switch result {
        case .success(.held(let since, let ttl, let session)):
            tenure.holds(Lease(since: since, ttl: ttl, session: session, safetyMargin: safetyMargin))
            memory.hasWonKey = true
            isDone("claiming the leader key", &run)
            backOff.succeeded()
            run.log(.info, "acquired the leader key (session \(session))")
            if let request = view?.failover, request.scheduledAt == nil {
                // The winner ends the request; with a lost compare-and-swap a newer one stands there. In pause its name
                // stays until it is promoted (ha-loop.md §15): without it a standby gives the key back.
                let isLeft = settings.isPaused && request.candidate == me.name
                let rest = isLeft ? FailoverRequest(leader: nil, candidate: me.name).json : [:]
                run.emit(
                    .store(
                        .write(.failover, compact(.object(rest)), .unchanged(since: request.revision), .clearFailover),
                        deadline: storeDeadline(run.now)))
            }
        case .success(.refused):
            run.log(.info, "could not acquire the leader key: another node was faster")
            backOff.missed(at: run.now, settings.timings)
        case .failure(let error):
            complain("claiming the leader key", error, &run)
            switch error {
            // Perhaps it is ours: the view tells, if there is one.
            case .unreachable: backOff.missed(at: run.now, settings.timings)
            case .unauthorized, .failed: backOff.failed(at: run.now, settings.timings)
            }
        }
        if backOff.until != nil { return endAndWait(&run) }
        // Only the view that shows our key leads to a promotion.
        beginCycle(&run)
    }

    mutating func compared(_ result: Result<DivergenceFacts, PostgreSQLError>, _ run: inout Run) {
        guard phase == .asking else { return }
        switch result {
        case .success(let facts): cycle.divergence = .facts(facts)
        case .failure(let error):
            cycle.divergence = .unavailable(error.description)
            run.log(.warning, "comparing timelines failed: \(error)")
        }
        decideNow(&run)
    }

    mutating func wrote(
        _ purpose: StoreRequest.Purpose, _ result: Result<WriteOutcome, DCSError>, _ run: inout Run
    ) {
        switch result {
        case .failure(let error): complain("writing to the DCS (\(purpose))", error, &run)
        case .success: isDone("writing to the DCS (\(purpose))", &run)
        }
        switch purpose {
        case .initialize: initialized(result, &run)
        case .repair:
            guard phase == .acting else { return }
            if case .success(.written) = result {
                backOff.succeeded()
                return beginCycle(&run)
            }
            backOff.failed(at: run.now, settings.timings)
            endAndWait(&run)
        case .bootstrapInitialize, .bootstrapConfig: bootstrapWrote(purpose, result, &run)
        case .history: chores.end(.history)
        case .cancelInitialize, .status, .clearFailover: break
        }
    }

    private mutating func initialized(_ result: Result<WriteOutcome, DCSError>, _ run: inout Run) {
        guard phase == .acting else { return }
        guard case .success(.written(let revision)) = result else {
            if case .success = result { run.log(.info, "another node initializes the cluster") }
            backOff.failed(at: run.now, settings.timings)
            return endAndWait(&run)
        }
        backOff.succeeded()
        initializeRevision = revision
        begin(bootstrapPlan(), &run)
        endCycle(&run)
    }
}
