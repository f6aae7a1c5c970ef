public import ClusterModel
public import HighAvailability

/// The guardian, as the cycle needs it (architecture.md §4).
public protocol GuardianPort: Sendable {
    /// Gives an order; returns when the guardian has acknowledged it. Throws where it has not by `deadline`: then the
    /// order before may still stand.
    func tell(_ order: GuardOrder, deadline: BootInstant) async throws(GuardianError) -> GuardianStatus
}

/// Why the guardian did not do what it was told.
public struct GuardianError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    /// It has answered, and does not do it.
    public let isRefusal: Bool
    /// The lease is enforced, and the watchdog without which nobody is to lead is off.
    public let isOfWatchdog: Bool

    public init(_ description: String, isRefusal: Bool = false, isOfWatchdog: Bool = false) {
        self.description = description
        self.isRefusal = isRefusal
        self.isOfWatchdog = isOfWatchdog
    }
}
