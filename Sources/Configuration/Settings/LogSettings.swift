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

    private static var levels: [String] {
        if case .word(let words) = SettingTable.byPath["log.level"]?.kind { words } else { [] }
    }
    private static var defaultFormat: String { SettingTable.byPath["log.format"]?.standard?.string ?? "%(message)s" }

    init(_ reader: inout SettingReader) {
        _ = reader.object("log")
        layout = LogSettings.layout(&reader)
        level = LogSettings.canonical(reader.word("log.level"))
        let dateFormat = reader.raw("log.dateformat")
        if dateFormat != nil, dateFormat?.string == nil { reader.warn("log.dateformat", "is no text and is not used") }
        self.dateFormat = dateFormat?.string.flatMap { $0.isEmpty ? nil : $0 }
        staticFields = reader.parameters("log.static_fields") ?? []
        maxQueueSize = Int(reader.integer("log.max_queue_size"))
        directory = reader.path("log.dir", allowed: "a directory")
        fileSize = Int(reader.integer("log.file_size"))
        fileCount = Int(reader.integer("log.file_num"))
        fileMode =
            reader.raw("log.mode") == nil ? nil : UInt32(reader.integer("log.mode"))
        loggers = LogSettings.loggers(&reader)
        deduplicatesHeartbeats = reader.bool("log.deduplicate_heartbeat_logs")
    }

    private static func layout(_ reader: inout SettingReader) -> Layout {
        let isJSON = reader.word("log.type") == "json"
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

    /// Loggers that there are here, each with Patroni's names for the same, the nearest first.
    private static let labels: [(own: String, peers: [String])] =
        [
            ("matriarch", ["patroni.ha", "patroni"]), ("postgresql", ["patroni.postgresql", "patroni"]),
            ("restapi", ["patroni.api", "patroni"]), ("guardian", ["patroni.watchdog", "patroni"]),
        ] + StoreSettings.Kind.allCases.map { ($0.rawValue, $0.loggers + ["patroni.dcs", "patroni"]) }

    private static func loggers(_ reader: inout SettingReader) -> [ParameterSetting] {
        let given = (reader.parameters("log.loggers") ?? []).compactMap { logger -> ParameterSetting? in
            guard levels.contains(logger.value.lowercased()) else {
                reader.report(
                    "log.loggers",
                    "found \(Secrets.shown(logger.value)) for \(logger.name), "
                        + "allowed is one of \(levels.joined(separator: ", "))")
                return nil
            }
            return ParameterSetting(name: logger.name, value: canonical(logger.value))
        }
        for logger in given where !isKnown(logger.name) {
            let names = labels.map(\.own).joined(separator: ", ")
            reader.warn("log.loggers", "no logger is called \(logger.name); there are \(names)")
        }
        let derived = labels.compactMap { label -> ParameterSetting? in
            if given.contains(where: { $0.name == label.own }) { return nil }
            let found = label.peers.lazy.compactMap { name in given.first { $0.name == name } }.first
            return found.map { ParameterSetting(name: label.own, value: $0.value) }
        }
        return given + derived
    }

    /// Ours, one below it, or Patroni's; of other programs' libraries nobody is told that they are not here.
    private static func isKnown(_ name: String) -> Bool {
        let first = name.prefix { $0 != "." }
        return labels.contains { $0.own == first } || ["patroni", "urllib3", "etcd", "kazoo", "consul"].contains(first)
    }

    private static func canonical(_ level: String) -> String {
        switch level.lowercased() {
        case "warn": "WARNING"
        case "fatal": "CRITICAL"
        default: level.uppercased()
        }
    }
}
