import ClusterModel
import HighAvailability
import Ports

/// What leaves this node for good passes here (S1; the sentence is in LeaderKeyRule.swift).
extension CycleMachine {
    /// The last look before the key goes, whoever wants it to. False where PostgreSQL may accept writes after all,
    /// because an operator has started it or a step did less than it said: then something else was begun.
    mutating func mayGiveUpKey(_ run: inout Run) -> Bool {
        if HighAvailability.mayGiveUpKey(local) { return true }
        let kind = progress?.running.plan.kind
        run.log(
            .critical,
            "\(kind?.rawValue ?? "the decision") would give the leader key away while PostgreSQL may accept writes")
        switch kind {
        case .handOver?: abandonHandOver("PostgreSQL was started again", &run)
        case .shutdown? where !settings.isPaused:
            progress = nil
            shutDown(&run)
        case nil where settings.isPaused: break
        case .some where settings.isPaused: failPlan("in pause PostgreSQL is not ended for it", nil, &run)
        case .some, nil:
            let command = progress?.command
            begin(giveUpKeyPlan(), &run)
            progress?.command = command
        }
        return false
    }
}
