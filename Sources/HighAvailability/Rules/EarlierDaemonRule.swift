import ClusterModel

/// The leader key that an earlier daemon of this name has won, found by one that was started with another data
/// directory, or after its volume had gone: that one's server may run on where nobody looks, until its guardian ends it
/// with the lease. What stands here says nothing of it, so that the key is left to end by itself (S1). Stricter than
/// Patroni.
///
/// Where a server has run under this daemon, or a primary has crashed here, this is the directory that led.
func keepingEarlierKey(_ decision: Decision, _ seen: Observation, _ memory: Memory) -> Decision {
    guard let began = memory.beganWithoutLease, seen.isNamedLeader, !memory.hasWonKey, !memory.hasRun,
        seen.local.postmaster == nil, !hasCrashed(seen.local.control?.state), givesKeyUp(decision.action)
    else { return decision }
    let end = began + seen.settings.timings.ttl
    guard seen.now < end else { return decision }
    return Decision(.wait, decision.reasons + [.lease(.keyOfEarlierDaemon(wait: end - seen.now))])
}

private func givesKeyUp(_ action: Action) -> Bool {
    switch action {
    case .releaseLeader: true
    case .carryOut(let plan): plan.givesKeyUp
    case .wait, .ask, .acquireLeader, .initializeCluster, .write, .breakOff, .exit: false
    }
}

private func hasCrashed(_ state: ControlData.ClusterState?) -> Bool {
    switch state {
    case .inProduction?, .shuttingDown?: true
    case .startingUp?, .shutDown?, .shutDownInRecovery?, .inCrashRecovery?, .inArchiveRecovery?, nil: false
    }
}
