public import Logging

/// How and where log lines are written (configuration.md §3.2, observable-text.md §1).
public struct LogOptions: Sendable, Hashable {
    public enum Layout: Sendable, Hashable {
        /// A Python format: `%(asctime)s %(levelname)s: %(message)s`.
        case plain(String)
        /// One JSON object a line, with these fields under these names.
        case json([Field])
    }

    public struct Field: Sendable, Hashable {
        /// What it shows: `asctime`, `levelname`, `message`.
        public let name: String
        /// The key under which it is written.
        public let key: String

        public init(name: String, key: String) {
            self.name = name
            self.key = key
        }
    }

    public var layout: Layout = .plain("%(asctime)s %(levelname)s: %(message)s")
    /// For strftime; nil for `YYYY-MM-DD HH:MM:SS,mmm`. Local time both.
    public var dateFormat: String?
    /// Added to every JSON object.
    public var staticFields: [Field] = []
    public var level: Logger.Level = .info
    /// Levels of single loggers by label; a label stands for those below it too: `etcd` for `etcd.watch`.
    public var loggers: [String: Logger.Level] = [:]
    /// Records that may wait to be written; more are lost and counted.
    public var maxQueueSize = 1000
    /// The directory of `patroni.log`; nil for stderr.
    public var directory: String?
    /// Bytes after which the file is rotated; 0 for never.
    public var fileSize = 25_000_000
    /// Rotated files that are kept; 0 for no rotation.
    public var fileCount = 4
    /// Permission bits of the file; nil is 0600 for a new one, and those that it has for one that is there.
    public var fileMode: UInt32?
    /// A heartbeat that says the same as the one before it is not written.
    public var deduplicatesHeartbeats = false

    public init() {}

    /// What its lines will lack, in words: fields that no record has, and the message.
    public var remarks: [String] {
        let record = LogRecord(level: .info, label: "", message: "", time: 0)
        let names = LineFormat(self).names
        let unknown = names.filter { record.value($0, dateFormat: nil) == nil }
        return unknown.map { "no record has a field \($0)" }
            + (names.contains { ["message", "msg"].contains($0) } ? [] : ["without message no line says what happened"])
    }

    /// The level with a Python name; nil for none.
    public static func level(_ name: String) -> Logger.Level? {
        switch name.uppercased() {
        case "DEBUG": .trace
        case "INFO": .info
        case "WARN", "WARNING": .warning
        case "ERROR": .error
        case "FATAL", "CRITICAL": .critical
        default: nil
        }
    }

    /// The level of the logger `label`.
    func level(for label: String) -> Logger.Level {
        if loggers.isEmpty { return level }
        var name = label[...]
        while true {
            if let level = loggers[String(name)] { return level }
            guard let dot = name.lastIndex(of: ".") else { return level }
            name = name[..<dot]
        }
    }
}

extension Logger.Level {
    /// The Python name by which readers of the log know the level.
    var pythonName: String {
        switch self {
        case .trace, .debug: "DEBUG"
        case .info, .notice: "INFO"
        case .warning: "WARNING"
        case .error: "ERROR"
        case .critical: "CRITICAL"
        }
    }

    var pythonNumber: Int {
        switch self {
        case .trace, .debug: 10
        case .info, .notice: 20
        case .warning: 30
        case .error: 40
        case .critical: 50
        }
    }
}
