public import ClusterModel

/// What a node does next, and why. The reasons are data: logs, events and answers render them.
public struct Decision: Sendable, Hashable {
    public var action: Action
    public var reasons: [Reason]

    public init(_ action: Action, _ reasons: Reason...) {
        self.action = action
        self.reasons = reasons
    }

    public init(_ action: Action, _ reasons: [Reason]) {
        self.action = action
        self.reasons = reasons
    }
}

/// What the cycle is to do.
public enum Action: Sendable, Hashable {
    /// Nothing but waiting for the next wake-up.
    case wait
    /// Ask, and decide again with the answer.
    case ask(Question)
    /// Create the leader key, and decide again: only its holder promotes (S5).
    case acquireLeader
    /// Delete the leader key, so that another node may lead.
    case releaseLeader
    /// Create `/initialize` empty; the winner carries out the bootstrap plan.
    case initializeCluster
    /// Write a key that is missing or stale, and load again.
    case write(DCSRepair)
    /// Carry out a plan in the background while the cycles go on.
    case carryOut(Plan)
    /// Break off the running plan, stop PostgreSQL at once, and go on with this plan.
    case breakOff(Plan)
    /// End the daemon without touching PostgreSQL: going on would be wrong.
    case exit
}

/// A fact that costs a request.
public enum Question: Sendable, Hashable {
    /// Is the leader key still ours? The lease is prolonged on the way.
    case renewal
    /// What do these members say of themselves?
    case peers([Member])
    /// Both at once, before a primary that crashed starts again: who does not answer soon is not waited for.
    case renewalAndPeers([Member])
    /// Have we parted from this primary?
    case divergence(from: Upstream)
    /// Do these members, by name and `api_url`, let us lead without the store? Their promises are a lease.
    case failsafe([String: String])
}

/// A repair of a permanent key.
public enum DCSRepair: Sendable, Hashable {
    /// `/initialize` := the local system identifier.
    case systemIdentifier(String)
    /// `/config` := the configuration that this node last knew.
    case configuration
    /// `/failover` := `{}`: the request is done with.
    case clearFailover(Revision)
    /// `/failover` := a request of our own, where there is none.
    case requestFailover(FailoverRequest)
    /// `/rolling_restart` := where it stands, if nobody has written it since it was seen.
    case rollingRestart(RollingRestart)
    /// `/sync` := what this node is promoted under; no key for nil.
    case sync(SyncState?)
}

/// Steps that are carried out in order, one plan at a time; a step that fails ends the plan.
public struct Plan: Sendable, Hashable {
    public var kind: Kind
    public var steps: [Step]

    /// What a plan is for; rules and answers speak of it.
    public enum Kind: Sendable, Hashable, CaseIterable {
        case bootstrap
        case clone
        case startPrimary
        case startStandby
        case follow
        case resumeReplay
        /// A standby is restarted with copies of the leader's logical slots.
        case copySlots
        case promote
        /// Step down for a candidate: stop cleanly, see that the candidate has everything, hand over the key.
        case handOver
        /// The lease is lost: stop at once.
        case demote
        /// The cluster is to follow a primary elsewhere: stop cleanly, under the lease.
        case demoteCluster
        /// The DCS is gone: stop cleanly before the lease ends, go on read-only.
        case demoteOffline
        case rewind
        /// A standby whose timeline has parted, and that is kept as it is: it must not serve, nor stand for election.
        case stopParted
        case reclone
        /// An operator asked for a new base backup.
        case reinitialize
        case recoverSingleUser
        case restart
        /// The daemon ends: stop cleanly, hand over the key.
        case shutdown

        /// The name under which the plan is logged and told over REST (ha-loop.md §3).
        public var name: String {
            switch self {
            case .bootstrap: PostgreSQLOperation.CommonName.bootstrap
            case .clone: PostgreSQLOperation.CommonName.clone
            case .startPrimary: PostgreSQLOperation.CommonName.startPrimary
            case .startStandby: PostgreSQLOperation.CommonName.startStandby
            case .follow: PostgreSQLOperation.CommonName.follow
            case .resumeReplay: PostgreSQLOperation.CommonName.resumeReplay
            case .copySlots: "copying logical slots"
            case .promote: PostgreSQLOperation.CommonName.promote
            case .handOver: "switchover"
            case .demote: "demote"
            case .demoteCluster: "demoting to a standby cluster"
            case .demoteOffline: "demote while the DCS is unreachable"
            case .rewind: "running pg_rewind"
            case .stopParted: "stopping a standby whose timeline has parted"
            case .reclone: "reinitializing due to diverged timelines"
            case .reinitialize: "reinitialize"
            case .recoverSingleUser: PostgreSQLOperation.CommonName.recoverSingleUser
            case .restart: PostgreSQLOperation.CommonName.restart
            case .shutdown: "shutdown"
            }
        }
    }

    public init(_ kind: Kind, _ steps: [Step]) {
        self.kind = kind
        self.steps = steps
    }
}

/// One step of a plan.
public enum Step: Sendable, Hashable {
    case postgreSQL(PostgreSQLOperation)
    /// Wait until one of these members has received all that the stopped primary wrote; fails when none has in time,
    /// and the plan's remainder gives way to `startPrimary`: nothing acknowledged is left behind.
    case confirmReceipt(by: [Member])
    /// Delete the leader key after writing where the WAL ends to `/status`.
    case releaseLeader
    /// Write `/initialize` and `/config` of the new cluster.
    case publishBootstrap
    /// Tell the leader that this standby is about to go, and wait for a while until no commit waits for it any more
    /// (ha-loop.md §17.8).
    case leaveDuty
    /// Look at what stands in the data directory now, and start PostgreSQL in the role that the rules give it
    /// (`startVerdict`).
    case start(timeout: Duration)
}
