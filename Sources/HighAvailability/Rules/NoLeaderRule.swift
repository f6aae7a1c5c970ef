public import ClusterModel

/// Nobody holds the leader key (ha-loop.md §10): am I the one who should?
func noLeaderRule(_ seen: Observation, _ view: ClusterView, _ memory: inout Memory) -> Decision {
    // The key would bear the other's name, too.
    if let other = seen.namesake {
        let taken = Reason.lease(.nameTaken(by: other))
        return giveUpWrites(seen, &memory, because: [taken]) ?? Decision(.wait, taken)
    }
    if let decision = impossibleRequestRule(seen, view, &memory) { return decision }
    switch candidacy(seen, view, memory) {
    case .ask(let question, let reasons): return Decision(.ask(question), reasons)
    case .yes(let reasons):
        if let obstacle = failsafeObstacle(seen, view) { return Decision(.wait, obstacle) }
        // A store that answers and does not give the key back yet: until it does, the others' word holds.
        if case .ask(let members) = failsafeStep(seen), seen.leadsByPromises {
            return Decision(.ask(.failsafe(members)), reasons)
        }
        memory.isHeir = seen.isHeir(view, memory)
        return Decision(.acquireLeader, reasons)
    case .no(let reasons) where reasons == [.server(.notRunningYet)] && seen.leadsByPromises:
        return Decision(.wait, reasons)
    // A primary without a lease stops, a standby waits for the new leader.
    case .no(var reasons):
        if let lost = lostFailsafe(seen, view, memory) { reasons.append(.failsafe(lost)) }
        if isLeftUnproven(seen, view, memory, because: reasons) { reasons.append(.race(.unprovenWithoutLeader)) }
        return giveUpWrites(seen, &memory, because: reasons) ?? Decision(.wait, reasons)
    }
}

/// What a node thinks of its own candidacy.
enum Candidacy: Sendable, Hashable {
    case yes([Reason])
    case no([Reason])
    case ask(Question, [Reason])
}

/// The ordered tests of ha-loop.md §11.1.
private func candidacy(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Candidacy {
    if !seen.local.isPrimary, let refused = refusedPromotion(seen, memory) { return .no([.promotion(refused)]) }
    if seen.settings.isPaused, !seen.isHeir(view, memory) { return candidacyInPause(seen, view, memory) }
    if let why = seen.watchdogObstacle, !seen.settings.isStandbyCluster {
        return .no([.promotion(.watchdogFailed(why))])
    }
    guard seen.local.readiness == .accepting, let facts = seen.local.facts else {
        return .no([.server(.notRunningYet)])
    }
    if !facts.inRecovery { return primaryCandidacy(facts, view) }
    // Its positions are on a timeline that the cluster has left.
    if let why = memory.kept { return .no([.rejoin(.directoryKept(why))]) }
    if !seen.settings.isStandbyCluster, let why = unseenPrimary(seen, memory) { return .no([.newcomer(why)]) }
    if seen.me.tags.nofailover { return .no([.eligibility(.notAllowedToPromote)]) }
    if let wait = raceBackoff(seen, view, memory) { return .no([.backoff(wait)]) }
    if let request = view.failover, isUnderWay(request, view, wallTime: seen.wallTime) {
        if let verdict = requestCandidacy(seen, view, facts, request, memory) { return verdict }
    }
    if let left = memory.heldBack(at: seen.now) { return .no([.hung(.heldBack(left))]) }
    let race = waitForEverything(seen, view, facts, memory) ?? racers(seen, view, facts, memory, excluding: nil)
    if case .yes = race, let missing = missingNewcomers(seen, view, facts, memory) { return .no([.newcomer(missing)]) }
    return race
}

/// A running primary takes its key back, unless the cluster went on without it.
private func primaryCandidacy(_ facts: PostgreSQLStatus.Facts, _ view: ClusterView) -> Candidacy {
    guard let timeline = facts.timeline else { return .no([.race(.timelineUnknown)]) }
    if timeline < view.timeline { return .no([.race(.timelineBehind(mine: timeline, cluster: view.timeline))]) }
    return .yes([.race(.runningPrimaryReclaims(timeline: timeline))])
}

/// In pause only a running primary of this cluster claims the key (ha-loop.md §15), and the candidate of a switchover,
/// who alone does while it is a member (§12.3.1–2).
private func candidacyInPause(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> Candidacy {
    if let request = view.failover, isTakenInPause(request), let candidate = request.candidate,
        !seen.me.tags.nofailover
    {
        if candidate != seen.me.name, view.member(candidate) != nil || !seen.local.isPrimary {
            return .no([.paused, .request(.candidateWillTakeOver(candidate))])
        }
        if candidate == seen.me.name, seen.eligibility(view).admits(candidate, request.succession),
            seen.local.readiness == .accepting, let facts = seen.local.facts, facts.inRecovery
        {
            return requestCandidacy(seen, view, facts, request, memory) ?? .no([.paused])
        }
    }
    guard seen.local.isPrimary, let facts = seen.local.facts else {
        return .no([.paused] + (servingPrimary(seen, view, memory).map { [.serving($0)] } ?? []))
    }
    let cluster = view.initialize.systemIdentifier
    if cluster == nil || cluster == seen.local.systemIdentifier {
        return .yes([.paused, .race(.runningPrimaryReclaims(timeline: facts.timeline ?? 0))])
    }
    return .no([.paused])
}

/// Compares with every member that may lead (ha-loop.md §11.1.9–12, §11.2). Who is preferred passes over the others'
/// priorities.
func racers(
    _ seen: Observation, _ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ memory: Memory, excluding: String?,
    isPreferred: Bool = false
) -> Candidacy {
    let obstacles = seen.eligibility(view).obstacles(to: seen.me.name, .race)
    if let obstacle = obstacles.first { return .no([.eligibility(obstacle)]) }
    let members = electorate(seen, view, memory, excluding: excluding)
    guard let peers = seen.peers else { return .ask(.peers(members), [.lease(.leaderKeyFree)]) }
    let mine = standing(seen, facts)
    var rules = raceRules(seen, view, memory)
    if isPreferred { rules.heedsPriority = false }
    return judgeRace(mine, against: members.map { ($0.name, peers[$0.name] ?? .unreachable("not asked")) }, rules)
}

private func standing(_ seen: Observation, _ facts: PostgreSQLStatus.Facts) -> Standing {
    Standing(
        name: seen.me.name, position: facts.position, replayed: facts.replayedPosition, timeline: facts.timeline ?? 0,
        priority: seen.me.tags.failoverPriority, isUnproven: seen.local.isUnproven)
}

/// What stands against a standby that holds the leader key and has not won it: a daemon before this one had, and an
/// older copy may lie where its data directory was. It has all that the cluster knows of, and all that anybody who
/// answers has, or there is a race (S3). Nil where the others are to be asked first.
func inheritanceRefused(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> [Reason]? {
    guard !memory.hasWonKey, let facts = seen.local.facts, facts.inRecovery else { return [] }
    var rules = raceRules(seen, view, memory)
    rules.maximumLag = 0
    // Its votes were counted when it won.
    rules.quorum = nil
    rules.heedsPriority = false
    // Here it is no race that is judged, but whether this is what led: that was on the cluster's timeline.
    if facts.timeline != nil { rules.clusterTimeline = view.timeline }
    if case .no(let reasons) = judgeRace(standing(seen, facts), against: [], rules) { return reasons }
    let members = electorate(seen, view, memory, excluding: nil)
    guard members.isEmpty || seen.peers != nil else { return nil }
    let answers = members.map { ($0.name, seen.peers?[$0.name] ?? .unreachable("not asked")) }
    guard case .no(let reasons) = judgeRace(standing(seen, facts), against: answers, rules) else {
        // Whoever has won it in a pause has looked first.
        return servingPrimary(seen, view, memory).map { [.serving($0)] } ?? []
    }
    return reasons
}

/// The other members that may lead, those of the last leader's view included.
func electorate(_ seen: Observation, _ view: ClusterView, _ memory: Memory, excluding: String?) -> [Member] {
    electorate(seen, view, memory, candidate: seen.me.name, excluding: excluding)
}

/// The same for whoever races.
func electorate(
    _ seen: Observation, _ view: ClusterView, _ memory: Memory, candidate: String, excluding: String?
) -> [Member] {
    let eligibility = seen.eligibility(view)
    return eligibility.askable(except: [candidate, excluding], former: memory.membersUnderLastLeader)
        .filter(eligibility.takesPart).sorted { $0.name < $1.name }
}

func raceRules(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> RaceRules {
    let former = view.status.handedOverBy
    let eligibility = seen.eligibility(view)
    var rules = RaceRules(
        statusPosition: view.status.optime, maximumLag: seen.settings.maximumLagOnFailover,
        clusterTimeline: seen.checksTimeline ? view.timeline : nil,
        // The history of a standby cluster is written elsewhere; what stands in the store is of an earlier life.
        history: seen.settings.isStandbyCluster ? TimelineHistory() : view.history,
        formerLeader: memory.lastLeader, quorum: eligibility.quorum, isSynchronous: eligibility.isSynchronous,
        handedOver: former != nil && former == view.sync.leader ? view.status.optime : nil)
    rules.mayLead = { eligibility.isInFailsafe($0) }
    // Patroni's nodes keep the timeline that they were last told, and their position goes on.
    rules.knowsTimeline = { name in
        (view.members + memory.membersUnderLastLeader).contains { $0.name == name && $0.ownVersion != nil }
    }
    // Who is preferred and has not taken the key for so long does not, for a reason that cannot be seen from here.
    // Patroni's nodes wait for ever.
    rules.heedsPriority = memory.passedOverSince.map { seen.now - $0 < seen.settings.timings.ttl } ?? true
    return rules
}

/// Where this node stands in a race.
public struct Standing: Sendable, Hashable {
    public var name: String
    public var position: WALPosition
    public var replayed: WALPosition
    /// 0 where unknown.
    public var timeline: TimelineID
    public var priority: Int
    /// What `/sync` says of it is of another data directory.
    public var isUnproven: Bool

    public init(
        name: String, position: WALPosition, replayed: WALPosition, timeline: TimelineID, priority: Int,
        isUnproven: Bool = false
    ) {
        self.name = name
        self.position = position
        self.replayed = replayed
        self.timeline = timeline
        self.priority = priority
        self.isUnproven = isUnproven
    }
}

/// What a race is judged by.
struct RaceRules {
    /// `/status`.optime.
    var statusPosition: WALPosition
    var maximumLag: Int64
    /// Nil where timelines do not matter.
    var clusterTimeline: TimelineID?
    /// Who has replayed beyond the end of its timeline has parted: its position says nothing of what the cluster has
    /// acknowledged since, whether timelines are checked or not (S3). Stricter than Patroni.
    var history: TimelineHistory
    /// Its priority does not count at equal position: it just failed (ha-loop.md §11.2.7).
    var formerLeader: String?
    /// Nil where the best of those that are there wins.
    var quorum: VoteRules?
    /// Whether `/sync` says who may win, or whose votes count.
    var isSynchronous = false
    /// Where the WAL of the leader of `/sync` ended when it handed over; nil where it did not, or another led since.
    var handedOver: WALPosition?
    /// Whether a higher priority wins at equal position.
    var heedsPriority = true
    /// Whether a peer could lead at all: who could not is not waited for, however far it is.
    var mayLead: @Sendable (String) -> Bool = { _ in true }
    /// Whether the timeline that a peer tells is that of its position for certain.
    var knowsTimeline: @Sendable (String) -> Bool = { _ in false }

    /// Whether a standby is on a timeline that the cluster has left; where timelines do not matter, with records of its
    /// own there. Who is only told to be on one may have received WAL of a later one, which it has not replayed.
    func isOfPast(_ peer: PeerStatus) -> Bool {
        // Without /history the cluster's is 0, and still nobody leads who does not know its own.
        if let clusterTimeline, peer.timeline < max(clusterTimeline, 1) { return true }
        if history.left(peer.timeline, before: peer.replayed) != nil { return true }
        return peer.timeline == 0 && mayHaveParted(at: peer.replayed)
    }

    /// Where the timeline is not known, of which any end before that may have been passed.
    func mayHaveParted(at replayed: WALPosition) -> Bool { history.lines.contains { replayed > $0.position } }

    /// Whether a standby has records of its own beyond where the timeline of whoever races began, which `/history` may
    /// not tell yet.
    func isPassed(_ name: String, _ peer: PeerStatus, by mine: Standing) -> Bool {
        knowsTimeline(name) && peer.timeline > 0 && peer.timeline < mine.timeline && peer.replayed > mine.position
    }
}

/// The comparison itself (ha-loop.md §11.2): never promote while a primary lives or a better standby answers.
func judgeRace(_ mine: Standing, against peers: [(name: String, answer: PeerAnswer)], _ rules: RaceRules) -> Candidacy {
    if rules.statusPosition - mine.position > rules.maximumLag {
        return .no([
            .race(.laggingBehindStatus(mine: mine.position, status: rules.statusPosition, allowed: rules.maximumLag))
        ])
    }
    if mine.timeline == 0, rules.clusterTimeline != nil || rules.mayHaveParted(at: mine.replayed) {
        return .no([.race(.timelineUnknown)])
    }
    if let cluster = rules.clusterTimeline, mine.timeline < cluster {
        return .no([.race(.timelineBehind(mine: mine.timeline, cluster: cluster))])
    }
    if let left = rules.history.left(mine.timeline, before: mine.replayed) {
        return .no([.race(.parted(timeline: mine.timeline, at: mine.replayed, leftAt: left))])
    }
    var (reachable, votes) = (0, 0)
    for (name, answer) in peers {
        guard case .status(let peer) = answer, !peer.watchdogFailed else { continue }
        let isOfPast = !peer.isPrimary && (rules.isOfPast(peer) || rules.isPassed(name, peer, by: mine))
        if rules.hasVote(name, peer, for: mine) { votes += 1 }
        // Who may not lead because of its timeline is not waited for: nobody else would lead either.
        if isOfPast { continue }
        if peer.tags.nofailover { continue }
        reachable += 1
        if peer.isPrimary { return .no([.race(.peerIsPrimary(name))]) }
        if !rules.mayLead(name) { continue }
        if mine.position < peer.position {
            return .no([.race(.peerIsAhead(name, peer: peer.position, mine: mine.position))])
        }
        let priority = peer.tags.failoverPriority
        if rules.heedsPriority, mine.position == peer.position, mine.priority < priority, name != rules.formerLeader {
            return .no([.race(.peerHasPriority(name, peer: priority, mine: mine.priority))])
        }
    }
    if let lack = lackOfVotes(mine, votes, rules) { return .no([.race(lack)]) }
    return .yes([.race(.iAmHealthiest(position: mine.position, asked: peers.count, reachable: reachable))])
}

/// How a race stands.
public enum RaceReason: Sendable, Hashable {
    case iAmHealthiest(position: WALPosition, asked: Int, reachable: Int)
    case peerIsPrimary(String)
    case peerIsAhead(String, peer: WALPosition, mine: WALPosition)
    case peerHasPriority(String, peer: Int, mine: Int)
    case tooFewVotes(Int, needed: Int)
    /// `/sync` names this member for a data directory that it has no more.
    case unprovenCopy
    /// And nobody has led for a ttl.
    case unprovenWithoutLeader
    case laggingBehindStatus(mine: WALPosition, status: WALPosition, allowed: Int64)
    case timelineBehind(mine: TimelineID, cluster: TimelineID)
    case timelineUnknown
    case parted(timeline: TimelineID, at: WALPosition, leftAt: WALPosition)
    case runningPrimaryReclaims(timeline: TimelineID)

    var explanation: Explanation {
        switch self {
        case .iAmHealthiest(let position, let asked, let reachable):
            Explanation(
                "healthiest", ["position": .fact(position), "asked": .fact(asked), "reachable": .fact(reachable)],
                "I am the healthiest: my WAL position is \(position), "
                    + "no one of \(reachable) reachable of \(asked) asked is ahead")
        case .peerIsPrimary(let name):
            Explanation("peer-is-primary", ["member": .fact(name)], "\(name) still runs as primary")
        case .peerIsAhead(let name, let theirs, let mine):
            Explanation(
                "peer-is-ahead", ["member": .fact(name), "position": .fact(theirs), "mine": .fact(mine)],
                "Wal position of \(name) is ahead of my wal position (\(theirs) > \(mine))")
        case .peerHasPriority(let name, let theirs, let mine):
            Explanation(
                "peer-has-priority", ["member": .fact(name), "priority": .fact(theirs), "mine": .fact(mine)],
                "\(name) has equally tolerable WAL position and priority \(theirs), "
                    + "while this node has priority \(mine)"
            )
        case .tooFewVotes(let votes, let needed):
            Explanation(
                "too-few-votes", ["votes": .fact(votes), "needed": .fact(needed)],
                "\(votes) of the other voters have no more than I have, the quorum needs \(needed)")
        case .unprovenCopy: .unprovenCopy
        case .unprovenWithoutLeader: .unprovenWithoutLeader
        case .laggingBehindStatus(let mine, let status, let allowed):
            Explanation(
                "lagging", ["mine": .fact(mine), "status": .fact(status), "allowed": .fact(allowed)],
                "my WAL position \(mine) is \(status - mine) bytes behind the leader's last known \(status); "
                    + "allowed are \(allowed)")
        case .timelineBehind(let mine, let cluster):
            Explanation(
                "timeline-behind", ["mine": .fact(mine), "cluster": .fact(cluster)],
                "my timeline \(mine) is behind the cluster's timeline \(cluster)")
        case .timelineUnknown: Explanation("timeline-unknown", "my timeline is not known")
        case .parted(let timeline, let position, let left):
            Explanation(
                "parted-from-history",
                ["timeline": .fact(timeline), "position": .fact(position), "left_at": .fact(left)],
                "what I have up to \(position) on timeline \(timeline) has parted: the cluster left it at \(left)")
        case .runningPrimaryReclaims(let timeline):
            Explanation(
                "running-primary-reclaims", ["timeline": .fact(timeline)],
                "PostgreSQL here is a running primary on timeline \(timeline)")
        }
    }
}
