import ClusterModel
import Ports
import Posix

/// The clocks of this host.
struct SystemClock: Clock {
    func now() -> BootInstant { BootClock.now() }

    func wallTime() -> Int64 { WallClock.nanosecondsSinceEpoch() }

    func sleep(until instant: BootInstant) async {
        let left = instant - BootClock.now()
        // ContinuousClock is CLOCK_BOOTTIME on Linux. Cancelled sleeps end early; the caller looks at the clock.
        if left > .zero { try? await Task.sleep(for: left) }
    }
}
