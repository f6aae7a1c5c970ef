import ClusterModel
import HighAvailability
import Ports

/// What failed: when it is tried again, and whom that is told.
extension CycleMachine {
    /// Ends a cycle whose action has to wait. True where it has to.
    mutating func backsOff(_ run: inout Run) -> Bool {
        guard rules.backsOff, schedule.backOff.waits(at: run.now) else { return false }
        endAndWait(&run)
        return true
    }

    /// Ends a cycle after an attempt that failed.
    mutating func endAndWait(_ run: inout Run) {
        guard rules.backsOff else { return pauseBeforeNextCycle(.zero, &run) }
        pauseBeforeNextCycle(max(.zero, (schedule.backOff.until ?? run.now) - run.now), &run)
    }

    /// Tells a failure once: the same text again is no news until it was done for once.
    mutating func complain(_ what: String, _ error: DCSError, _ run: inout Run) { complain(what, "\(error)", &run) }

    mutating func complain(_ what: String, _ text: String, _ run: inout Run) {
        run.log(told.failed(what, text) ? .warning : .debug, "\(what) failed: \(text)")
    }

    mutating func isDone(_ what: String, _ run: inout Run) {
        if told.isDone(what) { run.log(.info, "\(what): done again") }
    }
}
