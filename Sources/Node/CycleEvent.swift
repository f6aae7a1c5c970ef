public import ClusterModel
public import HighAvailability
public import Ports

/// What happens to a node: answers to what it asked, by whom they are from, and what comes by itself.
public enum CycleEvent: Sendable {
    /// The timer that `.setTimer` asked for.
    case timer
    /// Something may have changed: a watch event that matters, the end of the postmaster, a command. What it was is for
    /// who reads the story of a node; nothing is decided by it.
    case woken(String)
    case storeChanged(DCSEvent)
    case postmasterExited(Int32)

    case store(StoreAnswer)
    case node(NodeAnswer)
    case peers(PeerPurpose, [String: PeerAnswer])
    /// What members said to `.failsafe`, which was sent at that instant.
    case failsafe(sent: BootInstant, [String: FailsafeAnswer])
    /// A primary without the store asks for a promise; `.replyFailsafe` answers it.
    indirect case failsafeAsked(Int, FailsafePing)
    /// What became of an order to the guardian.
    case guardian(GuardOrder, Result<GuardianStatus, GuardianError>)
    /// The pause that `.retryReceipt` asked for is over.
    case receiptRetry(plan: Int)

    /// The local configuration was read again.
    indirect case reloaded(NodeIdentity, MemberKey.Addresses)
    /// An operator's command; `.reply` answers it.
    case commanded(Int, NodeCommand)
    /// SIGTERM or SIGINT.
    case shutdownRequested
    /// The daemon is to end, and nothing else: another one goes on where it stood.
    case leaveRequested
}

/// What a node asks of the world, by whom it is asked of. The daemon carries effects out through the ports, the
/// simulation through its own; the machine never waits.
public enum CycleEffect: Sendable {
    /// Answered by `CycleEvent.store`, always, at the deadline at the latest.
    case store(StoreRequest, deadline: BootInstant)
    /// Of this node's PostgreSQL; what is answered is answered by `CycleEvent.node`.
    case node(NodeRequest)
    /// Asks these members; answered by `CycleEvent.peers`.
    case peers([Member], PeerPurpose, deadline: BootInstant)
    /// Asks these members to let this primary go on without the store; answered by `CycleEvent.failsafe`.
    case failsafe(FailsafePing, to: [Member], sent: BootInstant, deadline: BootInstant)
    /// Tells the guardian; answered by `CycleEvent.guardian`. A promotion that follows waits until it has acknowledged.
    case guardian(GuardOrder, deadline: BootInstant)
    /// Of the daemon itself.
    case local(LocalEffect)

    /// How important a line of the log is.
    public enum LogLevel: Sendable, Hashable {
        case debug, info, warning, error, critical
    }
}

/// What is asked of the store.
public enum StoreRequest: Sendable {
    case load
    /// What is there in place of this view, where a moment's delay of the store harms nothing; answered as `load` is.
    indirect case refresh(ClusterView)
    case renew(LeaderRecord?, replacingGone: Bool)
    case acquire
    /// Deletes the leader key and, where it is given, writes `/status` in the same breath: both or neither.
    case release(status: JSONObject?)
    indirect case write(DCSKey, DCSValue, WriteCondition, Purpose)
    case delete(DCSKey, WriteCondition, Purpose)
    indirect case touch(JSONObject, seen: Member?, prolonging: Bool)

    /// What a write was for; its outcome is told with it.
    public enum Purpose: String, Sendable, Hashable {
        case initialize, cancelInitialize, bootstrapInitialize, bootstrapConfig, repair, status, history, sync, failsafe
        /// The request in `/failover` is done with.
        case clearFailover
        /// A repair that asks for a switchover.
        case requestSwitchover
    }

    /// What a node hears of a request that came to nothing.
    public func failed(_ error: DCSError) -> StoreAnswer {
        switch self {
        case .load, .refresh: .loaded(.failure(error))
        case .renew: .renewed(.failure(error))
        case .acquire: .acquired(.failure(error))
        case .release: .released(.failure(error))
        case .write(_, _, _, let purpose), .delete(_, _, let purpose): .wrote(purpose, .failure(error))
        case .touch: .touched(.failure(error))
        }
    }
}

/// What the store answers.
public enum StoreAnswer: Sendable {
    indirect case loaded(Result<ClusterView, DCSError>)
    case renewed(Result<LeaderClaim, DCSError>)
    case acquired(Result<LeaderClaim, DCSError>)
    case released(Result<Bool, DCSError>)
    case wrote(StoreRequest.Purpose, Result<WriteOutcome, DCSError>)
    case touched(Result<Void, DCSError>)
}

/// Why peers were asked.
public enum PeerPurpose: Sendable, Hashable {
    case decision
    case receipt(plan: Int)
    /// What they have received, before a plan starts PostgreSQL.
    case start(plan: Int)
}
