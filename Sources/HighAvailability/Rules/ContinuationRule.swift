public import ClusterModel

// Who led goes on as primary only on what it led with: an older copy of its data directory lacks what the members have
// received (S3). One rule for the start after a crash, after a hand-over that was called off, and of a restart.

/// Whether the stopped primary's data directory is what it led with.
enum Continuation: Sendable, Hashable {
    case goesOn
    /// How much they have received is not known yet.
    case ask([Member])
    /// It may be an older copy, and nobody else is a member who could tell: who has only lost its key puts it again
    /// within this time.
    case wait(Duration)
    /// This member says that it has received more. What was seen here is older than its word: somebody may have started
    /// PostgreSQL by hand since, who has written that.
    case claimed(Memory.Received)
    case setBack(ServerReason)
}

/// Who says that more was flushed here than the WAL in the data directory.
public enum WALWitness: Sendable, Hashable {
    /// `/status` of the leader that this node was.
    case status
    /// What this daemon has seen of the server.
    case myself
    /// A standby that has received it.
    case member(String)
}

/// What proves that the directory is an older copy: its WAL ends before what is known to have been flushed here. After
/// a mere crash it does not, however old the last checkpoint is; and no standby has what its primary had not flushed.
///
/// Where there is no other member nobody has more, and a copy that an operator has put back is what there is.
func continuation(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Continuation {
    guard let end = seen.local.walEnd, let timeline = seen.local.control?.checkpointTimeline else { return .goesOn }
    let proof = setBack(seen.local, view, memory)
    guard view.members.contains(where: { $0.name != seen.me.name }) else {
        let isDoubtful = proof != nil || view.status.optime == .zero
        return isDoubtful ? memory.mayBeAlone(seen).map { .wait($0) } ?? .goesOn : .goesOn
    }
    if let proof { return .setBack(proof) }
    if let known = memory.received, known.at < seen.local.observedAt, known.timeline >= timeline, known.position > end {
        return .setBack(known.reason(end: end))
    }
    let others = everyOther(seen, view, memory)
    guard let peers = seen.peers else { return others.isEmpty ? .goesOn : .ask(others) }
    for (name, answer) in peers.sorted(by: { $0.key < $1.key }) {
        guard case .status(let peer) = answer, !peer.isPrimary, peer.timeline >= timeline, peer.position > end else {
            continue
        }
        return .claimed(.init(by: name, position: peer.position, timeline: peer.timeline, at: seen.now))
    }
    return .goesOn
}

private func setBack(_ local: PostgreSQLStatus, _ view: ClusterView, _ memory: Memory) -> ServerReason? {
    guard let end = local.walEnd else { return nil }
    if end < view.status.optime { return .setBack(end: end, flushed: view.status.optime, knownBy: .status) }
    if let led = memory.ledTimeline, led == local.control?.checkpointTimeline, end < memory.ledPosition {
        return .setBack(end: end, flushed: memory.ledPosition, knownBy: .myself)
    }
    return nil
}

extension Memory.Received {
    func reason(end: WALPosition) -> ServerReason { .setBack(end: end, flushed: position, knownBy: .member(name)) }
}

extension Memory {
    /// How much longer somebody may come who is a member without its key; nil where nobody will.
    fileprivate func mayBeAlone(_ seen: Observation) -> Duration? {
        let end = (aloneSince ?? seen.now) + seen.settings.timings.loopWait + .seconds(2)
        return seen.now < end ? end - seen.now : nil
    }
}

extension LeaseArithmetic {
    /// How long the members are waited for before a primary that crashed starts again: no longer than its start takes.
    public static func receiptPatience(ttl: Duration) -> Duration { min(.milliseconds(250), peerPatience(ttl: ttl)) }
}

// MARK: A start within a plan

/// What the step `start` of a plan comes to, once PostgreSQL was looked at.
public enum StartVerdict: Sendable, Hashable {
    case carryOut(PostgreSQLOperation)
    case refuse([Reason])
}

/// Whom to ask before that step, while PostgreSQL is looked at: who may have received more than stands in the directory
/// of a leader.
public func startWitnesses(_ seen: Observation, _ memory: Memory) -> [Member] {
    guard let view = seen.view, seen.isNamedLeader else { return [] }
    return everyOther(seen, view, memory)
}

/// How PostgreSQL is started on what stands there now, which may be another directory than the one it was stopped in.
/// Only the holder of the key starts what accepts writes (S5); in pause also who did so before, where nobody leads.
public func startVerdict(
    _ seen: Observation, _ memory: Memory, wasWritable: Bool, timeout: Duration
) -> StartVerdict {
    guard let view = seen.view else { return .refuse([.store(.neverLoaded)]) }
    if let obstacle = startObstacle(seen.local, view, memory) { return .refuse([obstacle]) }
    let isPausedPrimary = seen.settings.isPaused && wasWritable && view.isUnlocked
    let mayAcceptWrites = seen.isNamedLeader && seen.lease != nil || isPausedPrimary
    guard mayAcceptWrites, !seen.settings.isStandbyCluster || seen.settings.isPaused else {
        return .carryOut(.startStandby(of: upstream(seen, view, memory), timeout: timeout))
    }
    switch continuation(seen, view, memory) {
    case .setBack(let why): return .refuse([.server(why)])
    case .claimed(let received): return .refuse([.server(received.reason(end: seen.local.walEnd ?? .zero))])
    case .wait(let left): return .refuse([.server(.mayBeSetBack(wait: left))])
    case .ask, .goesOn: break
    }
    if continuesTimeline(seen.local, view) {
        return .carryOut(.startPrimary(timeout: timeout, on: seen.local.stamp))
    }
    let source = seen.local.hasStandbySignal ? upstream(seen, view, memory) : nil
    return .carryOut(.startStandby(of: source, timeout: timeout))
}

/// What stands in the directory keeps every start from it, also one by an operator's word.
public func startObstacle(_ local: PostgreSQLStatus, _ view: ClusterView, _ memory: Memory) -> Reason? {
    switch local.dataDirectory {
    case .initialized: break
    case .empty: return .bootstrap(.dataDirectoryEmpty)
    case .inaccessible(let why), .unseen(let why): return .bootstrap(.dataDirectoryInaccessible(why))
    }
    switch local.unfinished {
    case .rewind?: return .rejoin(.rewindBrokenOff)
    case .bootstrap?, .restore?, .copy?: return .bootstrap(.bootstrapBrokenOff)
    case nil: break
    }
    guard let own = local.systemIdentifier, isValidSystemIdentifier(own) else {
        return .identity(.systemIdentifierInvalid(local.systemIdentifier))
    }
    if let cluster = view.initialize.systemIdentifier, cluster != own {
        return .identity(.systemIdentifierMismatch(cluster: cluster, local: own))
    }
    return memory.kept.map { .rejoin(.directoryKept($0)) }
}

/// Whom it followed, and where that is not known whom it is to follow.
private func upstream(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Upstream? {
    if !seen.settings.isStandbyCluster, case .upstream(let known) = memory.following { return known }
    return followTarget(seen.me, view, seen.settings).upstream
}
