import ClusterModel
import HighAvailability
import Ports

/// What leaves this node for good passes here (S1; the sentence is in LeaderKeyRule.swift).
extension CycleMachine {
    /// A race that was won long ago, or in which somebody was not asked who has come meanwhile and may be ahead (S3).
    func isRaceOutdated(_ run: Run) -> Bool {
        if run.now - schedule.began > LeaseArithmetic.claimPatience(settings.timings) { return true }
        guard let view, let came = schedule.cycle?.newcomerAt else { return false }
        return came > view.revision
    }

    /// Who has given the key up lets the others go first.
    static let pauseAfterKey = Duration.seconds(1)

    mutating func released(_ result: Result<Bool, DCSError>, _ run: inout Run) {
        switch result {
        case .success(true): run.log(.info, "released the leader key")
        case .success(false): run.log(.warning, "the leader key was not ours any more")
        case .failure(let error):
            run.log(.error, "releasing the leader key failed, it ends with the lease: \(error)")
            schedule.backOff.failed(at: run.now, settings.timings)
        }
        if case .releaseLeader? = currentStep { return releasedInPlan(result, &run) }
        guard stage == .acting else { return }
        pauseBeforeNextCycle(max(Self.pauseAfterKey, (schedule.backOff.until ?? run.now) - run.now), &run)
    }

    /// A store that has refused what the next leader must know (`/status`) has not let the key go either: who could
    /// have gone on does. Without any answer the next view tells.
    private mutating func releasedInPlan(_ result: Result<Bool, DCSError>, _ run: inout Run) {
        switch (result, progress?.kind) {
        case (.failure(.failed(let why)), .handOver?), (.failure(.unauthorized(let why)), .handOver?):
            abandonHandOver("the store has refused /status and the release: \(why)", &run)
        case (.success, _), (.failure, _): finishStep(&run)
        }
    }

    /// For how long a look counts, where the daemon has stood still since: longer than any takes.
    private static let lookLasts = Duration.seconds(5)

    /// The key goes by a look that is younger than all that was waited for before: somebody may have started PostgreSQL
    /// meanwhile. False where that look has begun.
    mutating func hasLooked(since waited: BootInstant, _ run: inout Run) -> Bool {
        let since = max(waited, run.now - Self.lookLasts)
        if !rules.looksBeforeRelease || sight.isFresh(since: since) { return true }
        // One that begins now: an answer from before would be asked for again where this daemon stands still once more.
        look(since: run.now, &run)
        return false
    }

    /// The step of a plan. From here on nobody here is the leader, whatever the store answers.
    mutating func releaseLeader(_ run: inout Run) {
        guard let progress else { return }
        if isOvertakenByPause {
            return abandonHandOver("the cluster was paused meanwhile: nobody would take the key", &run)
        }
        guard hasLooked(since: progress.stepBegan, &run) else {
            plans.running?.looksFirst = true
            return
        }
        plans.running?.looksFirst = false
        guard mayGiveUpKey(&run) else { return }
        let status = handedOverStatus()
        tenure.ends()
        run.isNews = true
        run.emit(.store(.release(status: status), deadline: run.now + settings.timings.retryTimeout))
    }

    /// The key would lie there until somebody resumes: in pause it is taken by a request that says by whom, or not at
    /// all. Who was stopped to hand over is started in pause, too.
    private var isOvertakenByPause: Bool {
        progress?.kind == .handOver && settings.isPaused && !isTakenInPause(view?.failover)
    }

    mutating func releaseWhenSeen(_ run: inout Run) {
        guard let progress, progress.looksFirst, case .releaseLeader? = currentStep,
            sight.isFresh(since: progress.stepBegan)
        else { return }
        releaseLeader(&run)
    }

    /// The last word before the key goes, whoever wants it to. False where PostgreSQL may accept writes after all,
    /// because an operator has started it or a step did less than it said: then something else was begun.
    mutating func mayGiveUpKey(_ run: inout Run) -> Bool {
        if !rules.looksBeforeRelease { return true }
        if HighAvailability.mayGiveUpKey(local) { return !leavesKeyToEarlierServer(&run) }
        let kind = progress?.kind
        run.log(
            .critical,
            "\(kind?.name ?? "the decision") would give the leader key away while PostgreSQL may accept writes")
        switch insteadOfRelease(by: kind, isPaused: settings.isPaused) {
        case .callOffHandOver: abandonHandOver("PostgreSQL was started again", &run)
        case .shutDownAgain:
            _ = plans.end()
            shutDown(&run)
        case .wait: break
        case .failPlan(let why): failPlan(why, nil, &run)
        case .carryOut(let plan):
            let command = progress?.command
            begin(plan, &run)
            plans.running?.command = command
        }
        return false
    }

    /// A daemon that is told to end does not delete a key either under which an earlier one's server may run on.
    private mutating func leavesKeyToEarlierServer(_ run: inout Run) -> Bool {
        guard earlierServer(local, view, settings, memory, isHeld: lease != nil, at: run.now) != nil else {
            return false
        }
        run.log(.warning, "the leader key is left to expire: the PostgreSQL of an earlier daemon may run on elsewhere")
        guard let kind = progress?.kind else { return true }
        tenure.ends()
        if kind == .shutdown { finishPlan(&run) } else { failPlan("the key is an earlier daemon's", nil, &run) }
        return true
    }
}
