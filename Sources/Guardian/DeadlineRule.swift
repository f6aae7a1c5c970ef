/// When the guardian stops PostgreSQL. Pure: instants in, what to do out; CLOCK_BOOTTIME in nanoseconds.
///
///     since ........ deadline - margin ...... deadline - margin/2 ...... deadline
///       | writes are ours | SIGQUIT, PostgreSQL ends itself | SIGKILL of all | another node may lead
///
/// Why no two primaries accept writes: the store lets nobody take the key before it has counted a whole ttl from when
/// it *received* the renewal; our deadline counts the same ttl from before the renewal was *sent*, on a clock that
/// neither steps nor stops. So the deadline lies before any takeover, whatever delayed request or answer. A guardian
/// that runs sends SIGQUIT a margin before that, and SIGKILL half a margin before; SIGKILL is carried out by the kernel
/// without any help of the process. What is left to chance is that the kernel schedules the guardian and ends the
/// processes within half a margin; one that was suspended kills at once when it runs again.
public struct DeadlineRule: Sendable, Hashable {
    /// What is enforced; nil while disarmed.
    public private(set) var lease: GuardedLease?
    private var quitSent = false

    /// What to do now.
    public enum Action: Sendable, Hashable {
        /// Nothing before this instant; nil for nothing at all.
        case wait(until: Int64?)
        /// SIGQUIT to the postmaster, then ask again.
        case quit
        /// SIGKILL to the postmaster and all its processes, and again until all have ended.
        case kill
    }

    public init() {}

    /// A lease replaces the one before: a renewal, or another session's.
    public mutating func enforce(_ lease: GuardedLease) { self.lease = lease }

    public mutating func disarm() { lease = nil }

    /// A new postmaster, or none: what was sent to the old one does not count.
    public mutating func postmasterChanged() { quitSent = false }

    /// `isRunning`: a postmaster, or any process of it, is left.
    public mutating func next(now: Int64, isRunning: Bool) -> Action {
        guard let lease, isRunning else { return .wait(until: nil) }
        let quitAt = lease.deadline - lease.margin
        let killAt = lease.deadline - lease.margin / 2
        // Once told to quit, PostgreSQL ends: a renewal that comes now is too late.
        if now < quitAt && !quitSent { return .wait(until: quitAt) }
        if now >= killAt { return .kill }
        if quitSent { return .wait(until: killAt) }
        quitSent = true
        return .quit
    }
}

extension DeadlineRule {
    /// What would happen to a server that is started now, with what is enforced.
    public func nextWithoutMemory(now: Int64) -> Action {
        guard let lease else { return .wait(until: nil) }
        return now < lease.deadline - lease.margin ? .wait(until: lease.deadline - lease.margin) : .quit
    }
}
