/// How often SIGKILL is sent again to what has not ended. What the kernel keeps, on a dead disk say, ends no sooner for
/// being told more often; but who goes round for it reads all of `/proc`. Pure: CLOCK_BOOTTIME in nanoseconds.
public struct KillPace: Sendable, Hashable {
    private var began: Int64?

    private static let first: Int64 = 20_000_000
    private static let later: Int64 = 500_000_000
    private static let patience: Int64 = 3_000_000_000

    public init() {}

    /// It was sent; how long until the next time.
    public mutating func pause(_ now: Int64) -> Int64 {
        let since = began ?? now
        began = since
        return now - since < Self.patience ? Self.first : Self.later
    }

    /// All have ended.
    public mutating func end() { began = nil }
}
