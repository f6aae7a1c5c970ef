import ClusterModel
import HighAvailability
import Ports

/// The keys of a new cluster, and what becomes of one that could not be made.
extension CycleMachine {
    /// With the cluster up, its identifier and configuration are published; the leader key follows by the race.
    mutating func publishBootstrap(_ run: inout Run) {
        guard let progress, case .claimed(let claim)? = progress.publication,
            sight.isFresh(since: progress.stepBegan)
        else { return }
        publishIdentifier(.unchanged(since: claim), .underWay(claim), &run)
    }

    private mutating func publishIdentifier(
        _ condition: WriteCondition, _ publication: Progress.Publication, _ run: inout Run
    ) {
        guard let identifier = local.systemIdentifier else {
            return failPlan("the new cluster has no system identifier", nil, &run)
        }
        // From now on others may know of it.
        if case .claimed? = progress?.publication { plans.running?.moveGuard(to: run.now) }
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
        guard purpose == .bootstrapInitialize else {
            // With its identifier the cluster is known; a leader without `/config` writes it again.
            plans.running?.publication = .done
            return finishStep(&run)
        }
        guard case .success(.written(let revision)) = result else {
            if case .success = result, case .underWay(let claim)? = progress?.publication {
                return publishWithoutClaim(claim, &run)
            }
            // Without an answer it may be published all the same: the mark stays, and what the store says decides.
            if case .failure = result { plans.running?.publication = .unknown(claim) }
            return failPlan("the new cluster could not be published", nil, &run)
        }
        plans.running?.publication = .underWay(revision)
        run.emit(
            .store(
                .write(.config, .object(settings.document), .asSeen(view?.config?.revision), .bootstrapConfig),
                deadline: run.now + settings.timings.retryTimeout))
    }

    /// The claim goes with the session that it hangs on, which a long silence of the store ends. Where nobody else has
    /// put another since, the cluster is published all the same (ha-loop.md §6.3).
    private mutating func publishWithoutClaim(_ claim: Revision, _ run: inout Run) {
        run.log(.warning, "the claim of the new cluster has gone; it is published if nobody else has begun one")
        publishIdentifier(.absent, .withoutClaim(claim), &run)
    }

    /// A cluster that could not be made leaves no trace but the directory, moved aside (ha-loop.md §6.3).
    mutating func cancelBootstrap(_ publication: Progress.Publication?, _ run: inout Run) {
        life.shutDown(code: 1)
        run.log(.critical, "Failed to bootstrap cluster")
        if let claim = publication?.claim {
            run.emit(
                .store(
                    .delete(.initialize, .unchanged(since: claim), .cancelInitialize),
                    deadline: run.now + settings.timings.retryTimeout))
        }
        let mayBePublished = if case .unknown? = publication { true } else { false }
        begin(cancelledBootstrapPlan(mayBePublished: mayBePublished), &run)
    }
}
