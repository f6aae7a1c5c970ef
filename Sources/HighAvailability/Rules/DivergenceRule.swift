public import ClusterModel

/// Has the local timeline parted from the source's (postgresql.md §21.4)? Pure arithmetic over `DivergenceFacts`.
public enum DivergenceVerdict: Sendable, Hashable {
    case same
    /// WAL exists here that the source never had; it left our timeline at `leftAt` (nil: our timeline is unknown to
    /// it).
    case diverged(leftAt: WALPosition?)
    /// The facts do not decide it.
    case undecided(String)
}

/// Compares the local end of WAL with the source's history. `ledTimeline` is the one on which this node last accepted
/// writes, as far as it knows.
public func judgeDivergence(_ facts: DivergenceFacts, ledTimeline: TimelineID? = nil) -> DivergenceVerdict {
    if facts.sourceInRecovery { return .undecided("the source is itself in recovery") }
    if facts.localTimeline == 0 || facts.sourceTimeline == 0 { return .undecided("a timeline is unknown") }
    if facts.isAtLeast { return judgeCrashed(facts) }
    if facts.localTimeline == facts.sourceTimeline {
        // A timeline has one writer. Where a leader was lost before anybody heard of its timeline, the next one makes
        // another of the same number: what was written here is not a part of it.
        let wrote = !facts.localInRecovery || ledTimeline == facts.localTimeline
        if wrote || followsAnother(facts) { return .diverged(leftAt: nil) }
        // All that a standby has was the primary's once. One that has less now was set back to an older copy, or its
        // disk has lost what it had promised: what it writes there from now on is something else.
        if let end = facts.sourcePosition, facts.localPosition > end { return .diverged(leftAt: end) }
        return .same
    }
    guard facts.localTimeline < facts.sourceTimeline,
        let left = facts.sourceHistory.first(where: { $0.timeline == facts.localTimeline })?.position
    else { return .diverged(leftAt: nil) }
    if facts.localInRecovery {
        if facts.localPosition > left { return .diverged(leftAt: left) }
        return followsAnother(facts) ? .diverged(leftAt: nil) : .same
    }
    // A shut down primary: its checkpoint record begins at the position. The source may have taken over exactly behind
    // it.
    if facts.localPosition >= left { return .diverged(leftAt: left) }
    return facts.checkpointEnd == left ? .same : .diverged(leftAt: left)
}

/// A timeline of the source's number here is not the source's. Two sites count theirs each for itself: one that was
/// followed for a while may have left us its second, and the leader here has made another second since.
private func followsAnother(_ facts: DivergenceFacts) -> Bool {
    guard facts.localInRecovery, !facts.contentDiffers else { return facts.localInRecovery }
    guard let end = facts.localEnd, let beginning = facts.beginning(of: facts.localTimeline) else { return false }
    return end < beginning
}

/// After a crash the last checkpoint tells how far the local WAL goes at least: enough where the source's timeline had
/// left ours by then.
private func judgeCrashed(_ facts: DivergenceFacts) -> DivergenceVerdict {
    guard facts.localTimeline < facts.sourceTimeline,
        let left = facts.sourceHistory.first(where: { $0.timeline == facts.localTimeline })?.position,
        facts.localPosition >= left
    else { return .undecided("after a crash it is not known where the WAL ends") }
    return .diverged(leftAt: left)
}

/// Compares with the leader, or with who is followed elsewhere, and decides what becomes of a data directory that has
/// parted (ha-loop.md §8.2). Nil where it has not, or where nothing can be known yet.
///
/// S7: the directory is rewound or replaced only after the comparison proved the divergence against a running primary.
func divergenceRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    guard let origin = origin(seen, view) else { return nil }
    let source = origin.upstream
    var facts: DivergenceFacts
    switch seen.divergence {
    case nil: return Decision(.ask(.divergence(from: source)), .follow(.mustFollow(source.name)))
    case .unavailable?: return nil
    case .facts(let known)?: facts = known
    }
    if memory.refusesContinuation(facts) { facts.contentDiffers = true }
    switch judgeDivergence(facts, ledTimeline: memory.ledTimeline) {
    case .undecided: return nil
    case .same:
        memory.rewind = .unsuspected
        memory.kept = nil
        return replaceObstructed(seen, view, source, memory)
    case .diverged(let leftAt):
        let reason = Reason.rejoin(
            .diverged(
                local: facts.localTimeline, at: facts.localPosition, leftAt: leftAt, source: facts.sourceTimeline))
        // pg_rewind goes by the timelines' numbers: of two that are equal it says that nothing is to be done.
        let hasSameNumber = facts.localTimeline == facts.sourceTimeline
        return rejoin(seen, view, origin, &memory, canRewind: !hasSameNumber, because: reason)
    }
}
