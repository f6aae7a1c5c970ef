import Guardian
import Processes

/// The host's watchdog under the guardian's lease: on while PostgreSQL may accept writes, off as soon as it has ended.
struct WatchdogKeeper {
    private var device = Watchdog()
    private var rule = PettingRule()
    private var wanted: GuardedWatchdog?
    private var told: String?

    /// Seconds; 0 while it is off.
    var timeout: Int32 { device.timeout }
    var failure: String? { wanted == nil ? nil : device.failure }

    /// A lease was won or prolonged.
    mutating func guards(_ lease: GuardedLease, with wanted: GuardedWatchdog?, _ now: Int64) {
        guard let wanted else { return rest() }
        self.wanted = wanted
        device.activate(
            .init(
                device: wanted.device, timeout: wanted.timeout, minimum: wanted.minimum, isTesting: wanted.isTesting))
        rule.renewed(lease, timeout: Int64(device.timeout) * 1_000_000_000)
        _ = act(now)
        tell()
    }

    /// A postmaster begins under a lease that was told before.
    mutating func resume(_ lease: GuardedLease?, _ now: Int64) {
        if let lease, let wanted, !device.isOn { guards(lease, with: wanted, now) }
    }

    /// PostgreSQL has ended, or nothing is enforced.
    mutating func rest() {
        rule.rest()
        if device.resetsAfterClosing {
            Log.line("the watchdog cannot be switched off: it resets the host in \(device.timeout) s")
        }
        device.disable()
        tell()
    }

    /// Pets it where it is time; when to ask again.
    mutating func act(_ now: Int64) -> Int64 {
        let (pets, wake) = rule.next(now: now)
        if pets { device.pet() }
        return wake ?? .max
    }

    private mutating func tell() {
        let state =
            device.isOn ? "the watchdog is on, for \(device.timeout) s" : device.failure ?? "the watchdog is off"
        if state != told, told != nil || device.isOn || device.failure != nil { Log.line(state) }
        told = state
    }
}
