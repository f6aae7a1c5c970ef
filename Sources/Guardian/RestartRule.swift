/// When a daemon that died is started again: after pauses that grow, and not without end. Pure: instants in, an instant
/// out; CLOCK_BOOTTIME in nanoseconds.
public struct RestartRule: Sendable, Hashable {
    /// When to start it; nil while it runs, or where it is not to be started.
    public private(set) var startAt: Int64?
    private var began: Int64 = 0
    private var failures = 0

    private static let firstPause: Int64 = 500_000_000
    private static let longestPause: Int64 = 60_000_000_000
    /// One that ran for this long was a good one.
    private static let goodRun: Int64 = 300_000_000_000
    private static let maximumFailures = 20

    public init() {}

    /// It runs since `now`.
    public mutating func began(_ now: Int64) {
        startAt = nil
        began = now
    }

    /// It has died; the pause before it is started again, nil where it is given up.
    public mutating func ended(_ now: Int64) -> Int64? {
        if now - began > Self.goodRun { failures = 0 }
        guard failures < Self.maximumFailures else { return nil }
        let pause = min(Self.longestPause, Self.firstPause << Int64(failures))
        failures += 1
        startAt = now + pause
        return pause
    }

    /// It is started now, or not at all.
    public mutating func cancel() { startAt = nil }
}
