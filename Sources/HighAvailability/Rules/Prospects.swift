public import ClusterModel

/// Whether a member could lead now, in each way in which leadership passes on, and all that stands against it. The
/// rules that hand over and that race judge by the same functions; this one only does not stop at the first objection.
public struct Prospect: Sendable, Hashable {
    /// How leadership would come to it.
    public enum Occasion: String, Sendable, Hashable, CaseIterable {
        /// The leader is asked to hand over to it.
        case switchover
        /// An operator names it, whether `/sync` does or not.
        case failover
        /// Nobody leads, or the leader dies now: the others race.
        case race

        var succession: Eligibility.Succession {
            switch self {
            case .switchover: .handOver
            case .failover: .manualFailover
            case .race: .race
            }
        }
    }

    public var name: String
    /// The leader key names it.
    public var leads: Bool
    /// What it has of the WAL, and its timeline, as far as it said so when it was asked.
    public var position: WALPosition?
    public var timeline: TimelineID?
    /// Empty where it could lead.
    public var against: [Occasion: [Reason]]

    /// What stands against it; empty where nothing does.
    public func objections(_ occasion: Occasion) -> [Reason] { against[occasion] ?? [] }
}

/// What could become of every member, by the answers in `seen.peers` and, of this node, by what it sees of itself and
/// remembers. What others remember stands in their answers (Patroni's do not tell it).
public func prospects(_ seen: Observation, _ view: ClusterView, _ kept: KeptBack = KeptBack()) -> [Prospect] {
    let judge = ProspectJudge(seen, view, kept)
    return (view.members + kept.gone(view)).map(judge.prospect)
}

private struct ProspectJudge {
    let seen: Observation
    let view: ClusterView
    let kept: KeptBack
    let eligibility: Eligibility
    let answers: [String: PeerAnswer]
    /// Nil where a hand-over is not judged by votes, or there are enough.
    let lackOfVotes: CandidateReason?

    init(_ seen: Observation, _ view: ClusterView, _ kept: KeptBack) {
        self.seen = seen
        self.view = view
        self.kept = kept
        eligibility = seen.eligibility(view)
        let answers = (seen.peers ?? [:]).merging([seen.me.name: seen.ownAnswer]) { $1 }
        self.answers = answers
        lackOfVotes = tooFewVotes(seen, view, answers).map { .lacksVotes($0.votes, needed: $0.needed) }
    }

    func prospect(_ member: Member) -> Prospect {
        var prospect = Prospect(name: member.name, leads: member.name == view.leaderName, against: [:])
        if case .status(let peer)? = answers[member.name] {
            prospect.position = peer.isPrimary ? nil : peer.position
            prospect.timeline = peer.timeline == 0 ? nil : peer.timeline
        }
        for occasion in Prospect.Occasion.allCases { prospect.against[occasion] = against(member, occasion) }
        return prospect
    }

    private func against(_ member: Member, _ occasion: Prospect.Occasion) -> [Reason] {
        if member.name == view.leaderName { return [.candidate(.leads(member.name))] + leaderSilence(member) }
        var found: [CandidateReason] = []
        if let failure = seen.storeFailure { found.append(.storeIsSilent(failure)) }
        if occasion == .switchover, view.isUnlocked { found.append(.nobodyLeads) }
        found += storeObjections(member, occasion) + ownObjections(member, occasion)
        let says = found.contains { $0.explanation.facts["code"]?.string == ServingReason.code }
        if occasion == .failover, !says, let told = Prospect.told(by: answers, against: member.name, seen, view) {
            found.append(told)
        }
        return (occasion == .race && seen.settings.isPaused ? [.paused] : []) + found.map { Reason.candidate($0) }
    }

    /// A leader of which nothing is heard may hang, or its server does.
    private func leaderSilence(_ leader: Member) -> [Reason] {
        guard leader.name != seen.me.name, let answer = answers[leader.name], case .unreachable(let why) = answer else {
            return []
        }
        return [.candidate(.verdict(CandidateVerdict(name: leader.name, verdict: .unreachable(why))))]
    }

    /// What the store says against it.
    private func storeObjections(_ member: Member, _ occasion: Prospect.Occasion) -> [CandidateReason] {
        var found: [CandidateReason] = []
        for obstacle in eligibility.obstacles(to: member.name, occasion.succession) {
            switch obstacle {
            case .notInFailsafe: found.append(.notInFailsafe(member.name))
            case .notInSynchronousSet: found.append(.notInSync(member.name))
            // Told with what it says of itself.
            case .notAllowedToPromote: break
            }
        }
        if occasion == .switchover, let lackOfVotes { found.append(lackOfVotes) }
        if occasion != .race, seen.isNamedLeader, !isReceiving(member, seen, view) {
            found.append(.receivesNothing(member.name))
        }
        return found
    }

    /// What it says of itself.
    private func ownObjections(_ member: Member, _ occasion: Prospect.Occasion) -> [CandidateReason] {
        let answer =
            answers[member.name] ?? (member.apiURL == nil ? .unreachable("its member key has no api_url") : nil)
        let verdicts: [CandidateVerdict.Verdict]
        var race: [CandidateReason] = []
        switch occasion {
        case .failover where view.isUnlocked:
            verdicts = objections(
                to: answer, .anything, clusterTimeline: seen.checksTimeline ? view.timeline : nil)
        case .switchover, .failover: verdicts = objections(to: member, answer, seen, view)
        case .race:
            verdicts = objections(to: answer, .anything, clusterTimeline: nil)
            race = raceObjections(member, answer)
        }
        var found = verdicts
        // The leader goes by the key of a member, the member by its own configuration.
        if member.tags.nofailover, !found.contains(.nofailover) { found.insert(.nofailover, at: 0) }
        let mine = member.name == seen.me.name ? kept.objections(seen, view, isRace: occasion == .race) : []
        return found.map { .verdict(CandidateVerdict(name: member.name, verdict: $0)) } + race
            + mine.map { .standsBack(member.name, $0) } + told(member, answer, occasion)
    }

    /// What it remembers, by its own word.
    private func told(_ member: Member, _ answer: PeerAnswer?, _ occasion: Prospect.Occasion) -> [CandidateReason] {
        guard member.name != seen.me.name, case .status(let peer)? = answer else { return [] }
        return peer.standsBack.filter { occasion == .race || $0.alsoIfNamed }.map { .says(member.name, $0) }
    }

    private func raceObjections(_ member: Member, _ answer: PeerAnswer?) -> [CandidateReason] {
        guard case .status(let peer)? = answer else { return [] }
        var memory = Memory()
        memory.lastLeader = view.leaderName
        let others = electorate(seen, view, memory, candidate: member.name, excluding: view.leaderName)
        let mine = Standing(
            name: member.name, position: peer.position, replayed: peer.replayed, timeline: peer.timeline,
            priority: peer.tags.failoverPriority, isUnproven: peer.isUnproven)
        let verdict = judgeRace(
            mine, against: others.map { ($0.name, answers[$0.name] ?? .unreachable("not asked")) },
            raceRules(seen, view, memory))
        guard case .no(let reasons) = verdict else { return [] }
        return reasons.compactMap { reason in
            guard case .race(let why) = reason else { return nil }
            return .standsBack(member.name, .race(why))
        }
    }
}

extension Observation {
    /// What this node would say of itself.
    fileprivate var ownAnswer: PeerAnswer {
        guard let facts = local.facts else { return .unreachable("PostgreSQL does not answer") }
        return .status(
            PeerStatus(
                isPrimary: !facts.inRecovery, position: facts.inRecovery ? facts.position : .zero,
                timeline: facts.timeline ?? 0, tags: me.tags,
                replayed: facts.inRecovery ? facts.replayedPosition : .zero,
                busy: running.flatMap { $0.plan.kind.isAway ? $0.plan.kind.name : nil },
                isUnproven: local.isUnproven))
    }
}

/// What stands against a member that might lead.
public enum CandidateReason: Sendable, Hashable {
    case leads(String)
    case nobodyLeads
    case storeIsSilent(String)
    case notInSync(String)
    case notInFailsafe(String)
    case lacksVotes(Int, needed: Int)
    case receivesNothing(String)
    case verdict(CandidateVerdict)
    /// It would let somebody else go first.
    indirect case standsBack(String, Reason)
    /// Likewise, in its own words.
    case says(String, PeerStatus.Objection)

    var explanation: Explanation {
        switch self {
        case .leads(let name): Explanation("candidate-leads", ["member": .fact(name)], "\(name) leads already")
        case .nobodyLeads: Explanation("candidate-nobody-leads", "nobody leads who could hand over")
        case .storeIsSilent(let why):
            Explanation("candidate-store-silent", ["why": .fact(why)], "the leader key cannot be had: \(why)")
        case .notInSync(let name):
            Explanation(
                "candidate-not-in-sync", ["member": .fact(name)],
                "\(name) is not in /sync: it may lack acknowledged commits")
        case .notInFailsafe(let name):
            Explanation("candidate-not-in-failsafe", ["member": .fact(name)], "\(name) is not in /failsafe")
        case .lacksVotes(let votes, let needed):
            Explanation(
                "candidate-lacks-votes", ["votes": .fact(votes), "needed": .fact(needed)],
                "\(votes) other voters are healthy, the quorum needs \(needed)")
        case .receivesNothing(let name):
            Explanation(
                "candidate-receives-nothing", ["member": .fact(name)],
                "no WAL is sent to \(name): the end of the leader's would not arrive")
        case .verdict(let verdict): verdict.explanation
        case .standsBack(let name, let why):
            Self.standsBack(name, why.explanation.code, why.explanation.facts, why.explanation.sentence)
        case .says(let name, let why): Self.standsBack(name, why.code, why.facts, why.sentence)
        }
    }

    private static func standsBack(
        _ name: String, _ code: String, _ facts: JSONObject, _ sentence: String
    ) -> Explanation {
        Explanation(
            "candidate-stands-back", ["member": .fact(name), "code": .string(code), "facts": .object(facts)],
            "\(name) would stand back and say: \(sentence)")
    }
}

extension CandidateVerdict {
    var explanation: Explanation {
        let member = JSONValue.fact(name)
        return switch verdict {
        case .good: Explanation("candidate-good", ["member": member], "\(self)")
        case .unreachable(let why):
            Explanation("candidate-unreachable", ["member": member, "why": .fact(why)], "\(self)")
        case .nofailover: Explanation("candidate-nofailover", ["member": member], "\(self)")
        case .watchdogFailed: Explanation("candidate-watchdog-failed", ["member": member], "\(self)")
        case .busy(let what): Explanation("candidate-busy", ["member": member, "operation": .fact(what)], "\(self)")
        case .lagging(let position, let behind, let allowed):
            Explanation(
                "candidate-lagging",
                [
                    "member": member, "position": .fact(position), "leader": .fact(behind),
                    "allowed": .fact(allowed),
                ], "\(self)")
        case .missing(let position, let required):
            Explanation(
                "candidate-missing",
                ["member": member, "position": .fact(position), "required": .fact(required)], "\(self)")
        case .timelineBehind(let timeline, let cluster):
            Explanation(
                "candidate-timeline-behind",
                ["member": member, "timeline": .fact(timeline), "cluster": .fact(cluster)], "\(self)")
        }
    }
}
