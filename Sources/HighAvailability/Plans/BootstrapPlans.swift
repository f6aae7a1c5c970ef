public import ClusterModel

/// A base backup, and a standby made of it; what runs in its place is stopped first.
func clonePlan(
    _ kind: Plan.Kind, _ me: NodeIdentity, _ local: PostgreSQLStatus, _ settings: DynamicConfiguration,
    _ view: ClusterView, from source: Upstream, onlyByBaseBackup: Bool = false
) -> Plan {
    let stopped = PostgreSQLOperation.stop(.immediate, timeout: PostgreSQLOperation.customaryStopTimeout)
    let stop: [Step] = local.postmaster == nil ? [] : [.postgreSQL(stopped)]
    let upstream = upstream(me, view, settings, madeFrom: source)
    // What nobody has asked to be rid of is gone back to where the copy fails, and may be mended later.
    let replaced: PostgreSQLOperation.Replaced =
        kind == .clone ? .nothing : kind == .reclone ? .last : .first
    return Plan(
        kind,
        stop + [
            .postgreSQL(.clone(from: source, replacing: replaced, onlyByBaseBackup: onlyByBaseBackup)),
            .postgreSQL(.startStandby(of: upstream, timeout: settings.startPatience)),
        ])
}

/// A data directory out of a backup, and a standby of nobody made of it, or of the primary elsewhere: it joins the
/// race.
func restorePlan(_ settings: DynamicConfiguration) -> Plan {
    let upstream = settings.standbyCluster?.upstream(leads: false)
    return Plan(
        .clone, [.postgreSQL(.restore), .postgreSQL(.startStandby(of: upstream, timeout: settings.startPatience))])
}

/// The plan of the node that won `/initialize`. A standby cluster is not made but copied (ha-loop.md §6.2); its copy
/// is whole before it is published.
public func bootstrapPlan(_ settings: DynamicConfiguration) -> Plan {
    guard let elsewhere = settings.standbyCluster else {
        return Plan(.bootstrap, [.postgreSQL(.bootstrap), .publishBootstrap, .postgreSQL(.finishBootstrap)])
    }
    // Nobody else has data: this node leads next, and the slot there holds WAL for it from here on.
    let source = elsewhere.upstream(leads: true)
    return Plan(
        .bootstrap,
        [
            .postgreSQL(source.hasAddress ? .clone(from: source, replacing: .nothing) : .restore),
            .postgreSQL(.startStandby(of: source, timeout: settings.startPatience)), .publishBootstrap,
        ])
}

/// A bootstrap that failed: what was made is stopped, and moved aside where nobody can know of it (ha-loop.md §6.3).
public func cancelledBootstrapPlan(mayBePublished: Bool) -> Plan {
    // What runs there is ended by the moving aside, which alone knows whether it is what the bootstrap has made.
    let step = mayBePublished ? .stop(.immediate, timeout: .seconds(10)) : PostgreSQLOperation.setAsideDataDirectory
    return Plan(.shutdown, [.postgreSQL(step)])
}
