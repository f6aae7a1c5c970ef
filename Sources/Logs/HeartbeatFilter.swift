/// Keeps the log of a quiet cluster short (configuration.md §10): `Lock owner: …` is written only where something else
/// than a heartbeat follows it, and on demand a heartbeat only where it says something new.
struct HeartbeatFilter {
    private var held: LogRecord?
    private var last: String?

    /// The records to write now that `record` has come.
    mutating func pass(_ record: LogRecord, isActive: Bool, deduplicates: Bool) -> [LogRecord] {
        guard isActive else { return release() + [record] }
        if record.message.hasPrefix("Lock owner: ") {
            let before = release()
            held = record
            return before
        }
        guard HeartbeatFilter.isHeartbeat(record.message) else {
            last = held == nil ? last : nil
            return release() + [record]
        }
        held = nil
        if deduplicates, last == record.message { return [] }
        last = record.message
        return [record]
    }

    /// What was held back, when the log ends or changes.
    mutating func release() -> [LogRecord] {
        defer { held = nil }
        return held.map { [$0] } ?? []
    }

    private static func isHeartbeat(_ message: String) -> Bool {
        message.hasPrefix("no action. ") || message.hasPrefix("PAUSE: no action")
    }
}
