import ClusterModel

/// What this node was refused a promotion for less than a ttl ago, while it held the leader key (ha-loop.md §9.2,
/// §11.1.1): the key is given up, and the others have that long to take it. Nil where nothing stands against another
/// attempt.
func refusedPromotion(_ seen: Observation, _ memory: Memory) -> PromotionReason? {
    guard let refused = memory.refusedPromotion else { return nil }
    let end = refused.at + seen.settings.timings.ttl
    return seen.now < end ? .refused(refused.why, heldBack: end - seen.now) : nil
}

/// A leader whose promotion has failed, and failed again: recovery does not end, the disk is full, no guardian can be
/// had. Where somebody else has everything that is here, that one leads (L1), and this node stands back for a ttl. What
/// PostgreSQL was asked for may still come: it is ended first. Nil where nobody is better, and it is tried once more.
func failedPromotionRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    // How far this node is must be known: who has less is no better.
    guard let failed = memory.failedPromotions, failed.times >= 2, !seen.settings.isPaused,
        let position = seen.local.facts?.position
    else { return nil }
    let reason = Reason.promotion(.failed(failed.why, times: failed.times))
    let candidates = failoverCandidates(seen, view)
    guard let peers = seen.peers else { return Decision(.ask(.peers(candidates)), reason) }
    let isWanted = candidates.contains { judge($0, peers[$0.name], seen, view, received: position).verdict == .good }
    guard isWanted else { return nil }
    memory.refusedPromotion = .init(why: failed.why, at: seen.now)
    memory.failedPromotions = nil
    return Decision(.carryOut(giveUpKeyPlan()), reason)
}

extension Observation {
    /// Why this node could not lead for lack of a watchdog; nil where it could, or needs none.
    var watchdogObstacle: String? { me.requiresWatchdog ? local.watchdogObstacle : nil }
}

/// What stands against a promotion on this node, whoever else could lead.
public enum PromotionReason: Sendable, Hashable {
    /// The operator's command said no, or nothing in time.
    case refused(String, heldBack: Duration)
    /// The watchdog without which this node is not to lead.
    case watchdogFailed(String)
    /// PostgreSQL was not promoted, so often in a row.
    case failed(String, times: Int)

    var explanation: Explanation {
        switch self {
        case .refused(let why, let left):
            Explanation(
                "promotion-refused", ["why": .fact(why), "held_back_seconds": .fact(left)],
                "I was not promoted (\(why)): the leader key goes, and I take it again in \(seconds(left)) at the "
                    + "earliest")
        case .watchdogFailed(let why):
            Explanation("no-watchdog", ["why": .fact(why)], "I lead under a watchdog or not at all: \(why)")
        case .failed(let why, let times):
            Explanation(
                "promotion-failed", ["why": .fact(why), "times": .fact(times)],
                "my promotion has failed \(times) times in a row (\(why)), and another member could lead")
        }
    }
}
