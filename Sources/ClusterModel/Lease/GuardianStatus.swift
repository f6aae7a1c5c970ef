/// What the guardian of the local PostgreSQL tells of itself (architecture.md §4).
public struct GuardianStatus: Sendable, Hashable {
    public var pid: Int32
    /// The postmaster under its guard; nil for none.
    public var postmaster: Int32?
    /// It started the postmaster: then the kernel ends PostgreSQL if the guardian dies.
    public var isParent: Bool
    /// When it considers the lease to have ended; nil while it enforces nothing.
    public var leaseEnd: BootInstant?
    /// The last time that it stopped PostgreSQL because a lease came to its end.
    public var lastStop: Stop?
    /// What became of the watchdog of the host.
    public var watchdog = Watchdog.off

    /// A device that resets the host when nobody has petted it for a while.
    public enum Watchdog: Sendable, Hashable {
        /// None is wanted, or nothing may accept writes.
        case off
        case on(timeout: Duration)
        /// Where it is required, this node must not lead.
        case failed(String, isRequired: Bool)
    }

    /// What it did, and when.
    public struct Stop: Sendable, Hashable {
        public var at: BootInstant
        /// PostgreSQL did not end by itself in time.
        public var wasKilled: Bool

        public init(at: BootInstant, wasKilled: Bool) {
            self.at = at
            self.wasKilled = wasKilled
        }
    }

    public init(
        pid: Int32, postmaster: Int32? = nil, isParent: Bool = false, leaseEnd: BootInstant? = nil,
        lastStop: Stop? = nil
    ) {
        self.pid = pid
        self.postmaster = postmaster
        self.isParent = isParent
        self.leaseEnd = leaseEnd
        self.lastStop = lastStop
    }
}
