public import ClusterModel

// L1: leader key and member key hang on one session. A leader that has ceased to renew, because its server hangs or
// because what would end that hangs, must lose the key by time; so nothing but a renewal, which a rule has asked for,
// may prolong the session meanwhile. What a node does for other reasons asks here.

/// Whether writing the member key may prolong our session: not while the leader key may hang on it, by the view or by a
/// claim that the view does not show yet.
public func mayTouchProlong(_ me: NodeIdentity, _ view: ClusterView?, lease: Lease?) -> Bool {
    lease == nil && view?.leaderName != me.name
}

/// Whether a routine look at the store may prolong our session on the way. For a leader that spares the renewal a
/// request of its own, which follows at once where all is well; one whose last renewal is older than two of them, or
/// than half a ttl, does not renew any more.
public func mayLookProlong(
    _ me: NodeIdentity, _ view: ClusterView?, lease: Lease?, _ timings: ClusterTimings, at now: BootInstant
) -> Bool {
    guard view?.leaderName == me.name else { return true }
    guard let lease else { return false }
    return now - lease.since < LeaseArithmetic.looksProlong(timings, safetyMargin: lease.safetyMargin)
}
