import ClusterModel

/// A base backup, and a standby made of it. Only a plan of the kind `clone` finds nothing to replace.
func clonePlan(
    _ kind: Plan.Kind, _ me: NodeIdentity, _ settings: DynamicConfiguration, _ view: ClusterView, from source: Upstream,
    onlyByBaseBackup: Bool = false
) -> Plan {
    let upstream = upstream(me, view, madeFrom: source)
    return Plan(
        kind,
        [
            .postgreSQL(
                .clone(from: source, replacing: kind != .clone, onlyByBaseBackup: onlyByBaseBackup)),
            .postgreSQL(.startStandby(of: upstream, timeout: settings.startPatience)),
        ])
}

/// A data directory out of a backup, and a standby of nobody made of it: it joins the race.
func restorePlan(_ settings: DynamicConfiguration) -> Plan {
    Plan(
        .clone, [.postgreSQL(.restore), .postgreSQL(.startStandby(of: nil, timeout: settings.startPatience))])
}

/// The plan of the node that won `/initialize`.
public func bootstrapPlan() -> Plan {
    Plan(.bootstrap, [.postgreSQL(.bootstrap), .publishBootstrap, .postgreSQL(.finishBootstrap)])
}
