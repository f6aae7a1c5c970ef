public import ClusterModel

/// A restart in the role that the server has. One that is down is started as a standby, unless this node leads and the
/// directory says that it was a primary: only the holder of the key starts what accepts writes (S5).
public func restartPlan(
    _ me: NodeIdentity, _ local: PostgreSQLStatus, _ view: ClusterView, isLeading: Bool, timeout: Duration,
    stopTimeout: Duration
) -> Plan {
    if local.postmaster != nil {
        return Plan(.restart, [.postgreSQL(.restart(timeout: timeout, stopTimeout: stopTimeout))])
    }
    if isLeading && !local.hasStandbySignal {
        return Plan(.restart, [.postgreSQL(.startPrimary(timeout: timeout))])
    }
    let upstream = nodeToFollow(me, view).flatMap { Upstream($0) }
    return Plan(.restart, [.postgreSQL(.startStandby(of: upstream, timeout: timeout))])
}

/// A new base backup because an operator asked for one: nil where nobody is there to take it from.
public func reinitializePlan(
    _ me: NodeIdentity, _ local: PostgreSQLStatus, _ view: ClusterView, _ settings: DynamicConfiguration,
    fromLeader: Bool
) -> Plan? {
    let member = fromLeader ? view.leaderMember : cloneSource(me, view)
    guard let member, member.name != me.name, let source = Upstream(member) else { return nil }
    var plan = clonePlan(.reinitialize, me, settings, view, from: source)
    if local.postmaster != nil { plan.steps.insert(.postgreSQL(.stop(.immediate, timeout: .seconds(60))), at: 0) }
    return plan
}
