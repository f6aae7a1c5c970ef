import Glibc

/// Times of day as people here read them (ctl.md §3.4).
enum LocalTime {
    /// `2026-11-26 02:43:12`.
    static func seconds(_ wallTime: Int64) -> String {
        let (fields, _) = local(wallTime)
        let date = [Int(fields.tm_year) + 1900, Int(fields.tm_mon) + 1, Int(fields.tm_mday)].map { padded($0, 2) }
        let time = [fields.tm_hour, fields.tm_min, fields.tm_sec].map { padded(Int($0), 2) }
        return date.joined(separator: "-") + " " + time.joined(separator: ":")
    }

    /// With five digits of a second: the lines of events.
    static func event(_ wallTime: Int64) -> String { "\(seconds(wallTime)).\(padded(fraction(wallTime) / 10_000, 5))" }

    /// With `,123`: the lines of a log.
    static func milliseconds(_ wallTime: Int64) -> String {
        "\(seconds(wallTime)),\(padded(fraction(wallTime) / 1_000_000, 3))"
    }

    /// How far the local time is ahead of UTC at `wallTime`, in minutes.
    static func offsetMinutes(_ wallTime: Int64) -> Int { local(wallTime).offset }

    private static func local(_ wallTime: Int64) -> (fields: tm, offset: Int) {
        // localtime_r reads the zone only where somebody has asked for it.
        tzset()
        var seconds = time_t(wallTime / 1_000_000_000)
        var fields = tm()
        localtime_r(&seconds, &fields)
        return (fields, fields.tm_gmtoff / 60)
    }

    private static func fraction(_ wallTime: Int64) -> Int { Int(wallTime % 1_000_000_000) }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
