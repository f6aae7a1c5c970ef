/// An instant on CLOCK_BOOTTIME: it neither steps nor stops while the host is suspended, so leases and timeouts are
/// counted on it (architecture.md §5). Instants of two hosts, or of two boots, must not be compared.
public struct BootInstant: Sendable, Hashable, Comparable {
    /// Nanoseconds since boot.
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (left: BootInstant, right: BootInstant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The instant `duration` later; durations come from configurations, so that what would not fit is cut.
    public static func + (instant: BootInstant, duration: Duration) -> BootInstant {
        let (sum, overflows) = instant.nanoseconds.addingReportingOverflow(duration.nanoseconds)
        return BootInstant(nanoseconds: overflows ? (duration < .zero ? .min : .max) : sum)
    }

    /// The instant `duration` earlier, cut likewise.
    public static func - (instant: BootInstant, duration: Duration) -> BootInstant {
        let (difference, overflows) = instant.nanoseconds.subtractingReportingOverflow(duration.nanoseconds)
        return BootInstant(nanoseconds: overflows ? (duration < .zero ? .max : .min) : difference)
    }

    /// How much later `left` is than `right`; negative when it is earlier.
    public static func - (left: BootInstant, right: BootInstant) -> Duration {
        let (difference, overflows) = left.nanoseconds.subtractingReportingOverflow(right.nanoseconds)
        let nanoseconds = overflows ? (left < right ? .min : .max) : difference
        return Duration(attoseconds: Int128(nanoseconds) * Duration.attosecondsInNanosecond)
    }
}

extension Duration {
    /// The whole duration in nanoseconds, cut to what an Int64 holds (292 years).
    public var nanoseconds: Int64 { Int64(clamping: attoseconds / Self.attosecondsInNanosecond) }

    static let attosecondsInNanosecond: Int128 = 1_000_000_000

    /// The standard library's own division is generic and copes with every integer; deadlines are divided at each step
    /// of a node.
    public static func / (duration: Duration, parts: Int) -> Duration {
        Duration(attoseconds: duration.attoseconds / Int128(parts))
    }

    /// The duration in seconds, for people and for ratios.
    public var inSeconds: Double { Double(nanoseconds) / 1e9 }
}
