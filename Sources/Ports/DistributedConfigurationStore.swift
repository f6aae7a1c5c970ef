public import ClusterModel

/// The arbiter, whichever store it is. An implementation knows the cluster's path and the node's name; callers
/// speak of the keys below it (dcs.md §1, §4).
///
/// Every write is a compare-and-swap (S9). Every call ends by its deadline, whatever the store does.
public protocol DistributedConfigurationStore: Sendable {
    /// Connects, logs in, and begins to watch. After an error the caller may try again.
    func start(deadline: BootInstant) async throws(DCSError)

    /// What in the store forbids a daemon to work with it, in words for whoever started it; nil where nothing does. To
    /// be asked once the store has started, before anything is written.
    func obstacle(deadline: BootInstant) async throws(DCSError) -> String?

    /// Reads everything, linearizably: a member that lags behind the quorum never answers.
    func load(deadline: BootInstant) async throws(DCSError) -> ClusterView

    /// What a node that has nothing to do goes by: `view` where nothing has changed since, by the word of the member
    /// of the store that prolongs the session, which may be behind the quorum for a moment, or nothing but what members
    /// publish of themselves and `/status`, which the store has told of already; else what `load` reads. A store that
    /// has no cheaper answer loads.
    func refresh(_ view: ClusterView, deadline: BootInstant) async throws(DCSError) -> ClusterView

    /// Creates the leader key with our name if there is none, bound to our session. A session is opened where there is
    /// none.
    func acquireLeader(deadline: BootInstant) async throws(DCSError) -> LeaderClaim

    /// Prolongs the session. `seen` is the leader key as the last load showed it: where it does not hang on the session
    /// (a new session, or a daemon that was restarted) it is put again, if it is still ours (dcs.md §5.4).
    ///
    /// With `replacingGone`, also if it is gone; that is for whose last claim has not ended yet, so that nobody can
    /// have led since. Others are refused: somebody may have come, written and gone, and the race must see what is
    /// left of it. Stricter than Patroni, who puts the key in either case. Of a store that was set back these alone
    /// hold the key at once: others may have led there since.
    func renewLeader(_ seen: LeaderRecord?, replacingGone: Bool, deadline: BootInstant) async throws(DCSError)
        -> LeaderClaim

    /// Deletes the leader key if it still holds our name, under our session where the store can tell. True if it did.
    ///
    /// With `status` the same transaction writes `/status`: what the next leader must have stands there before anybody
    /// can become it. Where it cannot be written the key stays.
    func releaseLeader(status: JSONObject?, deadline: BootInstant) async throws(DCSError) -> Bool

    /// Puts our member key, bound to our session. The store leaves the write out where neither value nor session
    /// changed since `seen`.
    ///
    /// With `prolonging` the session is prolonged on the way. Without, it is used as it stands, and ends when it would
    /// have ended: the leader key hangs on it, and only a renewal may hold that. One that has ended is replaced.
    func touchMember(_ value: JSONObject, seen: Member?, prolonging: Bool, deadline: BootInstant)
        async throws(DCSError)

    /// Writes one of the permanent keys.
    func write(_ key: DCSKey, _ value: DCSValue, if condition: WriteCondition, deadline: BootInstant)
        async throws(DCSError)
        -> WriteOutcome

    /// Deletes one of the permanent keys.
    func delete(_ key: DCSKey, if condition: WriteCondition, deadline: BootInstant) async throws(DCSError)
        -> WriteOutcome

    /// The lease's length from the next renewal on. A changed length opens a new session.
    func adopt(ttl: Duration, loopWait: Duration, retryTimeout: Duration) async

    /// Changes below the cluster's path, none lost and none repeated as long as the reader keeps up; after a gap that
    /// could not be closed a `.resynchronized` comes in place of the events that are gone. One reader.
    var events: AsyncStream<DCSEvent> { get }

    /// Ends the connections. Keys and session are left to the caller and to expiry.
    func close() async
}

/// A permanent key below the cluster's path.
public enum DCSKey: String, Sendable, Hashable, CaseIterable {
    case initialize, config, status, failover, sync, history, failsafe
    case rollingRestart = "rolling_restart"
}

/// What must hold for a write to happen.
public enum WriteCondition: Sendable, Hashable {
    /// The key does not exist.
    case absent
    /// The key exists and has not changed since this revision.
    case unchanged(since: Revision)
    /// The leader key holds our name.
    case leading
    /// That, and the key is as it was seen: absent for nil, else unchanged.
    case leadingAsSeen(Revision?)
    /// The key is as it was seen: absent for nil, else unchanged.
    public static func asSeen(_ revision: Revision?) -> WriteCondition {
        revision.map { .unchanged(since: $0) } ?? .absent
    }
}

/// What became of a conditional write.
public enum WriteOutcome: Sendable, Hashable {
    case written(Revision)
    /// The condition did not hold.
    case refused
}

/// What became of a claim to the leader key.
public enum LeaderClaim: Sendable, Hashable {
    /// The key is ours. The lease counts from `since`, the instant before the request that won it was sent (S4).
    case held(since: BootInstant, ttl: Duration, session: String)
    /// Somebody else has it.
    case refused
}

/// A change of a key, or of the connection.
public enum DCSEvent: Sendable, Hashable {
    /// The key below the cluster's path, and its new value; nil where it was deleted.
    case changed(leaf: String, value: DCSValue?, revision: Revision)
    /// Events may have been lost: read everything again.
    case resynchronized
    /// The watch is down; the timer alone carries the cycle.
    case disconnected(String)
}

/// Why the store did not do what it was asked. A refused condition is not an error but an outcome.
public enum DCSError: Error, Sendable, Hashable, CustomStringConvertible {
    /// No endpoint answered before the deadline, or none has a quorum: what was written is unknown.
    case unreachable(String)
    /// The store refuses our credentials.
    case unauthorized(String)
    /// The store answered with an error of its own, or with something that is no answer.
    case failed(String)

    public var description: String {
        switch self {
        case .unreachable(let reason): "the DCS is not reachable: \(reason)"
        case .unauthorized(let reason): "the DCS refuses the credentials: \(reason)"
        case .failed(let reason): "the DCS failed: \(reason)"
        }
    }
}

extension DistributedConfigurationStore {
    /// Puts our member key and prolongs the session on the way.
    public func touchMember(_ value: JSONObject, seen: Member?, deadline: BootInstant) async throws(DCSError) {
        try await touchMember(value, seen: seen, prolonging: true, deadline: deadline)
    }

    public func refresh(_ view: ClusterView, deadline: BootInstant) async throws(DCSError) -> ClusterView {
        try await load(deadline: deadline)
    }
}
