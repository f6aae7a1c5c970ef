public import ClusterModel
public import HighAvailability
public import Ports

/// What happens to a node: answers to its effects, and what comes by itself.
public enum CycleEvent: Sendable {
    /// The timer that `.setTimer` asked for.
    case timer
    /// Something may have changed: a watch event that matters, the end of the postmaster, a command.
    case woken(String)
    case storeChanged(DCSEvent)
    case postmasterExited(Int32)

    case observed(PostgreSQLStatus)
    /// The server's signs of life, taken with every `.observe`, before its answer and after; nil where none could be.
    case felt(Pulse?)
    case loaded(Result<ClusterView, DCSError>)
    case renewed(Result<LeaderClaim, DCSError>)
    case acquired(Result<LeaderClaim, DCSError>)
    case released(Result<Bool, DCSError>)
    case wrote(CycleEffect.Purpose, Result<WriteOutcome, DCSError>)
    case touched(Result<Void, DCSError>)
    case peersAnswered(CycleEffect.PeerPurpose, [String: PeerAnswer])
    case compared(Result<DivergenceFacts, PostgreSQLError>)
    /// The end of the operation of plan number `plan`.
    case performed(plan: Int, Result<OperationResult, PostgreSQLError>)
    case checkpointed(Result<Void, PostgreSQLError>)
    case historyRead(TimelineID, [TimelineHistory.Line], writtenAt: String)
    case configurationAdopted(Result<Void, PostgreSQLError>)
    /// What became of an order to the guardian.
    case guarded(GuardOrder, Result<GuardianStatus, GuardianError>)
    /// The pause that `.retryReceipt` asked for is over.
    case receiptRetry(plan: Int)

    /// The local configuration was read again.
    case reloaded(NodeIdentity, MemberKey.Addresses)
    /// An operator's command; `.reply` answers it.
    case commanded(Int, NodeCommand)
    /// SIGTERM or SIGINT.
    case shutdownRequested
    /// The daemon is to end, and nothing else: another one goes on where it stood.
    case leaveRequested
}

/// What a node asks of the world. The daemon carries effects out through the ports, the simulation through its own; the
/// machine never waits.
public enum CycleEffect: Sendable {
    case setTimer(BootInstant)
    case observe(deadline: BootInstant)
    case load(deadline: BootInstant)
    case renew(LeaderRecord?, replacingGone: Bool, deadline: BootInstant)
    case acquire(deadline: BootInstant)
    /// Deletes the leader key and, where it is given, writes `/status` in the same breath: both or neither.
    case release(status: JSONObject?, deadline: BootInstant)
    case write(DCSKey, String, WriteCondition, Purpose, deadline: BootInstant)
    case delete(DCSKey, WriteCondition, Purpose, deadline: BootInstant)
    case touch(JSONObject, seen: Member?, deadline: BootInstant)
    case askPeers([Member], PeerPurpose, deadline: BootInstant)
    case compare(Upstream, deadline: BootInstant)
    /// Carries out an operation, after these changes to the slots.
    case perform(PostgreSQLOperation, slots: [SlotAction], plan: Int)
    /// Tells the guardian, and answers `.guarded`. A promotion that follows waits until it has acknowledged.
    case guardLease(GuardOrder, deadline: BootInstant)
    /// Cancels the running operation and stops PostgreSQL at once; `.performed` follows.
    case breakOff(deadline: BootInstant)
    case applySlots([SlotAction], deadline: BootInstant)
    case checkpoint
    case readHistory(TimelineID)
    case adoptConfiguration(JSONObject)
    /// Keeps the dynamic configuration beside the data, for a start without the store.
    case cacheConfiguration(JSONObject)
    case adoptTimings(ClusterTimings)
    case retryReceipt(at: BootInstant, plan: Int)
    /// Answers a command, once.
    case reply(Int, CommandOutcome)
    case publish(NodeSnapshot)
    case log(LogLevel, String)
    case exit(code: Int32)

    /// What a write was for; its outcome is told with it.
    public enum Purpose: Sendable, Hashable {
        case initialize, cancelInitialize, bootstrapInitialize, bootstrapConfig, repair, status, history
        /// The request in `/failover` is done with.
        case clearFailover
    }

    /// Why peers were asked.
    public enum PeerPurpose: Sendable, Hashable {
        case decision
        case receipt(plan: Int)
    }

    /// How important a line of the log is.
    public enum LogLevel: Sendable, Hashable {
        case debug, info, warning, error, critical
    }
}
