import ClusterModel

/// Attempts to write what the node needs before anything else (the leader key, `/initialize`, a repair) that came to
/// nothing. A store may answer every one of them at once: then nothing but a pause keeps the node from asking a hundred
/// times a second.
struct BackOff: Sendable {
    /// In a row.
    private(set) var failures = 0
    /// No further attempt before; nil where the next may follow at once.
    private(set) var until: BootInstant?

    func waits(at now: BootInstant) -> Bool { until.map { now < $0 } ?? false }

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

    /// Nothing is left to be written: a later attempt is no repetition of those before.
    mutating func hasNothingToDo(at now: BootInstant) { if !waits(at: now) { succeeded() } }
}
