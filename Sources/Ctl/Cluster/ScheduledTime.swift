import ClusterModel

/// When something is to be done, as people write it (ctl.md §3.3).
enum ScheduledTime {
    /// Nil for at once. A text without a zone is local time; one without a date is of today.
    static func parse(_ text: String, _ session: Session) throws(CtlError) -> Timestamp? {
        if text.isEmpty || text.lowercased() == "now" { return nil }
        let today = String(LocalTime.seconds(session.wallTime).prefix(11))
        guard let time = Timestamp(text) ?? (text.contains(":") ? Timestamp(today + text) : nil) else {
            throw .refused(
                "Unable to parse scheduled timestamp (\(text)). It should be in an unambiguous format (e.g. ISO 8601)")
        }
        if time.hasOffset { return time }
        if let zone = zone(text) {
            session.warn("the zone '\(zone)' is not understood: \(text) is taken as local time")
        }
        return local(time)
    }

    /// A name that stands where a zone does: `CET`.
    private static func zone(_ text: String) -> Substring? {
        guard let word = text.split(separator: " ").last, word.allSatisfy(\.isLetter) else { return nil }
        return word
    }

    /// The instant at which clocks here show it.
    private static func local(_ time: Timestamp) -> Timestamp {
        var offset = 0
        // The offset holds for the instant, which the offset makes: twice is enough but for the hour that is skipped.
        for _ in 0..<2 {
            offset = LocalTime.offsetMinutes(time.nanosecondsSinceEpoch - Int64(offset) * 60_000_000_000)
        }
        return Timestamp(
            nanosecondsSinceEpoch: time.nanosecondsSinceEpoch - Int64(offset) * 60_000_000_000, offsetMinutes: offset)
    }

    /// What a prompt proposes as an example: an hour from now.
    static func example(_ session: Session) -> String {
        let text = LocalTime.seconds(session.wallTime + 3_600_000_000_000)
        return String(text.prefix(16)).replacing(" ", with: "T")
    }
}
