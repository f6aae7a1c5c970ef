import ClusterModel
import Glibc
import Guardian
import Processes

/// The `watchdog` section as whoever pets it goes by it (ha-loop.md §26).
public struct WatchdogPlan: Sendable, Hashable {
    /// Without a watchdog this node does not lead.
    public var isRequired: Bool
    public var device: String
    /// Seconds that it resets the host before a ttl has passed; -1 for half of the ttl.
    public var safetyMargin: Int
    public var isTesting: Bool

    public init(isRequired: Bool, device: String, safetyMargin: Int, isTesting: Bool) {
        self.isRequired = isRequired
        self.device = device
        self.safetyMargin = safetyMargin
        self.isTesting = isTesting
    }

    /// Why it could not be used now; nil where nothing is seen that stands in the way.
    public var obstacle: String? {
        if access(device, W_OK) == 0 { return nil }
        return "cannot open \(device): \(String(cString: strerror(errno)))"
    }

    /// Seconds without a pet after which it is to reset the host.
    func timeout(ttl: Duration) -> Int {
        let ttl = Int(ttl.components.seconds)
        return safetyMargin == -1 ? ttl / 2 : ttl - safetyMargin
    }

    /// It is petted every half of its timeout, whenever the lease is renewed (`PettingRule`): one with less than this
    /// would reset a host that is merely loaded.
    func minimum(ttl: Duration) -> Int { Int((ttl.components.seconds + 3) / 4) }

    /// Nil where its times leave no room to pet it.
    func guarded(ttl: Duration) -> GuardedWatchdog? {
        let (timeout, minimum) = (timeout(ttl: ttl), minimum(ttl: ttl))
        guard timeout >= minimum else { return nil }
        return GuardedWatchdog(
            device: device, timeout: Int32(clamping: timeout), minimum: Int32(clamping: minimum), isTesting: isTesting)
    }

    /// What became of it under a lease of `ttl`: `actual` is its timeout by its own word, 0 while it is off.
    func status(ttl: Duration, actual: Int32, failure: String?) -> GuardianStatus.Watchdog {
        let wanted = timeout(ttl: ttl)
        if wanted < minimum(ttl: ttl) {
            return failed(
                "watchdog.safety_margin \(safetyMargin) leaves \(wanted) s of a ttl of \(ttl.components.seconds)")
        }
        if let failure { return failed(failure) }
        if actual == 0 { return failed("the watchdog was not switched on") }
        if Int(actual) > wanted, isRequired { return failed("\(device) waits for \(actual) s, wanted are \(wanted)") }
        return .on(timeout: .seconds(Int64(actual)))
    }

    private func failed(_ why: String) -> GuardianStatus.Watchdog { .failed(why, isRequired: isRequired) }
}
