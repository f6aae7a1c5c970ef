import ClusterModel

/// What this node was refused a promotion for less than a ttl ago, while it held the leader key (ha-loop.md §9.2,
/// §11.1.1): the key is given up, and the others have that long to take it. Nil where nothing stands against another
/// attempt.
func refusedPromotion(_ seen: Observation, _ memory: Memory) -> PromotionReason? {
    guard let refused = memory.refusedPromotion else { return nil }
    let end = refused.at + seen.settings.timings.ttl
    return seen.now < end ? .refused(refused.why, heldBack: end - seen.now) : nil
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

    var explanation: Explanation {
        switch self {
        case .refused(let why, let left):
            Explanation(
                "promotion-refused", ["why": .fact(why), "held_back_seconds": .fact(left)],
                "I was not promoted (\(why)): the leader key goes, and I take it again in \(seconds(left)) at the "
                    + "earliest")
        case .watchdogFailed(let why):
            Explanation("no-watchdog", ["why": .fact(why)], "I lead under a watchdog or not at all: \(why)")
        }
    }
}
