public import ClusterModel
public import HighAvailability
public import Ports

/// What is asked of this node's PostgreSQL.
public enum NodeRequest: Sendable {
    /// What was seen before `since` is no answer.
    case observe(since: BootInstant, deadline: BootInstant)
    case compare(Upstream, deadline: BootInstant)
    /// Carries out an operation, after these changes to the slots.
    case perform(PostgreSQLOperation, slots: [SlotAction], plan: Int)
    /// Cancels the running operation and stops PostgreSQL at once; `.performed` follows.
    case breakOff(deadline: BootInstant)
    case applySlots([SlotAction], deadline: BootInstant)
    case checkpoint
    /// Removes the mark of a restored copy that has everything.
    case proveCopy(postmaster: Int32)
    case readHistory(TimelineID)
    case adoptConfiguration(JSONObject)
    /// Sets `synchronous_standby_names` of the running primary.
    case nameSynchronous(SynchronousSetting)
}

/// What PostgreSQL answers.
public enum NodeAnswer: Sendable {
    // What is large is indirect, so that everything else of its kind is moved about as the little that it is.
    indirect case observed(PostgreSQLStatus)
    /// The server's signs of life, taken with every `.observe`, before its answer and after; nil where none could be.
    indirect case felt(Pulse?)
    indirect case compared(Result<DivergenceFacts, PostgreSQLError>)
    /// The end of the operation of plan number `plan`.
    case performed(plan: Int, Result<OperationResult, PostgreSQLError>)
    case checkpointed(Result<Void, PostgreSQLError>)
    case historyRead(TimelineID, [TimelineHistory.Line], writtenAt: String)
    case configurationAdopted(Result<Void, PostgreSQLError>)
    case synchronousNamed(SynchronousSetting, Result<Void, PostgreSQLError>)
}

/// What the daemon itself is to do: nobody is asked, nothing is answered but by a timer.
public enum LocalEffect: Sendable {
    case setTimer(BootInstant)
    /// Brings `.receiptRetry` at that time.
    case retryReceipt(at: BootInstant, plan: Int)
    /// The times by which the client of the store goes.
    case adoptTimings(ClusterTimings)
    /// Keeps the dynamic configuration beside the data, for a start without the store.
    case cacheConfiguration(JSONObject)
    /// Answers a command, once.
    case reply(Int, CommandOutcome)
    /// Answers a primary that has asked for a promise, once.
    case replyFailsafe(Int, FailsafeAnswer)
    case publish(PublishedSnapshot)
    case log(CycleEffect.LogLevel, String)
    case exit(code: Int32)
}

extension PostgreSQLOperation {
    /// PostgreSQL may accept writes as soon as it is under way: the guardian knows of the lease before.
    var opensTheDoor: Bool {
        switch self {
        case .promote, .startPrimary, .bootstrap: true
        case .finishBootstrap, .clone, .startStandby, .follow, .resumeReplay, .stop, .stopToRestart,
            .rewind, .recoverSingleUser, .setAsideDataDirectory, .copyLogicalSlots, .nameSynchronous, .prePromote,
            .restore, .archiveLastSegment:
            false
        }
    }
}
