public import ClusterModel

/// The one sentence that synchronous mode rests on (S2, S6): whoever may win the leader key has every commit that may
/// have been acknowledged.
///
/// Who may win is any set of `quorum + 1` of the voters and the leader; who has a commit is the primary, and any
/// `number` of `standbys`.
public enum SynchronousCover {
    /// Whether each set that may win meets each set that may have a commit. A set with the leader in it always does.
    public static func holds(voters: Set<String>, quorum: Int, number: Int, standbys: Set<String>) -> Bool {
        quorum >= min(voters.count, voters.union(standbys).count - number)
    }

    /// The same of what stands in `/sync` and of what PostgreSQL goes by.
    public static func holds(_ sync: SyncState, _ names: SynchronousNames) -> Bool {
        holds(voters: Set(sync.voters), quorum: sync.quorum, number: names.number, standbys: names.names)
    }
}

/// One step of a way, carried out before the next is begun. Whatever happens between two of them, the state is safe.
public enum ResolverStep: Sendable, Hashable {
    /// Write `/sync`, if it has not changed since it was read.
    case writeSync(leader: String, quorum: Int, voters: Set<String>)
    /// Set `synchronous_standby_names`; zero and nobody switch it off.
    case setStandbys(number: Int, names: Set<String>)
}

/// What both modes go by: `/sync` and `synchronous_standby_names` as they are.
public struct SynchronousState: Sendable, Hashable {
    /// `/sync`: its leader, quorum and voters.
    public var leader: String
    public var quorum: Int
    public var voters: Set<String>
    /// How many of `standbys` must have a commit.
    public var number: Int
    public var standbys: Set<String>

    public init(leader: String, quorum: Int, voters: Set<String>, number: Int, standbys: Set<String>) {
        self.leader = leader
        self.quorum = quorum
        self.voters = voters
        self.number = min(number, standbys.count)
        self.standbys = standbys
    }

    public var isCovered: Bool {
        SynchronousCover.holds(voters: voters, quorum: quorum, number: number, standbys: standbys)
    }

    public func after(_ step: ResolverStep) -> SynchronousState {
        switch step {
        case .writeSync(let leader, let quorum, let voters):
            SynchronousState(leader: leader, quorum: quorum, voters: voters, number: number, standbys: standbys)
        case .setStandbys(let number, let names):
            SynchronousState(leader: leader, quorum: quorum, voters: voters, number: number, standbys: names)
        }
    }

    /// Nobody but the leader may win: it has everything, whoever else does. Always safe, and the one way from a `/sync`
    /// of another leader: of what was acknowledged since its time its voters may have nothing, whatever is set now.
    func alone(_ leader: String) -> ResolverStep { .writeSync(leader: leader, quorum: 0, voters: []) }

    /// Nobody streams. With `strict` commits wait for those who may win, or for nobody yet. Else they go on alone, and
    /// nobody but this node may lead until somebody has confirmed again.
    func withoutStandbys(strict: Bool) -> ResolverStep? {
        if strict {
            let wanted = voters.isEmpty ? [SynchronousNames.placeholder] : voters
            let count = voters.isEmpty ? 1 : max(1, voters.count - quorum)
            return number == count && standbys == wanted ? nil : .setStandbys(number: count, names: wanted)
        }
        if !voters.isEmpty { return alone(leader) }
        return standbys.isEmpty ? nil : .setStandbys(number: 0, names: [])
    }
}
