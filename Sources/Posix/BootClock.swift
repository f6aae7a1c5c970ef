import Glibc
public import Instants

/// The clock of leases and timeouts: CLOCK_BOOTTIME.
public enum BootClock {
    /// The instant now.
    public static func now() -> BootInstant {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return BootInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }
}

/// The wall clock: only for what people read and for actions that people schedule (architecture.md §5).
public enum WallClock {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    public static func nanosecondsSinceEpoch() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
