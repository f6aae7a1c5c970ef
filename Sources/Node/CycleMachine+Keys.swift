import ClusterModel
import HighAvailability
import Ports

extension CycleMachine {
    /// Keeps what the node owes the others: its member key, its slots and, on the leader, `/status` and `/history`.
    mutating func keepKeys(_ run: inout Run) {
        for chore in Chore.allCases where chores[chore] != .running && has(chore.needs) { begin(chore, &run) }
    }

    /// The key has run out while the store was away, and the others may race already: it is put again before anything
    /// else is done, so that they ask this node.
    mutating func comeBack(_ run: inout Run) {
        guard view?.member(me.name) == nil, sight.hasObserved, chores[.touch] != .running, has(Chore.touch.needs)
        else { return }
        begin(.touch, &run)
    }

    func has(_ needs: Chore.Needs) -> Bool {
        // What costs least is asked first: every cycle ends with this.
        switch needs.noPlan {
        case .whatever: break
        case .none: if progress != nil { return false }
        case .orPromotion: if let progress, progress.kind != .promote { return false }
        }
        if needs.store, storeFailure != nil || view == nil || namesake != nil { return false }
        if needs.leading == .whatever { return true }
        guard isLeading else { return false }
        let isStandbys = needs.leading == .primaryOrStandby && settings.isStandbyCluster
        return local.facts?.inRecovery == isStandbys
    }

    private mutating func begin(_ chore: Chore, _ run: inout Run) {
        switch chore {
        case .cache: keepCache(&run)
        case .touch:
            chores.begin(.touch)
            noteTold()
            run.emit(touch(run))
        case .slots: keepSlots(&run)
        case .sync: keepSynchronous(&run)
        case .status: keepStatus(&run)
        case .failsafe: keepFailsafe(&run)
        case .history: keepHistory(&run)
        case .checkpoint:
            guard chores[.checkpoint] == .wanted else { return }
            chores.begin(.checkpoint)
            run.emit(.node(.checkpoint))
        case .proof: keepProof(&run)
        }
    }

    /// A restored copy that has streamed everything counts again, by `/sync` and for votes.
    private mutating func keepProof(_ run: inout Run) {
        guard let view else { return }
        told.proof.note(me, view, local)
        guard let postmaster = local.postmaster, isCopyProven else { return }
        run.emit(.node(.proveCopy(postmaster: postmaster)))
    }

    private mutating func keepCache(_ run: inout Run) {
        guard local.dataDirectory == .initialized, let document = configuration.takeUncached() else { return }
        run.emit(.local(.cacheConfiguration(document)))
    }

    private mutating func keepSlots(_ run: inout Run) {
        guard let view = slotView(at: run.now), namesake == nil else { return }
        memory.slots.note(me, view, settings, local, at: run.now)
        let plan = rules.slots(me, view, settings, local, memory.slots, run.now)
        for reason in told.isSo(of: plan.reasons) { run.log(.warning, "\(Reason.slot(reason))") }
        if !plan.actions.isEmpty {
            run.emit(.node(.applySlots(plan.actions, deadline: run.now + .seconds(5))))
        }
    }

    func touch(_ run: Run) -> CycleEffect {
        let value = MemberKey.value(
            identity.addresses, shownIdentity, role: role, local: local, settings: settings,
            checkpointPending: chores[.checkpoint] != .idle && role == .primary && lease != nil,
            leaderTimeline: view?.leaderMember?.timeline, scheduledRestart: commands.scheduledRestart,
            needsOperator: told.decision?.needsOperator, unreadySlots: unreadySlots(at: run.now))
        let prolonging = mayTouchProlong(me, view, lease: lease)
        return .store(
            .touch(value, seen: view?.member(me.name), prolonging: prolonging),
            deadline: run.now + settings.timings.retryTimeout)
    }

    private func unreadySlots(at now: BootInstant) -> [String] {
        guard hasLogicalSlots, local.facts?.inRecovery == true, let view = slotView(at: now), namesake == nil else {
            return []
        }
        return rules.slots(me, view, settings, local, memory.slots, now).unready
    }

    /// Here, or by the configuration: only of these there is something to tell.
    private var hasLogicalSlots: Bool {
        settings.permanentSlots.contains { $0.isLogical } || local.facts?.slots.contains { $0.isLogical } == true
    }

    mutating func touched(_ result: Result<Void, DCSError>, _ run: inout Run) {
        chores.end(.touch)
        switch result {
        case .failure(let error): complain("publishing the member key", error, &run)
        case .success: isDone("publishing the member key", &run)
        }
    }

    /// A leader's look between two cycles: what may be lost (S3) is told as often as it is looked at.
    mutating func keepStatusBetween(_ run: inout Run) {
        guard has(Chore.status.needs),
            schedule.isBetween(at: run.now, after: LeaseArithmetic.lookInterval(settings.timings))
        else { return }
        begin(.status, &run)
    }

    private func keepStatus(_ run: inout Run) {
        guard let view,
            let status = keptStatus(
                me, view, settings, local, memory, othersBoundUntil: tenure.failsafe.othersBoundUntil, at: run.now),
            status != view.status
        else { return }
        run.emit(
            .store(.write(.status, .object(status.json), .leading, .status), deadline: storeDeadline(run.now)))
    }

    private mutating func keepHistory(_ run: inout Run) {
        guard let view, let facts = local.facts, let timeline = facts.timeline else { return }
        if facts.inRecovery {
            guard facts.receiver?.isStreaming == true,
                let lines = historyElsewhere(stored: view.history, timeline: timeline)
            else { return }
            return writeHistory(lines, view, &run)
        }
        switch historyVerdict(stored: view.history, timeline: timeline) {
        case .upToDate: break
        case .writeEmpty: writeHistory([], view, &run)
        case .rebuild:
            chores.begin(.history)
            run.emit(.node(.readHistory(timeline)))
        }
    }

    mutating func historyRead(
        _ timeline: TimelineID, _ file: [TimelineHistory.Line], _ writtenAt: String, _ run: inout Run
    ) {
        guard let view, !file.isEmpty, isLeading else {
            chores.end(.history)
            return
        }
        let lines = historyLines(
            file: file, writtenAt: writtenAt, leader: me.name, timeline: timeline, stored: view.history,
            limit: settings.maxTimelinesHistory)
        // Whatever the file says: what stands there already is not written again and again.
        guard !lines.isEmpty, lines != view.history.lines else {
            chores.end(.history)
            return
        }
        writeHistory(lines, view, &run)
    }

    private mutating func writeHistory(_ lines: [TimelineHistory.Line], _ view: ClusterView, _ run: inout Run) {
        chores.begin(.history)
        let rows = DCSValue.document(TimelineHistory(lines: lines).json)
        run.emit(
            .store(.write(.history, rows, .asSeen(view.history.revision), .history), deadline: storeDeadline(run.now)))
    }

    /// What a promotion still owes that an earlier daemon has carried out, or that has failed in our eyes only.
    mutating func wantCheckpoint(after status: PostgreSQLStatus) {
        guard status.facts?.owesCheckpoint == true, chores.mayOweCheckpoint(seenAt: status.observedAt) else { return }
        chores.want(.checkpoint)
    }

    mutating func checkpointed(_ result: Result<Void, PostgreSQLError>, _ run: inout Run) {
        switch result {
        case .success: chores.checkpointIsDone(at: run.now)
        case .failure(let error):
            run.log(.warning, "the checkpoint after the promotion failed: \(error)")
            // The next cycle tries again; at once it would most likely fail as soon.
            local.isPrimary ? chores.want(.checkpoint) : chores.end(.checkpoint)
            return
        }
        // The others wait for this before they run pg_rewind.
        wake(&run)
    }

    // MARK: Wake-ups

    /// Whether a change in the store is one that this node has something to do about: not its own, and not the
    /// positions that every member publishes all the time.
    mutating func matters(_ change: DCSEvent, _ run: inout Run) -> Bool {
        switch change {
        case .resynchronized: return true
        case .disconnected(let why):
            run.log(.warning, "the watch on the DCS was lost: \(why)")
            return false
        case .changed(let leaf, let value, let revision):
            if let view, revision <= view.revision { return false }
            switch ClusterLeaf(leaf) {
            case .leader: return value != .text(me.name)
            case .failover, .initialize, .sync, .rollingRestart, .config: return true
            case .status, .history, .failsafe, .legacyOptime, .unknown: return false
            case .member(let name): return memberMatters(name, value, at: revision)
            }
        }
    }

    private mutating func memberMatters(_ name: String, _ value: DCSValue?, at revision: Revision) -> Bool {
        if name == me.name { return false }
        if value != nil, view?.member(name) == nil { schedule.cycle?.memberHasCome(at: revision) }
        return sight.hasChanged(name, value?.object)
    }
}
