import ClusterModel

/// How a call's time is shared out (dcs.md §5.8).
public struct AttemptPlan: Sendable, Hashable {
    /// How many endpoints are tried in this round.
    public let nodes: Int
    /// What one attempt may take.
    public let timeout: Duration

    init(nodes: Int, timeout: Duration) {
        self.nodes = nodes
        self.timeout = timeout
    }

    /// Shares `budget` among `nodes` so that every attempt has at least a second, leaving out endpoints where it does
    /// not reach; with one or two endpoints it is shared further, so that a lost packet does not cost all of it.
    ///
    /// A budget below one second goes to one attempt whole. Where the whole retry_timeout is less than 3 s, a third of
    /// it stands in place of the second.
    public static func sharing(
        _ budget: Duration, among nodes: Int, retryTimeout: Duration = .seconds(10)
    ) -> AttemptPlan {
        let floor = min(Duration.seconds(1), retryTimeout / 3)
        var tries = 4 - min(nodes, 3)
        for count in stride(from: nodes, to: 0, by: -1) {
            let share = budget / count
            if share >= floor {
                while tries > 1, share / tries < floor { tries -= 1 }
                return AttemptPlan(nodes: count, timeout: share / tries)
            }
            tries = 1
        }
        return AttemptPlan(nodes: 1, timeout: budget)
    }
}

/// The pauses between rounds: 0.1 s doubling to 1 s, and up to 0.8 s more so that nodes do not knock in step.
/// Below a retry_timeout of 3 s they are shorter in proportion.
public enum RetryPause {
    /// `round` counts from 0; `jitter` is from 0 up to 1.
    public static func length(round: Int, jitter: Double, retryTimeout: Duration = .seconds(10)) -> Duration {
        let steps = min(max(round, 0), 4)
        let base = min(Duration.milliseconds(100) * (1 << steps), .seconds(1))
        let whole = base + .milliseconds(800) * min(max(jitter, 0), 1)
        return whole * min(1, retryTimeout.inSeconds / 3)
    }
}

/// Numbers that differ from node to node: good enough for spreading load, for nothing else (SplitMix64).
public struct JitterSource: Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// From 0 up to 1.
    public mutating func next() -> Double {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return Double((mixed ^ (mixed >> 31)) >> 11) / Double(UInt64(1) << 53)
    }
}
