import ClusterModel
import HighAvailability
import Ports

/// The step that starts PostgreSQL within a plan: stop, look, start. Between the stop and the start the data directory
/// may have become another one, and what stands there decides.
extension CycleMachine {
    mutating func lookBeforeStart(_ run: inout Run) {
        guard let number = progress?.number else { return }
        look(&run)
        let members = startWitnesses(observation(run), memory)
        plans.running?.witnesses = members.isEmpty ? [:] : nil
        if members.isEmpty { return }
        let patience = LeaseArithmetic.receiptPatience(ttl: settings.timings.ttl)
        run.emit(.peers(members, .start(plan: number), deadline: run.now + patience))
    }

    mutating func witnessesAnswered(_ plan: Int, _ answers: [String: PeerAnswer], _ run: inout Run) {
        guard let progress, progress.number == plan, case .start? = currentStep else { return }
        plans.running?.witnesses = answers
        startWhenSeen(&run)
    }

    /// Once PostgreSQL was looked at since the stop, and who may know of more has had its time to say so.
    mutating func startWhenSeen(_ run: inout Run) {
        guard let progress, case .start(let timeout)? = currentStep, let witnesses = progress.witnesses,
            !sight.isAssumed, sight.isFresh(since: progress.stepBegan)
        else { return }
        var seen = observation(run)
        seen.peers = witnesses
        switch startVerdict(seen, memory, wasWritable: progress.beganWritable, timeout: timeout) {
        case .carryOut(let operation):
            plans.running?.append(.postgreSQL(operation))
            finishStep(&run)
        case .refuse(let reasons):
            failPlan("PostgreSQL is not started: \(reasons.map { "\($0)" }.joined(separator: "; "))", nil, &run)
        }
    }
}
