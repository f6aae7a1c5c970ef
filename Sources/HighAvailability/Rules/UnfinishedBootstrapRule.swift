import ClusterModel

/// A new cluster whose making was broken off (S11). Where its identifier was published it was complete; else nobody
/// knows of it, its users may be missing, and it makes way for a cluster that somebody does know of. What was restored
/// from a backup has an identifier that others may have published: it tells itself whether it was complete.
func unfinishedBootstrapRule(_ seen: Observation, _ view: ClusterView) -> Decision? {
    switch seen.local.unfinished {
    case .bootstrap?:
        guard let local = seen.local.systemIdentifier else { return Decision(.wait, unidentified(seen.local)) }
        if view.initialize.systemIdentifier == local {
            let plan = Plan(.bootstrap, [.postgreSQL(.finishBootstrap)])
            return Decision(.carryOut(plan), .bootstrap(.bootstrapBrokenOff))
        }
    case .restore?: break
    case .copy?, .rewind?, nil: return nil
    }
    if seen.settings.isPaused { return Decision(.wait, .bootstrap(.bootstrapBrokenOff), .paused) }
    var steps: [Step] = [.postgreSQL(.setAsideDataDirectory)]
    if seen.local.postmaster != nil {
        steps.insert(.postgreSQL(.stop(.immediate, timeout: .seconds(10))), at: 0)
    }
    return Decision(.carryOut(Plan(.bootstrap, steps)), .bootstrap(.bootstrapBrokenOff))
}
