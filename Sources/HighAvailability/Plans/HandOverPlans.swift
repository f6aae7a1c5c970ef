public import ClusterModel

// The plans that give leadership away in order: stop, see that a candidate has everything, release the key.

/// For a request: the clean stop follows a checkpoint, so that it is short.
func handOverPlan(to heirs: [Member], _ settings: DynamicConfiguration) -> Plan {
    let stop = PostgreSQLOperation.stop(
        .fastAfterCheckpoint, timeout: settings.handOverTimeout, heirs: heirs.map(\.name))
    return Plan(.handOver, [.postgreSQL(stop), .confirmReceipt(by: heirs), .releaseLeader])
}

/// The daemon ends. The key goes at once only to somebody who has everything; else it ends with the session, and this
/// node may be back before.
public func shutdownPlan(
    _ me: NodeIdentity, _ view: ClusterView?, _ settings: DynamicConfiguration, isLeading: Bool
) -> Plan {
    guard isLeading else {
        let stop = Step.postgreSQL(.stop(.fast, timeout: settings.stopTimeout, heirs: nil))
        return Plan(.shutdown, leavesDuty(me, view, settings) + [stop])
    }
    let heirs = view.map { Eligibility($0, settings).successors(by: .handOver, except: [me.name]) } ?? []
    let timeout = heirs.isEmpty ? settings.stopTimeout : settings.handOverTimeout
    let stop = PostgreSQLOperation.stop(.fast, timeout: timeout, heirs: heirs.map(\.name))
    return Plan(.shutdown, [.postgreSQL(stop), .confirmReceipt(by: heirs), .releaseLeader])
}

/// The step before a standby stops for which commits wait; none for any other.
func leavesDuty(_ me: NodeIdentity, _ view: ClusterView?, _ settings: DynamicConfiguration) -> [Step] {
    guard let view, hasDuty(me, view, settings), !me.tags.nosync else { return [] }
    return [.leaveDuty]
}

/// Whether the leader's commits may wait for this standby.
public func hasDuty(_ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration) -> Bool {
    guard settings.synchronousMode != .off, let leader = view.leaderName, leader != me.name else { return false }
    return view.sync.leader?.lowercased() == leader.lowercased() && view.sync.isVoter(me.name)
}

/// What the members of a `confirmReceipt` have of the WAL that ends at `end` on `timeline`.
public func receipts(
    _ members: [Member], _ answers: [String: PeerAnswer], end: WALPosition, timeline: TimelineID
) -> [CandidateVerdict] {
    members.map { member in
        CandidateVerdict(
            name: member.name,
            verdict: judge(answers[member.name], .everything(to: end), clusterTimeline: timeline))
    }
}

/// A bootstrap that failed: what was made is stopped, and moved aside where nobody can know of it (ha-loop.md §6.3).
public func cancelledBootstrapPlan(mayBePublished: Bool) -> Plan {
    // What runs there is ended by the moving aside, which alone knows whether it is what the bootstrap has made.
    let step = mayBePublished ? .stop(.immediate, timeout: .seconds(10)) : PostgreSQLOperation.setAsideDataDirectory
    return Plan(.shutdown, [.postgreSQL(step)])
}

/// A guardian that hangs neither protects nor lets go: what it acknowledged last runs out, and when it wakes it stops
/// PostgreSQL. A restart in good time gives PostgreSQL another one; so does a standby that is to be promoted. One that
/// has acknowledged nothing since the daemon began protects by a lease that nobody here knows, or not at all: it gets a
/// few chances more, and is replaced then. Nil where it is not time.
public func guardianReplacement(
    _ local: PostgreSQLStatus, _ settings: DynamicConfiguration, lease: Lease?, acknowledged: Lease?, failures: Int,
    at now: BootInstant
) -> Plan? {
    guard failures >= 2, !settings.isPaused, local.postmaster != nil, let lease, lease.isValid(at: now) else {
        return nil
    }
    if local.mayAcceptWrites {
        let isTime = acknowledged.map { now >= LeaseArithmetic.stopBy($0) } ?? (failures >= 4)
        guard isTime else { return nil }
    }
    return Plan(
        .restart,
        [.postgreSQL(.stopToRestart(timeout: settings.stopTimeout)), .start(timeout: settings.startPatience)])
}
