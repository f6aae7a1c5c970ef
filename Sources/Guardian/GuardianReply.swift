/// The answer to every request: whether it was done, and how things stand then.
public struct GuardianReply: Sendable, Hashable {
    /// Why the request was refused; nil where it was done.
    public var refusal: String?
    /// The guardian itself.
    public var guardian: Int32
    /// The running postmaster; 0 for none.
    public var postmaster: Int32
    /// Whether the guardian is its parent: then the kernel ends PostgreSQL if the guardian dies.
    public var isParent: Bool
    /// What is enforced; nil while disarmed.
    public var lease: GuardedLease?
    /// The last time that PostgreSQL was stopped for a lease.
    public var stop: Stop?

    /// The timeout of the watchdog, in seconds; 0 while it is off.
    public var watchdog: Int32 = 0
    /// Why it is off although it is wanted.
    public var watchdogFailure: String?

    /// What the guardian did when a lease came to its end.
    public struct Stop: Sendable, Hashable {
        /// When SIGQUIT was sent, CLOCK_BOOTTIME in nanoseconds.
        public var at: Int64
        public var postmaster: Int32
        /// SIGQUIT did not do, or came too late.
        public var wasKilled: Bool
        /// When the last process had ended; 0 until then.
        public var over: Int64

        public init(at: Int64, postmaster: Int32, wasKilled: Bool = false, over: Int64 = 0) {
            self.at = at
            self.postmaster = postmaster
            self.wasKilled = wasKilled
            self.over = over
        }
    }

    public init(
        refusal: String? = nil, guardian: Int32, postmaster: Int32, isParent: Bool, lease: GuardedLease?, stop: Stop?
    ) {
        self.refusal = refusal
        self.guardian = guardian
        self.postmaster = postmaster
        self.isParent = isParent
        self.lease = lease
        self.stop = stop
    }

    public var message: GuardianMessage {
        var message = GuardianMessage(refusal == nil ? "done" : "refused")
        if let refusal { message.add("reason", refusal) }
        message.add("guardian", Int64(guardian))
        message.add("postmaster", Int64(postmaster))
        message.add("parent", isParent ? 1 : 0)
        lease?.add(to: &message)
        if watchdog > 0 { message.add("watchdog", Int64(watchdog)) }
        if let watchdogFailure { message.add("watchdog_failure", watchdogFailure) }
        if let stop {
            message.add("stop_at", stop.at)
            message.add("stop_postmaster", Int64(stop.postmaster))
            message.add("stop_killed", stop.wasKilled ? 1 : 0)
            message.add("stop_over", stop.over)
        }
        return message
    }

    public init(_ message: GuardianMessage) throws(GuardianMessage.Malformed) {
        switch message.verb {
        case "done": refusal = nil
        case "refused": refusal = try message.text("reason")
        default: throw .init("no such answer: \(message.verb.prefix(40))")
        }
        guardian = try Self.pid(message, "guardian")
        postmaster = try Self.pid(message, "postmaster")
        isParent = try message.number("parent") != 0
        lease = try GuardedLease(message)
        stop = nil
        if message.has("watchdog") { watchdog = Int32(clamping: try message.number("watchdog")) }
        if message.has("watchdog_failure") { watchdogFailure = try message.text("watchdog_failure") }
        if message.has("stop_at") {
            stop = Stop(
                at: try message.number("stop_at"), postmaster: try Self.pid(message, "stop_postmaster"),
                wasKilled: try message.number("stop_killed") != 0, over: try message.number("stop_over"))
        }
    }

    private static func pid(_ message: GuardianMessage, _ name: String) throws(GuardianMessage.Malformed) -> Int32 {
        guard let pid = Int32(exactly: try message.number(name)), pid >= 0 else { throw .init("\(name) is no pid") }
        return pid
    }
}
