import ClusterModel
import HighAvailability
import JSON
import Ports

extension CycleMachine {
    /// Keeps what the node owes the others: its member key, its slots and, on the leader, `/status` and `/history`.
    mutating func keepKeys(_ run: inout Run) {
        if local.dataDirectory == .initialized, progress == nil, !settings.document.isEmpty,
            cachedDocument != settings.document
        {
            cachedDocument = settings.document
            run.emit(.local(.cacheConfiguration(settings.document)))
        }
        guard storeFailure == nil, let view, namesake == nil else { return }
        if !isTouching {
            isTouching = true
            noteTold()
            run.emit(touch(run))
        }
        if progress == nil || progress?.running.plan.kind == .promote {
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
        guard isLeading, progress == nil, let facts = local.facts, !facts.inRecovery else { return }
        keepStatus(view, facts, &run)
        keepHistory(view, facts, &run)
        if checkpoint == .wanted {
            checkpoint = .running
            run.emit(.node(.checkpoint))
        }
    }

    func touch(_ run: Run) -> CycleEffect {
        let value = MemberKey.value(
            addresses, me, role: role, local: local, settings: settings,
            checkpointPending: checkpoint != .done && local.isPrimary && lease != nil,
            leaderTimeline: view?.leaderMember?.timeline, scheduledRestart: scheduledRestart,
            needsOperator: decision?.needsOperator)
        return .store(
            .touch(value, seen: view?.member(me.name)), deadline: run.now + settings.timings.retryTimeout)
    }

    mutating func touched(_ result: Result<Void, DCSError>, _ run: inout Run) {
        isTouching = false
        switch result {
        case .failure(let error): complain("publishing the member key", error, &run)
        case .success: isDone("publishing the member key", &run)
        }
    }

    private func keepStatus(_ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ run: inout Run) {
        var status = view.status
        status.optime = facts.writePosition
        status.handedOverBy = nil
        status.slots = publishedSlots(me, facts, settings)
        status.retainSlots = retainedSlots(me, view, facts, settings, slotLedger, at: run.now)
        if status == view.status { return }
        run.emit(
            .store(.write(.status, compact(.object(status.json)), .leading, .status), deadline: storeDeadline(run.now)))
    }

    private mutating func keepHistory(_ view: ClusterView, _ facts: PostgreSQLStatus.Facts, _ run: inout Run) {
        guard !isWritingHistory, let timeline = facts.timeline else { return }
        switch historyVerdict(stored: view.history, timeline: timeline) {
        case .upToDate: break
        case .writeEmpty: writeHistory([], view, &run)
        case .rebuild:
            isWritingHistory = true
            run.emit(.node(.readHistory(timeline)))
        }
    }

    mutating func historyRead(
        _ timeline: TimelineID, _ file: [TimelineHistory.Line], _ writtenAt: String, _ run: inout Run
    ) {
        guard let view, !file.isEmpty, isLeading else {
            isWritingHistory = false
            return
        }
        let lines = historyLines(
            file: file, writtenAt: writtenAt, leader: me.name, timeline: timeline, stored: view.history,
            limit: settings.maxTimelinesHistory)
        writeHistory(lines, view, &run)
    }

    private mutating func writeHistory(_ lines: [TimelineHistory.Line], _ view: ClusterView, _ run: inout Run) {
        isWritingHistory = true
        let text = compact(TimelineHistory(lines: lines).json)
        run.emit(
            .store(.write(.history, text, .asSeen(view.history.revision), .history), deadline: storeDeadline(run.now)))
    }

    mutating func checkpointed(_ result: Result<Void, PostgreSQLError>, _ run: inout Run) {
        switch result {
        case .success: checkpoint = .done
        case .failure(let error):
            run.log(.warning, "the checkpoint after the promotion failed: \(error)")
            // The next cycle tries again; at once it would most likely fail as soon.
            checkpoint = local.isPrimary ? .wanted : .done
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
