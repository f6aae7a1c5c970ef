public import ClusterModel

// In a pause nobody is ended. A primary whose daemon is gone or has lost the store keeps no key, and serves on: whoever
// is promoted then is a second primary until somebody resumes, and what is committed there parts from the other's.
//
// Outside of a pause a lease that has ended has ended its server (docs/time.md), by its daemon or its guardian, and
// this rule says nothing. It must not: a receiver believes in a sender whose host was lost for as long as
// wal_receiver_timeout says, and a failover would wait for that (L1). Who has turned the guardian off (`guardian.mode`)
// has nobody in its place, as with Patroni: a daemon that is killed leaves a primary, and no member can tell that from
// a receiver that has not noticed yet.

/// Why this node takes a primary to be alive although nobody holds the leader key, by what its own PostgreSQL receives.
/// Nil where that proves nothing: another replica sends it, the primary is another cluster's, or the leader has stopped
/// and handed over, and the look is of before.
func servingPrimary(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> ServingReason? {
    hasLookedSince(seen, memory) ? streamingPrimary(seen, view, memory) : nil
}

/// A receiver that was looked at before the key went says nothing of what serves since: Patroni's leaders stop for whom
/// they hand over to, and leave no word of it.
private func hasLookedSince(_ seen: Observation, _ memory: Memory) -> Bool {
    memory.leaderlessSince.map { seen.local.observedAt > $0 } ?? true
}

private func streamingPrimary(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> ServingReason? {
    guard seen.settings.isPaused, !seen.settings.isStandbyCluster, !wasHandedOver(seen, view, memory),
        let facts = seen.local.facts, facts.inRecovery, let receiver = facts.receiver, receiver.isStreaming
    else { return nil }
    let gone = memory.membersUnderLastLeader.filter { view.member($0.name) == nil }
    let sender = sender(of: receiver, among: view.members + gone, memory.following)
    // What is known of one whose key has gone may be of before it led.
    let isReplica = sender.map { $0.role == .replica && (view.member($0.name) != nil || $0.name != memory.lastLeader) }
    if isReplica ?? false { return nil }
    return .streamsHere(from: sender?.name)
}

/// The member from which a receiver streams, by its address or, where that tells nothing, by what the standby was told.
private func sender(
    of receiver: PostgreSQLStatus.WALReceiver, among members: [Member], _ following: Memory.Following
) -> Member? {
    if let host = receiver.host, let port = receiver.port {
        return members.first { Upstream($0)?.address == HostPort(host: host, port: port) }
    }
    guard case .upstream(let told?) = following else { return nil }
    return members.first { $0.name == told.name }
}

/// The leader that was seen last has stopped for whoever takes over, a moment ago. Later an operator may have started
/// it again.
private func wasHandedOver(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Bool {
    guard let former = view.status.handedOverBy, memory.lastLeader.map({ $0 == former }) ?? true else { return false }
    return memory.leaderlessSince.map { seen.now - $0 < seen.settings.timings.ttl } ?? true
}

/// The same by what others say: one that is a primary itself, or a standby of ours that streams from one.
private func toldPrimary(_ answers: [String: PeerAnswer]) -> Reason? {
    for (name, answer) in answers.sorted(by: { $0.key < $1.key }) {
        guard case .status(let peer) = answer else { continue }
        if peer.isPrimary { return .race(.peerIsPrimary(name)) }
        if let word = peer.tellsOfPrimary { return .serving(.streamsElsewhere(word.facts["member"]?.string, by: name)) }
    }
    return nil
}

/// A request that names this node, and that must not be carried out while nobody leads: it ends, and says why. One that
/// stayed would come true at a time at which nobody thinks of it any more.
func impossibleRequestRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision? {
    guard let request = view.failover, request.candidate == seen.me.name, seen.local.facts?.inRecovery == true,
        seen.settings.isPaused ? isTakenInPause(request) : isUnderWay(request, view, wallTime: seen.wallTime)
    else { return nil }
    func ends(_ reasons: [Reason]) -> Decision {
        Decision(seen.repairsWait ? .wait : .write(.clearFailover(request.revision)), reasons)
    }
    // Whoever leads without the store asks only those that /failsafe names (docs/failsafe.md).
    if !seen.eligibility(view).isInFailsafe(seen.me.name) {
        let lost = lostFailsafe(seen, view, memory).map { [Reason.failsafe($0)] } ?? []
        return ends([.eligibility(.notInFailsafe)] + lost)
    }
    guard seen.settings.isPaused, !seen.settings.isStandbyCluster, !seen.me.tags.nofailover,
        !wasHandedOver(seen, view, memory)
    else { return nil }
    if let why = streamingPrimary(seen, view, memory) {
        if hasLookedSince(seen, memory) { return ends([.paused, .serving(why)]) }
        memory.awaitsLook = true
        return Decision(.wait, .paused, .serving(why))
    }
    let others = everyOther(seen, view, memory)
    guard others.isEmpty || seen.peers != nil else {
        return Decision(.ask(.peers(others)), .paused, .lease(.leaderKeyFree))
    }
    return toldPrimary(seen.peers ?? [:]).map { ends([.paused, $0]) }
}

extension PeerStatus {
    /// Its word that it streams from a primary that nobody ends.
    var tellsOfPrimary: Objection? { standsBack.first { $0.code == ServingReason.code } }
}

extension Prospect {
    /// What others know of a primary, against whoever is named in a pause; nil where it says so itself.
    static func told(
        by answers: [String: PeerAnswer], against name: String, _ seen: Observation, _ view: ClusterView
    ) -> CandidateReason? {
        guard seen.settings.isPaused, view.isUnlocked, !seen.settings.isStandbyCluster else { return nil }
        return toldPrimary(answers.filter { $0.key != name }).map { .standsBack(name, $0) }
    }
}

extension SwitchoverRequest {
    /// Whether somebody who was asked knows of a primary that serves on in a pause, though nobody leads.
    public func checkPrimary(
        _ answers: [String: PeerAnswer], _ view: ClusterView, _ settings: DynamicConfiguration
    ) throws(Refusal) {
        guard settings.isPaused, view.isUnlocked, !settings.isStandbyCluster else { return }
        let action = leader != nil ? "switchover" : kind.word
        for (name, answer) in answers.sorted(by: { $0.key < $1.key }) {
            guard case .status(let peer) = answer else { continue }
            if peer.isPrimary, name != candidate {
                throw Refusal(
                    .precondition,
                    "\(action) is not possible: \(name) still runs as primary, and nobody ends it in a pause")
            }
            if let word = peer.tellsOfPrimary {
                throw Refusal(.precondition, "\(action) is not possible: \(name) says: \(word.sentence)")
            }
        }
    }

    /// Whom to ask whether a primary serves on: everybody, where nobody leads in a pause.
    public func witnesses(_ view: ClusterView, _ settings: DynamicConfiguration) -> [Member] {
        guard settings.isPaused, view.isUnlocked else { return [] }
        return Eligibility(view, settings).askable(except: [candidate])
    }
}

/// Why a primary lives although nobody holds the leader key.
public enum ServingReason: Sendable, Hashable {
    /// Of the member that is named, as far as it is known, PostgreSQL here receives.
    case streamsHere(from: String?)
    /// Likewise somebody else, by its own word.
    case streamsElsewhere(String?, by: String)

    /// By this others know it, where a node says it of itself.
    static let code = "primary-serves"

    var explanation: Explanation {
        let (name, witness): (String?, String?) =
            switch self {
            case .streamsHere(let name): (name, nil)
            case .streamsElsewhere(let name, let witness): (name, witness)
            }
        return Explanation(
            "primary-serves", ["member": .fact(name), "seen_by": .fact(witness)],
            "\(witness ?? "PostgreSQL here") streams from \(name ?? "a primary"): it serves on without the leader key, "
                + "and nobody ends it in a pause")
    }

    var needsOperator: String? {
        switch self {
        case .streamsHere(let name), .streamsElsewhere(let name, _):
            "The cluster is paused and nobody holds the leader key, while \(name ?? "the primary")'s PostgreSQL serves "
                + "on: bring its daemon back, or stop that PostgreSQL, before you resume or fail over"
        }
    }
}
