public import ClusterModel
public import Ports
import Posix

/// The clocks of this host.
public struct SystemClock: Clock {
    public init() {}

    public func now() -> BootInstant { BootClock.now() }

    public func wallTime() -> Int64 { WallClock.nanosecondsSinceEpoch() }

    public func sleep(until instant: BootInstant) async {
        let left = instant - BootClock.now()
        // ContinuousClock is CLOCK_BOOTTIME on Linux. Cancelled sleeps end early; the caller looks at the clock.
        if left > .zero { try? await Task.sleep(for: left) }
    }
}
