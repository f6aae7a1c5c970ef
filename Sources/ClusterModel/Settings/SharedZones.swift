/// The zones that `synchronous_zones: distinct` wants to be used once, and that are not, as `/sync` stands: in quorum
/// mode the primary's alone counts. A standby that says nothing of its zone may be in the primary's. Empty where
/// nothing of the kind is wanted.
public func sharedZones(_ view: ClusterView, _ settings: DynamicConfiguration) -> [String] {
    guard settings.prefersDistinctZones, settings.synchronousMode != .off, let leader = view.leaderMember else {
        return []
    }
    let voters = view.members.filter { view.sync.isVoter($0.name) && $0.name != leader.name }
        .compactMap { $0.tags.zone ?? leader.tags.zone }
    if settings.synchronousMode == .quorum {
        return leader.tags.zone.map { voters.contains($0) ? [$0] : [] } ?? []
    }
    let all = voters + [leader.tags.zone].compactMap { $0 }
    return Set(all.filter { zone in all.count { $0 == zone } > 1 }).sorted()
}
