import ClusterModel

/// In pause nobody takes a key that is free, but for what was handed over a moment ago: by a daemon that did not know
/// of the pause yet, or had begun to end before it came. The server that led has ended for somebody who has everything
/// to lead, and the key would lie there until somebody resumes. Who comes later than within a ttl, or has not seen it
/// lead, leaves it to the operator, who may have started it again by hand.
extension Observation {
    func isHeir(_ view: ClusterView, _ memory: Memory) -> Bool {
        guard let former = view.status.handedOverBy, former != me.name, memory.lastLeader == former,
            let since = memory.leaderlessSince, now - since < settings.timings.ttl, let facts = local.facts
        else { return false }
        return facts.inRecovery && facts.position >= view.status.optime
    }
}

extension Memory {
    /// A standby that holds the key in pause gives it back, but for an heir that a pause finds between key and
    /// promotion.
    mutating func noteHeir(_ view: ClusterView, _ seen: Observation) {
        if view.leaderName.map({ $0 != seen.me.name }) ?? false || seen.local.isPrimary { isHeir = false }
    }
}
