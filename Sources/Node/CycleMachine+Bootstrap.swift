import ClusterModel
import HighAvailability
import Ports

/// The keys of a new cluster, and what becomes of one that could not be made.
extension CycleMachine {
    /// With the cluster up, its configuration and then its identifier are published; the leader key follows by the
    /// race. In this order: whoever knows of the cluster and of no leader waits for as long as the server of who has
    /// made it may run, which is a ttl (`unseenPrimary`), and must know which. Of a daemon that dies in between the
    /// configuration stays.
    mutating func publishBootstrap(_ run: inout Run) {
        guard let progress, case .claimed(let claim)? = progress.publication,
            sight.isFresh(since: progress.stepBegan)
        else { return }
        guard local.systemIdentifier != nil else { return failWithoutIdentifier(&run) }
        plans.running?.publication = .configuring(claim)
        run.emit(
            .store(
                .write(.config, .object(settings.document), .asSeen(view?.config?.revision), .bootstrapConfig),
                deadline: run.now + settings.timings.retryTimeout))
    }

    private mutating func failWithoutIdentifier(_ run: inout Run) {
        failPlan("the new cluster has no system identifier", nil, &run)
    }

    private mutating func publishIdentifier(
        _ condition: WriteCondition, _ publication: Progress.Publication, _ run: inout Run
    ) {
        guard let identifier = local.systemIdentifier else { return failWithoutIdentifier(&run) }
        // From now on others may know of it.
        if case .configuring? = progress?.publication { plans.running?.moveGuard(to: run.now) }
        plans.running?.publication = publication
        run.emit(
            .store(
                .write(.initialize, .text(identifier), condition, .bootstrapInitialize),
                deadline: run.now + settings.timings.retryTimeout))
    }

    mutating func bootstrapWrote(
        _ purpose: StoreRequest.Purpose, _ result: Result<WriteOutcome, DCSError>, _ run: inout Run
    ) {
        guard case .publishBootstrap? = currentStep, let claim = progress?.publication?.claim else { return }
        guard purpose == .bootstrapInitialize else { return configured(result, claim, &run) }
        guard case .success(.written) = result else {
            if case .success = result, case .underWay(let claim)? = progress?.publication {
                return publishWithoutClaim(claim, &run)
            }
            // Without an answer it may be published all the same: the mark stays, and what the store says decides.
            if case .failure = result { plans.running?.publication = .unknown(claim) }
            return failPlan("the new cluster could not be published", nil, &run)
        }
        plans.running?.publication = .done
        finishStep(&run)
    }

    private mutating func configured(_ result: Result<WriteOutcome, DCSError>, _ claim: Revision, _ run: inout Run) {
        guard case .configuring? = progress?.publication else { return }
        switch result {
        case .success(let outcome):
            // One that is there is somebody's, and stays.
            if case .written(let revision) = outcome, view?.config == nil { plans.running?.configuration = revision }
            publishIdentifier(.unchanged(since: claim), .underWay(claim), &run)
        case .failure(let error):
            failPlan("the configuration of the new cluster could not be published: \(error)", nil, &run)
        }
    }

    /// The claim goes with the session that it hangs on, which a long silence of the store ends. Where nobody else has
    /// put another since, the cluster is published all the same (ha-loop.md §6.3).
    private mutating func publishWithoutClaim(_ claim: Revision, _ run: inout Run) {
        run.log(.warning, "the claim of the new cluster has gone; it is published if nobody else has begun one")
        publishIdentifier(.absent, .withoutClaim(claim), &run)
    }

    /// A cluster that could not be made leaves no trace but the directory, moved aside (ha-loop.md §6.3).
    mutating func cancelBootstrap(_ ended: Progress, _ run: inout Run) {
        life.shutDown(code: 1)
        run.log(.critical, "Failed to bootstrap cluster")
        let mayBePublished = if case .unknown? = ended.publication { true } else { false }
        let deadline = run.now + settings.timings.retryTimeout
        if let claim = ended.publication?.claim {
            run.emit(.store(.delete(.initialize, .unchanged(since: claim), .cancelInitialize), deadline: deadline))
        }
        // The next one that is made here may be told other values.
        if let configuration = ended.configuration, !mayBePublished {
            run.emit(.store(.delete(.config, .unchanged(since: configuration), .cancelInitialize), deadline: deadline))
        }
        begin(cancelledBootstrapPlan(mayBePublished: mayBePublished), &run)
    }
}
