import ClusterModel

/// A base backup, and a standby made of it. Only a plan of the kind `clone` finds nothing to replace.
func clonePlan(
    _ kind: Plan.Kind, _ me: NodeIdentity, _ settings: DynamicConfiguration, _ view: ClusterView, from source: Upstream
) -> Plan {
    let upstream = nodeToFollow(me, view).flatMap { Upstream($0) } ?? source
    return Plan(
        kind,
        [
            .postgreSQL(.clone(from: source, replacing: kind != .clone)),
            .postgreSQL(.startStandby(of: upstream, timeout: settings.startPatience)),
        ])
}

/// The plan of the node that won `/initialize`.
public func bootstrapPlan() -> Plan {
    Plan(.bootstrap, [.postgreSQL(.bootstrap), .publishBootstrap, .postgreSQL(.finishBootstrap)])
}
