import ClusterModel

/// The `log` section (configuration.md §3.2).
public struct LogSettings: Sendable, Hashable {
    public enum Layout: Sendable, Hashable {
        /// `%(asctime)s %(levelname)s: %(message)s`
        case plain(format: String)
        /// One JSON object a line: fields and the names under which they are written.
        case json(fields: [ParameterSetting])
    }

    public let layout: Layout
    /// `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`.
    public let level: String
    /// A strftime format; nil for `YYYY-MM-DD HH:MM:SS,mmm`.
    public let dateFormat: String?
    /// Added to every JSON object.
    public let staticFields: [ParameterSetting]
    /// Records that may wait to be written.
    public let maxQueueSize: Int
    /// The directory of `patroni.log`; nil for stderr.
    public let directory: String?
    /// Bytes after which the file is rotated.
    public let fileSize: Int
    /// Rotated files that are kept.
    public let fileCount: Int
    /// Permission bits of the file; nil is 0600 for a new one.
    public let fileMode: UInt32?
    /// Levels of single loggers by their labels.
    public let loggers: [ParameterSetting]
    public let deduplicatesHeartbeats: Bool

    static let levels = ["debug", "info", "warn", "warning", "error", "fatal", "critical"]
    public static let defaultFormat = "%(asctime)s %(levelname)s: %(message)s"

    init(_ reader: inout SettingReader) {
        _ = reader.object("log")
        layout = LogSettings.layout(&reader)
        level = LogSettings.canonical(reader.word("log.level", LogSettings.levels, default: "info"))
        let dateFormat = reader.raw("log.dateformat")
        if dateFormat != nil, dateFormat?.string == nil { reader.warn("log.dateformat", "is no text and is not used") }
        self.dateFormat = dateFormat?.string.flatMap { $0.isEmpty ? nil : $0 }
        staticFields = reader.parameters("log.static_fields") ?? []
        maxQueueSize = Int(reader.integer("log.max_queue_size", 1...1_000_000, default: 1000))
        directory = reader.path("log.dir", allowed: "a directory")
        fileSize = Int(reader.integer("log.file_size", 0...(1 << 50), default: 25_000_000))
        fileCount = Int(reader.integer("log.file_num", 0...10_000, default: 4))
        fileMode =
            reader.raw("log.mode") == nil ? nil : UInt32(reader.integer("log.mode", 0...0o777, default: 0o600))
        loggers = LogSettings.loggers(&reader)
        deduplicatesHeartbeats = reader.bool("log.deduplicate_heartbeat_logs")
    }

    private static func layout(_ reader: inout SettingReader) -> Layout {
        let isJSON = reader.word("log.type", ["plain", "json"], default: "plain") == "json"
        switch reader.raw("log.format") {
        case nil, .null?: break
        case .string(let format)?: return isJSON ? .json(fields: fields(in: format)) : .plain(format: format)
        case .array(let items)? where isJSON:
            let fields = items.compactMap(field)
            if fields.count == items.count, !fields.isEmpty { return .json(fields: fields) }
            reader.warn("log.format", "each item should be a name or one pair of names; the default is used")
        case .bool?, .int?, .double?, .array?, .object?:
            reader.warn("log.format", "should be a text, or a list where log.type is json; the default is used")
        }
        return isJSON ? .json(fields: fields(in: defaultFormat)) : .plain(format: defaultFormat)
    }

    private static func field(_ item: JSONValue) -> ParameterSetting? {
        if let name = item.string { return ParameterSetting(name: name, value: name) }
        guard let pair = item.object?.members.first, item.object?.count == 1, let name = pair.value.string else {
            return nil
        }
        return ParameterSetting(name: pair.key, value: name)
    }

    /// The names of a `%(name)s` format, in order.
    private static func fields(in format: String) -> [ParameterSetting] {
        var fields: [ParameterSetting] = []
        var rest = format[...]
        while let start = rest.firstRange(of: "%(") {
            let name = String(rest[start.upperBound...].prefix { $0 != ")" })
            fields.append(ParameterSetting(name: name, value: name))
            rest = rest[start.upperBound...].dropFirst(name.count)
        }
        return fields
    }

    private static func loggers(_ reader: inout SettingReader) -> [ParameterSetting] {
        (reader.parameters("log.loggers") ?? []).compactMap { logger in
            guard levels.contains(logger.value.lowercased()) else {
                reader.report(
                    "log.loggers",
                    "found \(Secrets.shown(logger.value)) for \(logger.name), allowed is one of \(levels)")
                return nil
            }
            return ParameterSetting(name: logger.name, value: canonical(logger.value))
        }
    }

    private static func canonical(_ level: String) -> String {
        switch level.lowercased() {
        case "warn": "WARNING"
        case "fatal": "CRITICAL"
        default: level.uppercased()
        }
    }
}
