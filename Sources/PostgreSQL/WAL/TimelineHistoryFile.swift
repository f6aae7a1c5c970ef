import ClusterModel

/// A history file of a timeline (postgresql.md §23): parent timeline, position, reason between tabs; `#` begins a
/// comment.
enum TimelineHistoryFile {
    /// The rows with three fields, oldest first.
    static func parse(_ text: String) -> [TimelineHistory.Line] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: "\t", maxSplits: 2).map { $0.trimmed }
            guard fields.count == 3, let timeline = TimelineID(fields[0]), let position = WALPosition(fields[1]) else {
                return nil
            }
            return TimelineHistory.Line(timeline: timeline, position: position, reason: fields[2])
        }
    }

    /// `0000000A.history`
    static func name(_ timeline: TimelineID) -> String {
        let digits = String(timeline, radix: 16, uppercase: true)
        return String(repeating: "0", count: 8 - digits.count) + digits + ".history"
    }

    /// Whose history the file `name` is; nil where it is none.
    static func timeline(_ name: String) -> TimelineID? {
        guard name.utf8.count == 16, name.hasSuffix(".history") else { return nil }
        return TimelineID(name.prefix(8), radix: 16)
    }
}

/// A wall clock time in UTC as people and the DCS read it.
enum ISO8601 {
    /// `2026-11-22T22:16:38.123456+00:00`.
    static func text(nanosecondsSinceEpoch: Int64) -> String {
        let seconds = Int64((Double(nanosecondsSinceEpoch) / 1e9).rounded(.down))
        let micros = (nanosecondsSinceEpoch - seconds * 1_000_000_000) / 1000
        let (day, second) = (seconds / 86400, seconds % 86400)
        // Civil date from days since 1970-01-01, counted in eras of 400 years that begin on a 1 March.
        let shifted = day + 719_468
        let era = shifted / 146_097
        let ofEra = shifted - era * 146_097
        let year = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let month = (5 * ofYear + 2) / 153
        let civilMonth = month < 10 ? month + 3 : month - 9
        let civilYear = year + era * 400 + (civilMonth <= 2 ? 1 : 0)
        let date = "\(civilYear)-\(two(civilMonth))-\(two(ofYear - (153 * month + 2) / 5 + 1))"
        let fraction = String(String(1_000_000 + max(0, micros)).dropFirst())
        return "\(date)T\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)).\(fraction)+00:00"
    }

    private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
