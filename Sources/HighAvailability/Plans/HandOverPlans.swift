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
