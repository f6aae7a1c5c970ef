import Logging
import Posix

/// swift-log's side: turns an event into a record and puts it into the queue.
struct QueueingHandler: LogHandler {
    let label: String
    let system: LogSystem
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    /// Set by hand on one logger; otherwise the configured level counts, also after it was changed.
    private var ownLevel: Logger.Level?

    init(label: String, system: LogSystem) {
        self.label = label
        self.system = system
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? system.level(for: label) }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var facts = metadata
        if let provided = metadataProvider?.get() { facts.merge(provided) { _, new in new } }
        if let more = event.metadata { facts.merge(more) { _, new in new } }
        var message = event.message.description
        if let error = event.error { message += ": \(error)" }
        system.enqueue(
            LogRecord(
                level: event.level, label: label, message: message, time: WallClock.nanosecondsSinceEpoch(),
                file: event.file, function: event.function, line: Int(event.line),
                metadata: facts.sorted { $0.key < $1.key }.map { ($0.key, $0.value.description) }))
    }
}
