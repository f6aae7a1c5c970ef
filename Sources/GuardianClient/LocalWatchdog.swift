public import ClusterModel
import Glibc
import Guardian
public import HighAvailability
public import Logging
public import Ports
public import Posix
import Processes

/// With the guardian off the daemon itself pets the watchdog, by the same rule (docs/guardian.md). It blocks nowhere,
/// and has a thread of its own: what it does waits for nothing else of the daemon's.
public actor LocalWatchdog: GuardianPort {
    private let plan: WatchdogPlan
    private let log: Logger
    private let executor: ThreadExecutor
    private var device = Watchdog()
    private var rule = PettingRule()
    private var timer: Task<Void, Never>?
    private var told = GuardianStatus.Watchdog.off

    nonisolated public var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    public init(_ plan: WatchdogPlan, logger: Logger) throws(SystemError) {
        self.plan = plan
        log = logger
        executor = try ThreadExecutor(name: "watchdog")
    }

    public func tell(_ order: GuardOrder, deadline: BootInstant) async throws(GuardianError) -> GuardianStatus {
        var status = GuardianStatus(pid: 0)
        switch order {
        case .disarm: rest()
        case .enforce(let lease, _):
            status.leaseEnd = lease.deadline
            if let wanted = plan.guarded(ttl: lease.ttl) {
                device.activate(
                    .init(
                        device: wanted.device, timeout: wanted.timeout, minimum: wanted.minimum,
                        isTesting: wanted.isTesting))
                rule.renewed(GuardedLease(lease), timeout: Int64(device.timeout) * 1_000_000_000)
                act()
            } else {
                rest()
            }
            status.watchdog = plan.status(ttl: lease.ttl, actual: device.timeout, failure: device.failure)
        }
        if status.watchdog != told { log.watchdog(status.watchdog) }
        told = status.watchdog
        return status
    }

    private func rest() {
        timer?.cancel()
        rule.rest()
        device.disable()
    }

    private func act() {
        timer?.cancel()
        let (pets, wake) = rule.next(now: BootClock.now().nanoseconds)
        if pets { device.pet() }
        guard let wake else { return }
        timer = Task {
            let left = BootInstant(nanoseconds: wake) - BootClock.now()
            try? await Task.sleep(for: max(.zero, left))
            if !Task.isCancelled { act() }
        }
    }
}

extension Logger {
    /// What became of the watchdog, when that is news.
    func watchdog(_ state: GuardianStatus.Watchdog) {
        switch state {
        case .off: info("the watchdog is off")
        case .on(let timeout): info("the watchdog is on: it resets the host \(timeout.inSeconds) s after its last pet")
        case .failed(let why, isRequired: true): error("the watchdog is required and cannot be used: \(why)")
        case .failed(let why, isRequired: false): warning("no watchdog is used: \(why)")
        }
    }
}
