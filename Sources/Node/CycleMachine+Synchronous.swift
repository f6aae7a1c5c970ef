import ClusterModel
import HighAvailability
import Ports

/// Where the leader stands with its synchronous standbys.
struct SynchronousStanding: Sendable {
    var ledger = SynchronousLedger()
    /// What PostgreSQL has acknowledged to go by; nil where this daemon has set nothing since it began to lead.
    var handed: SynchronousSetting?
    /// When it did, or failed to: a look from before may tell of the names of before.
    var handedAt: BootInstant?
    /// The step that is under way.
    var step: SynchronousStep?
    /// The log has been told last.
    var told: [SynchronousReason] = []
    /// The write of `/sync` that is on its way, and one that had no answer: the store may still do it.
    private var sent: Write?
    private var unanswered: Write?
    /// Since when looks come one after another, because something is under way.
    var unsettledSince: BootInstant?

    /// By the revision of `/sync` that it rests on; nil where there was none.
    private struct Write: Sendable {
        var revision: Revision?
    }

    var isUncertain: Bool { sent != nil || unanswered != nil }

    mutating func sends(on revision: Revision?) { sent = Write(revision: revision) }

    /// A refusal is of this write alone: one before it may still be done.
    mutating func isAnswered(_ result: Result<WriteOutcome, DCSError>) {
        switch result {
        case .success(.written): unanswered = nil
        case .success(.refused): break
        case .failure: unanswered = sent ?? unanswered
        }
        sent = nil
    }

    /// What rests on another revision is done no more.
    mutating func see(_ sync: SyncState) {
        if sent?.revision != sync.revision { sent = nil }
        if unanswered?.revision != sync.revision { unanswered = nil }
    }

    /// The key is another's, or nobody's. What was sent to the store knows nothing of that.
    mutating func leadsNoMore() {
        let left = self
        self = SynchronousStanding()
        (sent, unanswered) = (left.sent, left.unanswered)
    }
}

/// The leader keeps `/sync` and `synchronous_standby_names` (ha-loop.md §17): one step at a time, each acknowledged
/// before the next. The rule is `synchronousRule`.
extension CycleMachine {
    /// Between two looks while standbys are on their way into `/sync`; after some seconds less often, but so that one
    /// that has caught up at last is taken within a second.
    static let synchronousInterval = Duration.milliseconds(100)
    static let laterSynchronousInterval = Duration.milliseconds(500)
    static let synchronousPatience = Duration.seconds(5)

    mutating func keepSynchronous(_ run: inout Run) {
        guard let view, tenure.synchronous.handedAt.map({ sight.isFresh(since: $0) }) ?? true else { return }
        tenure.synchronous.ledger.note(local, settles: rules.waitsForSettling)
        let plan = rules.synchronous(me, view, settings, local, tenure.synchronous.ledger, tenure.synchronous.handed)
        tell(plan.reasons, &run)
        if plan.isUnsettled {
            tenure.synchronous.unsettledSince = tenure.synchronous.unsettledSince ?? run.now
        } else {
            tenure.synchronous.unsettledSince = nil
        }
        guard let step = certain(plan.step, view) else { return }
        chores.begin(.sync)
        tenure.synchronous.step = step
        let condition = WriteCondition.leadingAsSeen(view.sync.revision)
        switch step {
        case .writeSync(let state):
            tenure.synchronous.sends(on: view.sync.revision)
            run.log(.info, "/sync becomes \(state)")
            run.emit(
                .store(.write(.sync, .object(state.json), condition, .sync), deadline: storeDeadline(run.now)))
        case .deleteSync:
            tenure.synchronous.sends(on: view.sync.revision)
            run.log(.info, "/sync is deleted")
            run.emit(.store(.delete(.sync, condition, .sync), deadline: storeDeadline(run.now)))
        case .setNames(let setting):
            // Until it is acknowledged it may be in force or not.
            tenure.synchronous.handed = nil
            if case .names(let names) = setting { run.log(.info, "synchronous_standby_names becomes '\(names.text)'") }
            run.emit(.node(.nameSynchronous(setting)))
        }
    }

    private mutating func tell(_ reasons: [SynchronousReason], _ run: inout Run) {
        for reason in reasons where !tenure.synchronous.told.contains(reason) {
            run.log(reason == .nobodyAndStrict ? .warning : .info, "\(Reason.synchronous(reason))")
        }
        tenure.synchronous.told = reasons
    }

    /// The next step, where the facts for it are there already.
    mutating func goOnWithSynchronous(_ run: inout Run) {
        guard chores[.sync] != .running, has(Chore.sync.needs) else { return }
        keepSynchronous(&run)
    }

    mutating func wroteSync(_ result: Result<WriteOutcome, DCSError>, _ run: inout Run) {
        let step = tenure.synchronous.step
        tenure.synchronous.step = nil
        tenure.synchronous.isAnswered(result)
        chores.end(.sync)
        switch (result, step) {
        case (.success(.written(let revision)), .writeSync(let state)?):
            sawWritten(
                SyncState(leader: state.leader, voters: state.voters, quorum: state.quorum, revision: revision),
                at: revision, &run)
        case (.success(.written(let revision)), .deleteSync?): sawWritten(SyncState(), at: revision, &run)
        case (.success(.refused), _):
            // Somebody else has written it, or leads, or an earlier write of ours was done after all: the next view
            // tells.
            sight.forgetOwnSync()
            run.log(.warning, "/sync is not as it was seen, it is read again")
            wake(&run)
        case (.success, _), (.failure, _): break
        }
    }

    private mutating func sawWritten(_ state: SyncState, at revision: Revision, _ run: inout Run) {
        sight.wrote(state, at: revision, at: run.now)
        run.isNews = true
        if isIdle { goOnWithSynchronous(&run) }
    }

    /// A write without an answer may still be done, and PostgreSQL must not go by what that one would not cover.
    /// Another write, of the same, makes an end of it, whether or not anything is to be done: the two rest on one
    /// revision.
    private func certain(_ step: SynchronousStep?, _ view: ClusterView) -> SynchronousStep? {
        guard tenure.synchronous.isUncertain else { return step }
        switch step {
        case .writeSync?, .deleteSync?: return step
        case .setNames?, nil: break
        }
        return view.sync.isEmpty
            ? .writeSync(SyncState(leader: me.name))
            : .writeSync(SyncState(leader: view.sync.leader, voters: view.sync.voters, quorum: view.sync.quorum))
    }

    mutating func named(_ setting: SynchronousSetting, _ result: Result<Void, PostgreSQLError>, _ run: inout Run) {
        tenure.synchronous.step = nil
        tenure.synchronous.handedAt = run.now
        chores.end(.sync)
        switch result {
        case .success:
            isDone("setting synchronous_standby_names", &run)
            tenure.synchronous.handed = setting
            guard isIdle else { return }
            look(&run)
        case .failure(let error): complain("setting synchronous_standby_names", "\(error)", &run)
        }
    }

    // MARK: Giving duty back (ha-loop.md §17.8)

    /// What others are told of this node: while it gives its duty back, and until it has stopped, that it has none.
    var shownIdentity: NodeIdentity {
        guard let steps = progress?.running.plan.steps, steps.contains(.leaveDuty) else { return me }
        var identity = me
        var tags = me.tags.raw
        tags["nosync"] = true
        tags["sync_priority"] = 0
        identity.tags = Tags(tags)
        return identity
    }

    /// When a standby that waits to be let go stops all the same.
    var dutyEnds: BootInstant? {
        guard case .leaveDuty? = currentStep, let began = progress?.stepBegan else { return nil }
        return began + settings.timings.loopWait * 2
    }

    /// The leader has let go, there is none, or nobody can tell: the plan goes on.
    mutating func leaveDuty(_ run: inout Run) {
        guard let dutyEnds, !life.hasEnded else { return }
        let isLetGo = view.map { !hasDuty(me, $0, settings) } ?? true
        guard isLetGo || storeFailure != nil || run.now >= dutyEnds else { return }
        if !isLetGo {
            run.log(.warning, "the leader has not let go of this synchronous standby, it stops all the same")
        }
        finishStep(&run)
    }

    /// After which pause PostgreSQL is looked at again because of its standbys; nil where nothing is under way.
    var synchronousPause: Duration? {
        guard let since = tenure.synchronous.unsettledSince, isLeading, chores[.sync] != .running else { return nil }
        let isLong = sight.lookedAt - since > Self.synchronousPatience
        return isLong ? Self.laterSynchronousInterval : Self.synchronousInterval
    }
}
