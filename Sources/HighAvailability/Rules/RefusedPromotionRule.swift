import ClusterModel

/// What this node was refused a promotion for less than a ttl ago, while it held the leader key (ha-loop.md §9.2,
/// §11.1.1): the key is given up, and the others have that long to take it. Nil where nothing stands against another
/// attempt.
///
/// An operator who names this node asks once more: nobody else takes a key that was handed over to it. In pause the
/// request stands until the promotion is done, and would ask without end.
func refusedPromotion(_ seen: Observation, _ memory: Memory) -> PromotionReason? {
    guard let refused = memory.refusedPromotion, !isAskedAgain(seen) else { return nil }
    let end = refused.at + seen.settings.timings.ttl
    return seen.now < end ? .refused(refused.why, heldBack: end - seen.now) : nil
}

private func isAskedAgain(_ seen: Observation) -> Bool {
    guard !seen.settings.isPaused, let view = seen.view, view.isUnlocked, let request = view.failover else {
        return false
    }
    return request.candidate == seen.me.name && isUnderWay(request, view, wallTime: seen.wallTime)
}

/// A leader whose promotion has failed, and failed again: recovery does not end, the disk is full, no guardian can be
/// had. Where somebody else has everything that was here before, that one leads (L1), and this node stands back for a
/// ttl, without a server: what that has written meanwhile nobody is to wait for. What PostgreSQL was asked for may
/// still come: it is ended first. Where nobody is better it is tried once more, ever more seldom. Nil where it is time
/// for that.
func failedPromotionRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    let failed = memory.promotions.failed
    guard failed.failures > 0 else { return nil }
    // How far this node is must be known: who has less is no better.
    if memory.promotions.areEnough, !seen.settings.isPaused,
        let position = memory.promotions.from?.position ?? seen.local.facts?.position
    {
        let reason = Reason.promotion(.failed(failed.why, times: failed.failures))
        let candidates = failoverCandidates(seen, view)
        guard let peers = seen.peers else { return Decision(.ask(.peers(candidates)), reason) }
        if candidates.contains(where: {
            judge($0, peers[$0.name], seen, view, received: position).verdict == .good
        }) {
            let ttl = seen.settings.timings.ttl
            memory.refusedPromotion = .init(why: failed.why, at: seen.now)
            memory.heldBackUntil = seen.now + SilenceArithmetic.heldBack(ttl: ttl)
            memory.promotions = Memory.Promotions()
            return giveUpKey(seen, ending: .immediate, because: reason)
        }
    }
    guard let pause = failed.pause(at: seen.now) else { return nil }
    return Decision(.wait, .promotion(.triedAgain(failed.why, times: failed.failures, in: pause)))
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
    /// PostgreSQL was not promoted, so often in a row, and somebody else may lead.
    case failed(String, times: Int)
    /// Likewise, and nobody else could lead.
    case triedAgain(String, times: Int, in: Duration)

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
        case .triedAgain(let why, let times, let pause):
            Explanation(
                "promotion-retried", ["why": .fact(why), "times": .fact(times), "pause_seconds": .fact(pause)],
                "my promotion has failed \(times) time(s) in a row (\(why)), and no other member is known to be better: "
                    + (pause > .zero ? "it is tried again in \(seconds(pause))" : "it is tried again"))
        }
    }

    var needsOperator: String? {
        switch self {
        case .triedAgain(let why, let times, _) where times >= StuckArithmetic.failedPromotions:
            "PostgreSQL is not promoted, and nobody else could lead: \(why). Its own log says more; what the "
                + "configuration has it run at the end of recovery (recovery_end_command, restore_command) and a full "
                + "disk are what mostly stands in the way"
        case .triedAgain, .failed, .refused, .watchdogFailed: nil
        }
    }
}
