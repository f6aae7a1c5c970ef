/// When the watchdog of the host is petted. Pure: CLOCK_BOOTTIME in nanoseconds.
///
///     since .. last pet .......... SIGQUIT .. SIGKILL .. the watchdog resets the host .. deadline
///                | timeout of the watchdog ........... |
///
/// The last time that a watchdog is petted under a lease decides when it resets the host if nobody comes any more:
/// after the guardian has sent SIGKILL in vain, and before another node may lead. So the two ends agree, whatever
/// timeout the watchdog has: a guardian that runs ends PostgreSQL first, and lets the watchdog go then; one that cannot
/// run, or cannot end it, is what the watchdog is for.
public struct PettingRule: Sendable, Hashable {
    private var lease: GuardedLease?
    private var timeout: Int64 = 0
    private var last: Int64?
    private var isNew = false

    public init() {}

    /// A lease was won or prolonged; `timeout` is how long the watchdog waits for the next pet.
    public mutating func renewed(_ lease: GuardedLease, timeout: Int64) {
        isNew = self.lease != lease || self.timeout != timeout
        self.lease = lease
        self.timeout = timeout
    }

    /// The watchdog is off.
    public mutating func rest() { self = PettingRule() }

    /// Whether it is petted now, and when the question comes again; nil for not before the next renewal.
    public mutating func next(now: Int64) -> (pets: Bool, wake: Int64?) {
        guard let lease, timeout > 0 else { return (false, nil) }
        // The reset comes between these two, each a part of the margin after SIGKILL.
        let until = lease.deadline - lease.margin / 4 - timeout
        let final = until - lease.margin / 8
        defer { isNew = false }
        // One that waits longer than a lease lasts protects as well as it can.
        if until < lease.since {
            if isNew { last = now }
            return (isNew, nil)
        }
        if now > until { return (false, nil) }
        let due = isNew ? now : last.map { min($0 + timeout / 2, final) } ?? now
        if let last, !isNew, last >= final { return (false, nil) }
        guard now >= due else { return (false, due) }
        last = now
        return (true, now < final ? min(now + timeout / 2, final) : nil)
    }
}

/// A watchdog as the daemon wants it (ha-loop.md §26).
public struct GuardedWatchdog: Sendable, Hashable {
    public var device: String
    /// Seconds without a pet after which it is to reset the host.
    public var timeout: Int32
    /// One with a shorter timeout than this cannot be petted in time.
    public var minimum: Int32
    /// No device, but a file or pipe that is written to as one (observable-text.md §6).
    public var isTesting: Bool

    public init(device: String, timeout: Int32, minimum: Int32, isTesting: Bool = false) {
        self.device = device
        self.timeout = timeout
        self.minimum = minimum
        self.isTesting = isTesting
    }

    func add(to message: inout GuardianMessage) {
        message.add("watchdog_device", device)
        message.add("watchdog_timeout", Int64(timeout))
        message.add("watchdog_minimum", Int64(minimum))
        message.add("watchdog_testing", isTesting ? 1 : 0)
    }

    /// Nil where the message carries none.
    init?(_ message: GuardianMessage) throws(GuardianMessage.Malformed) {
        guard message.has("watchdog_device") else { return nil }
        device = try message.text("watchdog_device")
        guard let timeout = Int32(exactly: try message.number("watchdog_timeout")), timeout > 0,
            let minimum = Int32(exactly: try message.number("watchdog_minimum")), minimum >= 0
        else { throw .init("a watchdog with a time that is none") }
        self.timeout = timeout
        self.minimum = minimum
        isTesting = try message.number("watchdog_testing") != 0
    }
}
