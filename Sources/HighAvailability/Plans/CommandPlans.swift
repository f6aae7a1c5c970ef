public import ClusterModel

/// A restart: stop, look, start. What is started is decided by what stands in the data directory then, as for any
/// server that is down (`startVerdict`).
public func restartPlan(
    _ me: NodeIdentity, _ local: PostgreSQLStatus, _ view: ClusterView, _ settings: DynamicConfiguration,
    isLeading: Bool, timeout: Duration
) -> Plan {
    guard local.postmaster != nil else { return Plan(.restart, [.start(timeout: timeout)]) }
    let stop = Step.postgreSQL(.stopToRestart(timeout: settings.stopTimeout))
    return Plan(.restart, (isLeading ? [] : leavesDuty(me, view, settings)) + [stop, .start(timeout: timeout)])
}

/// A new base backup because an operator asked for one: nil where nobody is there to take it from.
public func reinitializePlan(
    _ me: NodeIdentity, _ local: PostgreSQLStatus, _ view: ClusterView, _ settings: DynamicConfiguration,
    fromLeader: Bool
) -> Plan? {
    let member = fromLeader ? view.leaderMember : cloneSource(me, view, settings)
    guard let member, member.name != me.name, let source = Upstream(member) else { return nil }
    return clonePlan(.reinitialize, me, local, settings, view, from: source, onlyByBaseBackup: fromLeader)
}
