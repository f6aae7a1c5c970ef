import ClusterModel
import HighAvailability
import JSON
import Ports

extension CycleMachine {
    /// Keeps what the node owes the others: its member key, its slots and, on the leader, `/status` and `/history`.
    mutating func keepKeys(_ run: inout Run) {
        for chore in Chore.allCases where chores[chore] != .running && has(chore.needs) { begin(chore, &run) }
    }

    private func has(_ needs: Chore.Needs) -> Bool {
        if needs.store, storeFailure != nil || view == nil || namesake != nil { return false }
        if needs.leading, !isLeading || (local.facts?.inRecovery ?? true) { return false }
        switch needs.noPlan {
        case .whatever: return true
        case .none: return progress == nil
        case .orPromotion: return progress == nil || progress?.running.plan.kind == .promote
        }
    }

    private mutating func begin(_ chore: Chore, _ run: inout Run) {
        switch chore {
        case .cache: keepCache(&run)
        case .touch:
            chores.begin(.touch)
            noteTold()
            run.emit(touch(run))
        case .slots: keepSlots(&run)
        case .status: keepStatus(&run)
        case .history: keepHistory(&run)
        case .checkpoint:
            guard chores[.checkpoint] == .wanted else { return }
            chores.begin(.checkpoint)
            run.emit(.node(.checkpoint))
        }
    }

    private mutating func keepCache(_ run: inout Run) {
        guard local.dataDirectory == .initialized, !settings.document.isEmpty, cachedDocument != settings.document
        else { return }
        cachedDocument = settings.document
        run.emit(.local(.cacheConfiguration(settings.document)))
    }

    private mutating func keepSlots(_ run: inout Run) {
        guard let view else { return }
        slotLedger.note(me, view, settings, local, at: run.now)
        let plan = slotDecider(me, view, settings, local, slotLedger, run.now)
        for reason in plan.reasons where !toldOfSlots.contains(reason) {
            run.log(.warning, "\(Reason.slot(reason))")
        }
        toldOfSlots = plan.reasons
        if !plan.actions.isEmpty {
            run.emit(.node(.applySlots(plan.actions, deadline: run.now + .seconds(5))))
        }
    }

    func touch(_ run: Run) -> CycleEffect {
        let value = MemberKey.value(
            addresses, me, role: role, local: local, settings: settings,
            checkpointPending: chores[.checkpoint] != .idle && local.isPrimary && lease != nil,
            leaderTimeline: view?.leaderMember?.timeline, scheduledRestart: commands.scheduledRestart,
            needsOperator: decision?.needsOperator)
        return .store(
            .touch(value, seen: view?.member(me.name)), deadline: run.now + settings.timings.retryTimeout)
    }

    mutating func touched(_ result: Result<Void, DCSError>, _ run: inout Run) {
        chores.end(.touch)
        switch result {
        case .failure(let error): complain("publishing the member key", error, &run)
        case .success: isDone("publishing the member key", &run)
        }
    }

    private func keepStatus(_ run: inout Run) {
        guard let view, let facts = local.facts else { return }
        var status = view.status
        status.optime = facts.writePosition
        status.handedOverBy = nil
        status.slots = publishedSlots(me, facts, settings)
        status.retainSlots = retainedSlots(me, view, facts, settings, slotLedger, at: run.now)
        if status == view.status { return }
        run.emit(
            .store(.write(.status, compact(.object(status.json)), .leading, .status), deadline: storeDeadline(run.now)))
    }

    private mutating func keepHistory(_ run: inout Run) {
        guard let view, let timeline = local.facts?.timeline else { return }
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
        writeHistory(lines, view, &run)
    }

    private mutating func writeHistory(_ lines: [TimelineHistory.Line], _ view: ClusterView, _ run: inout Run) {
        chores.begin(.history)
        let text = compact(TimelineHistory(lines: lines).json)
        run.emit(
            .store(.write(.history, text, .asSeen(view.history.revision), .history), deadline: storeDeadline(run.now)))
    }

    mutating func checkpointed(_ result: Result<Void, PostgreSQLError>, _ run: inout Run) {
        switch result {
        case .success: chores.end(.checkpoint)
        case .failure(let error):
            run.log(.warning, "the checkpoint after the promotion failed: \(error)")
            // The next cycle tries again; at once it would most likely fail as soon.
            local.isPrimary ? chores.want(.checkpoint) : chores.end(.checkpoint)
            return
        }
        // The others wait for this before they run pg_rewind.
        wake(&run)
    }

    func compact(_ value: JSONValue) -> String { JSON.text(value, .compact) }

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
            switch leaf {
            case "leader": return value != me.name
            case "failover", "initialize", "sync": return true
            case "config": return true
            case "status", "history", "failsafe", "optime/leader": return false
            default: return memberMatters(leaf, value)
            }
        }
    }

    private mutating func memberMatters(_ leaf: String, _ value: String?) -> Bool {
        guard leaf.hasPrefix("members/") else { return false }
        let name = String(leaf.dropFirst("members/".count))
        if name == me.name { return false }
        let data = value.flatMap { try? JSON.parse($0) }?.object
        let mark = data.map { self.mark(of: $0) } ?? ""
        defer { memberMarks[name] = mark }
        return memberMarks[name] != mark
    }

    /// The parts of a member key that decisions of others rest on.
    func mark(of data: JSONObject) -> String {
        ["conn_url", "state", "role", "timeline", "checkpoint_after_promote", "tags"]
            .map { data[$0]?.comparableText ?? "" }.joined(separator: "|")
    }
}
