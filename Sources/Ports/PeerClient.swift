public import ClusterModel

/// The other nodes' REST APIs, as the cycle needs them (rest-api.md §19).
public protocol PeerClient: Sendable {
    /// Asks every member for its status at once. Each has an answer by the deadline: a node that says nothing is
    /// `.unreachable`.
    func statuses(of members: [Member], deadline: BootInstant) async -> [String: PeerAnswer]

    /// Tells every member at once that this primary goes on without the store, and asks for its promise. Each has an
    /// answer by the deadline.
    func failsafe(_ ping: FailsafePing, to members: [Member], deadline: BootInstant) async -> [String: FailsafeAnswer]

    /// Whether anybody answers `/liveness` at the address of `apiURL`: any HTTP answer counts (rest-api.md §19).
    func isAlive(apiURL: String, deadline: BootInstant) async -> Bool
}

/// The clocks. Decisions take only `now`; the wall clock is for what people read and schedule.
public protocol Clock: Sendable {
    /// CLOCK_BOOTTIME.
    func now() -> BootInstant
    /// Nanoseconds since the epoch.
    func wallTime() -> Int64
    /// Returns at `instant` or soon after; early when the task is cancelled.
    func sleep(until instant: BootInstant) async
}
