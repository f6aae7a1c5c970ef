import ClusterModel
import HighAvailability
import Ports

/// Handing over: the receipt, and what happens without one.
extension CycleMachine {
    /// Before the key goes: does a candidate have everything that was acknowledged here?
    mutating func askForReceipt(_ plan: Int, _ run: inout Run) {
        guard let progress, progress.number == plan, case .confirmReceipt(let members)? = currentStep else { return }
        if let positions = progress.positions, endOfWAL == nil {
            return abandonHandOver(
                "the data directory is older than what I led with: it was shut down at \(positions.checkpoint), "
                    + "and \(flushed(on: positions.timeline)) was flushed before", &run)
        }
        if progress.beganWritable, let end = endByForce, progress.receiptUntil == nil {
            run.log(
                .warning,
                "PostgreSQL was not shut down cleanly: the key goes to whoever has all that was known to be flushed, "
                    + "up to \(end.required) on timeline \(end.timeline)")
        }
        carryOut(ReceiptRule.begin(members, end: endOfWAL, beganWritable: progress.beganWritable), &run)
    }

    mutating func receiptAnswered(_ plan: Int, _ answers: [String: PeerAnswer], _ run: inout Run) {
        guard let progress, progress.number == plan, case .confirmReceipt(let members)? = currentStep else { return }
        let until = progress.receiptUntil ?? run.now
        carryOut(
            ReceiptRule.judge(members, answers, end: endOfWAL ?? endByForce, until: until, at: run.now), &run)
    }

    /// Likewise of one that has written no last record; nil where it has.
    private var endByForce: ShutdownPositions? {
        guard let progress, progress.positions == nil else { return nil }
        return ReceiptRule.endByForce(
            progress.kind, flushed: memory.ledTimeline.map { flushed(on: $0) } ?? .zero, timeline: memory.ledTimeline)
    }

    /// Where the WAL ends of the server that the plan has stopped; nil where that is not known, or cannot be.
    private var endOfWAL: ShutdownPositions? {
        progress?.positions.flatMap { ReceiptRule.end($0, flushed: flushed(on: $0.timeline)) }
    }

    /// What is known to have been flushed here before the stop.
    private func flushed(on timeline: TimelineID) -> WALPosition {
        let seen = memory.ledTimeline == timeline ? memory.ledPosition : .zero
        return max(view?.status.optime ?? .zero, seen)
    }

    private mutating func carryOut(_ verdict: ReceiptVerdict, _ run: inout Run) {
        guard let number = progress?.number else { return }
        switch verdict {
        case .confirmed: finishStep(&run)
        case .ask(let members):
            plans.running?.receiptBegins(at: run.now)
            run.emit(.peers(members, .receipt(plan: number), deadline: run.now + .seconds(2)))
        case .askAgain: run.emit(.local(.retryReceipt(at: run.now + ReceiptRule.interval, plan: number)))
        case .abandoned(let why): abandonHandOver(why, &run)
        }
    }

    /// Nobody is known to have everything.
    mutating func abandonHandOver(_ why: String, _ run: inout Run) {
        guard let kind = progress?.kind else { return }
        switch ReceiptRule.abandon(kind) {
        case .leaveKeyToExpire:
            run.log(.warning, "the leader key is left to expire, nobody is known to have everything: \(why)")
            tenure.ends()
            finishPlan(&run)
        case .callOff:
            run.log(.error, "the switchover is called off, \(why)")
            _ = plans.end()
            sight.planEnded = run.now
            callOff(why, &run)
            handWaitingConfiguration(&run)
            wake(&run)
        }
    }

    /// The request in `/failover` has been tried, and PostgreSQL was down for it, whatever has ended the plan: it is
    /// not begun again. Why is told to whoever has asked, and in `/events`.
    mutating func callOff(_ why: String, _ run: inout Run) {
        guard let request = view?.failover else { return }
        memory.callsOff(request, because: why)
        let reason = Reason.request(.calledOff(why: why))
        note(Decision(.write(.clearFailover(request.revision)), reason), &run)
        endRequest(request, leaving: FailoverRequest.ended(because: "\(reason)"), &run)
    }

    mutating func endRequest(_ request: FailoverRequest, leaving rest: JSONObject, _ run: inout Run) {
        run.emit(
            .store(
                .write(.failover, .object(rest), .unchanged(since: request.revision), .clearFailover),
                deadline: storeDeadline(run.now)))
    }

    /// `/status` with the end of the WAL, the rest as it was last known (dcs.md §2.5); it never goes back.
    func handedOverStatus() -> JSONObject? {
        guard let positions = endOfWAL, var status = view?.status else { return nil }
        status.optime = positions.required
        status.handedOverBy = me.name
        return status.json
    }
}
