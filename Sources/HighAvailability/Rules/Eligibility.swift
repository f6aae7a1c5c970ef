public import ClusterModel

/// The one answer to "who may succeed the leader", as far as the store knows: addresses, tags, `/sync`, `/failsafe`
/// (ha-loop.md §11.1, §11.4). What a member says of itself when it is asked is judged by `judge`.
public struct Eligibility: Sendable {
    public var view: ClusterView
    public var settings: DynamicConfiguration

    public init(_ view: ClusterView, _ settings: DynamicConfiguration) {
        self.view = view
        self.settings = settings
    }

    /// How leadership passes on. By that it differs whom `/sync` lets lead.
    public enum Succession: Sendable, Hashable, CaseIterable {
        /// The leader lets go for it: a voter.
        case handOver
        /// An operator names a member, whatever it lacks.
        case manualFailover
        /// Nobody leads: a voter, or the leader that `/sync` names.
        case race
        /// A client's request, before it is written: a voter in the mode `priority`; otherwise the leader judges.
        case request
    }

    /// SYNC-ACTIVE of ha-loop.md §1: the mode is on, and `/sync` says who may lead. Without `/sync` commits wait for
    /// nobody, whatever is configured: then any complete standby will do.
    public var isSynchronous: Bool { settings.synchronousMode != .off && !view.sync.isEmpty }

    /// Whether `/sync` has a say in it.
    func goesBySync(_ succession: Succession) -> Bool {
        switch succession {
        case .handOver, .race: isSynchronous
        case .request: isSynchronous && settings.synchronousMode == .priority
        case .manualFailover: false
        }
    }

    /// Whether `/sync` lets `name` lead.
    public func admits(_ name: String, _ succession: Succession) -> Bool {
        guard goesBySync(succession) else { return true }
        switch succession {
        // Whoever has enough votes may, a voter or not (ha-loop.md §17.9).
        case .race: return settings.synchronousMode == .quorum || view.sync.includes(name)
        case .handOver, .request, .manualFailover: return view.sync.isVoter(name)
        }
    }

    /// Where a race is won by votes: quorum mode, and a `/sync` that was written in it and says of no voter that it has
    /// every commit, whatever the mode is by now.
    var quorum: VoteRules? {
        guard isSynchronous, settings.synchronousMode == .quorum || view.sync.quorum > 0 else { return nil }
        return VoteRules(view.sync)
    }

    /// Whether `member` is asked in a race: it could win, or its vote counts.
    func takesPart(_ member: Member) -> Bool {
        if quorum != nil { return view.sync.includes(member.name) }
        return !member.tags.nofailover && admits(member.name, .race)
    }

    /// Whether failsafe mode lets `name` lead: a primary without the store asks nobody else (docs/failsafe.md).
    public func isInFailsafe(_ name: String) -> Bool {
        guard settings.failsafeMode, !settings.isStandbyCluster, let failsafe = view.failsafe, !failsafe.isEmpty else {
            return true
        }
        return failsafe[name] != nil
    }

    /// Whether every commit that was acknowledged is there, as far as `/sync` tells, whatever the mode lets win.
    public func hasEveryCommit(_ name: String) -> Bool { !isSynchronous || view.sync.includes(name) }

    /// Why `name` must not lead by that succession, wherever it stands.
    func obstacles(to name: String, _ succession: Succession) -> [EligibilityReason] {
        var found: [EligibilityReason] = []
        if !isInFailsafe(name) { found.append(.notInFailsafe) }
        if !admits(name, succession) { found.append(.notInSynchronousSet(name)) }
        return found
    }

    /// Likewise of a member, by its key.
    public func obstacles(to member: Member, _ succession: Succession) -> [EligibilityReason] {
        (member.tags.nofailover ? [.notAllowedToPromote] : []) + obstacles(to: member.name, succession)
    }

    /// The members that can be asked, without those of these names; `former` are such as were there under the last
    /// leader, and are asked although their keys are gone.
    public func askable(except names: [String?], former: [Member] = []) -> [Member] {
        let gone = former.filter { view.member($0.name) == nil }
        return (gone + view.members).filter { !names.contains($0.name) && $0.apiURL != nil }
    }

    /// The members that an operator may name (ctl.md §6): their tags alone forbid it here, anything else is judged
    /// where the request is carried out.
    public func nameable(except names: [String?]) -> [Member] {
        view.members.filter { !names.contains($0.name) && !$0.tags.nofailover }
    }

    /// Of those that can be asked, the ones that may succeed.
    public func successors(
        by succession: Succession, except names: [String?], former: [Member] = []
    ) -> [Member] {
        askable(except: names, former: former).filter { obstacles(to: $0, succession).isEmpty }
    }
}

/// Everybody else whose answer a rule may want, so that one round of questions is enough: also who was there under the
/// last leader, and has no key any more.
func everyOther(_ seen: Observation, _ view: ClusterView, _ memory: Memory) -> [Member] {
    seen.eligibility(view).askable(except: [seen.me.name], former: memory.membersUnderLastLeader)
        .sorted { $0.name < $1.name }
}

/// How many of the voters and the leader of `/sync` must be there, and have no more than who wants to lead
/// (ha-loop.md §11.2).
struct VoteRules: Sendable, Hashable {
    private let sync: SyncState

    init(_ sync: SyncState) { self.sync = sync }

    var needed: Int { sync.quorum }

    func counts(_ name: String) -> Bool { sync.includes(name) }

    /// Its own vote is not counted; who has none needs another one's in its place.
    func votes(of name: String, others: Int) -> Int { counts(name) ? others : others - 1 }

    /// The leader that wrote `/sync` has everything by itself.
    func needsNone(_ name: String) -> Bool { sync.leader?.lowercased() == name.lowercased() }
}

/// Why a member may not lead, wherever it stands.
public enum EligibilityReason: Sendable, Hashable {
    case notAllowedToPromote
    case notInSynchronousSet(String)
    case notInFailsafe

    var explanation: Explanation {
        switch self {
        case .notAllowedToPromote:
            Explanation("nofailover", "following a different leader because I am not allowed to promote")
        case .notInSynchronousSet(let name):
            Explanation(
                "not-in-sync", ["member": .fact(name)], "\(name) is not in /sync: it may lack acknowledged commits")
        case .notInFailsafe: Explanation("not-in-failsafe", "I am not in /failsafe")
        }
    }
}
