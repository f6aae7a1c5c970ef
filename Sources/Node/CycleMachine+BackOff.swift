import ClusterModel
import HighAvailability
import Ports

/// Attempts to write what the node needs before anything else (the leader key, `/initialize`, a repair) that came to
/// nothing. A store may answer every one of them at once: then nothing but a pause keeps the node from asking a hundred
/// times a second.
struct BackOff: Sendable {
    /// In a row.
    private(set) var failures = 0
    /// No further attempt before; nil where the next may follow at once.
    private(set) var until: BootInstant?

    /// The store refused, or did not answer: the pause doubles, up to loop_wait.
    mutating func failed(at now: BootInstant, _ timings: ClusterTimings) {
        failures += 1
        let doublings = 1 << min(failures - 1, 8)
        until = now + min(LeaseArithmetic.retryInterval(timings) * doublings, timings.loopWait)
    }

    /// Another node was faster, or what became of it is not known: looking at once tells, but not twice in a row.
    mutating func missed(at now: BootInstant, _ timings: ClusterTimings) {
        let isFirst = failures == 0
        failed(at: now, timings)
        if isFirst { until = nil }
    }

    mutating func succeeded() { self = BackOff() }
}

extension CycleMachine {
    /// Ends a cycle whose action has to wait. True where it has to.
    mutating func backsOff(_ run: inout Run) -> Bool {
        guard let until = backOff.until, run.now < until else { return false }
        endAndWait(&run)
        return true
    }

    /// Ends a cycle after an attempt that failed.
    mutating func endAndWait(_ run: inout Run) {
        pauseBeforeNextCycle(max(.zero, (backOff.until ?? run.now) - run.now), &run)
    }

    /// Tells a failure once: the same text again is no news until it was done for once.
    mutating func complain(_ what: String, _ error: DCSError, _ run: inout Run) {
        let text = "\(error)"
        run.log(complaints[what] == text ? .debug : .warning, "\(what) failed: \(text)")
        complaints[what] = text
    }

    mutating func isDone(_ what: String, _ run: inout Run) {
        if complaints.removeValue(forKey: what) != nil { run.log(.info, "\(what): done again") }
    }
}
