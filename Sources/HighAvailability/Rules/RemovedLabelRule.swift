import ClusterModel

/// A standby that began to recover by a `backup_label` goes by it for good, also where an operator has removed that
/// since because it named WAL that nobody has: only another start comes without it. Nil where nothing of that is so.
func removedLabelRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    guard !seen.settings.isPaused, !seen.isNamedLeader || seen.renewal == .held, seen.local.hasStandbySignal,
        seen.local.readiness == .rejecting, let obstacle = memory.certainObstacle, case .removedBackupLabel = obstacle,
        seen.local.obstacle == obstacle, seen.running.map({ $0.plan.kind == .startStandby }) ?? true
    else { return nil }
    let because = Reason.server(.obstructed(obstacle))
    if let pause = memory.starting.pause(at: seen.now) {
        return Decision(.wait, because, .server(.startedAgain(in: pause)))
    }
    memory.starting.note(obstacle.text, at: seen.now, first: .seconds(10), longest: .seconds(300))
    let start = PostgreSQLOperation.startStandby(
        of: followTarget(seen.me, view, seen.settings).upstream, timeout: seen.settings.startPatience)
    let stop = PostgreSQLOperation.stop(.immediate, timeout: PostgreSQLOperation.customaryStopTimeout)
    let plan = Plan(.startStandby, [.postgreSQL(stop), .postgreSQL(start)])
    return Decision(seen.running == nil ? .carryOut(plan) : .breakOff(plan), because)
}
