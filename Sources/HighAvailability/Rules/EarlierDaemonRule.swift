public import ClusterModel

// The leader key that an earlier daemon of this name has won, found by one that was started with another data
// directory, or after its volume had gone: that one's server may run on where nobody looks, until its guardian ends it
// with the lease. What stands here says nothing of it, whatever it is (every copy of a running primary is one "in
// production"), so that the key is left to end (S1). Stricter than Patroni.

/// How long the key is left for the sake of such a server.
public enum EarlierServer: Sendable, Hashable {
    /// Its daemon's session ends the key. Nobody here prolongs that.
    case untilItsSessionEnds
    /// The key is on a session of this daemon's already, and that one's lease ends before.
    case forAWhile(Duration)

    /// Nil where the store tells.
    var wait: Duration? { if case .forAWhile(let time) = self { time } else { nil } }
}

/// Nil where there is none: this daemon has won the key or seen its server run, a guardian has told of its lease, or
/// what led was shut down here. `isHeld`: the key is on a session of this daemon's.
public func earlierServer(
    _ local: PostgreSQLStatus, _ view: ClusterView?, _ settings: DynamicConfiguration, _ memory: Memory, isHeld: Bool,
    at now: BootInstant
) -> EarlierServer? {
    guard let began = memory.beganWithoutLease, let view, !memory.hasWonKey, !memory.hasRun, local.postmaster == nil,
        !hasEndedHere(local, view)
    else { return nil }
    if !isHeld { return .untilItsSessionEnds }
    let end = began + settings.timings.ttl
    return now < end ? .forAWhile(end - now) : nil
}

private func hasEndedHere(_ local: PostgreSQLStatus, _ view: ClusterView) -> Bool {
    guard let control = local.control, control.state == .shutDown else { return false }
    return control.checkpointTimeline >= view.timeline && local.walEnd ?? control.checkpoint >= view.status.optime
}

/// The decision, but for what would give such a key away.
func leavingEarlierKey(_ decision: Decision, _ seen: Observation, _ memory: Memory) -> Decision {
    guard seen.isNamedLeader, givesKeyUp(decision.action),
        let earlier = earlierServer(
            seen.local, seen.view, seen.settings, memory, isHeld: seen.lease != nil, at: seen.now)
    else { return decision }
    return Decision(.wait, decision.reasons + [.lease(.keyOfEarlierDaemon(earlier))])
}

private func givesKeyUp(_ action: Action) -> Bool {
    switch action {
    case .releaseLeader: true
    case .carryOut(let plan): plan.givesKeyUp
    case .wait, .ask, .acquireLeader, .initializeCluster, .write, .breakOff, .exit: false
    }
}
