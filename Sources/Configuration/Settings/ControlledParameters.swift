import ClusterModel

/// PostgreSQL parameters that the whole cluster must agree on: they go onto the command line, only the dynamic
/// configuration may set them, and three of them nobody may (configuration.md §5.1).
public enum ControlledParameters {
    enum Check: Sendable {
        /// Follows from other settings: nobody may set it.
        case derived
        case integer(atLeast: Int64)
        /// At least so many bytes.
        case size(atLeast: Int64)
        case bool
        case mustBeOn
        case word([String])

        /// In words.
        var allowed: String {
            switch self {
            case .derived: "nothing: it follows from other settings"
            case .integer(let minimum): "a whole number, at least \(minimum)"
            case .size(let minimum): "a size, at least \(minimum >> 20)MB"
            case .bool: SettingKind.bool.allowed
            case .mustBeOn: "on"
            case .word(let words): words.joined(separator: ", ")
            }
        }
    }

    struct Parameter: Sendable {
        let name: String
        let standard: JSONValue?
        let check: Check
        /// The version, as in `server_version_num`, from which it exists.
        let since: Int
    }

    /// In the order in which they are written. `wal_keep_segments` and `wal_keep_size` are no command line options.
    static let table: [Parameter] = [
        Parameter(name: "listen_addresses", standard: nil, check: .derived, since: 90_100),
        Parameter(name: "port", standard: nil, check: .derived, since: 90_100),
        Parameter(name: "cluster_name", standard: nil, check: .derived, since: 90_500),
        Parameter(
            name: "wal_level", standard: "hot_standby", check: .word(["hot_standby", "replica", "logical"]),
            since: 90_100),
        Parameter(name: "hot_standby", standard: "on", check: .mustBeOn, since: 90_100),
        Parameter(name: "max_connections", standard: 100, check: .integer(atLeast: 25), since: 90_100),
        Parameter(name: "max_wal_senders", standard: 10, check: .integer(atLeast: 3), since: 90_100),
        Parameter(name: "wal_keep_segments", standard: nil, check: .integer(atLeast: 1), since: 90_100),
        Parameter(name: "wal_keep_size", standard: nil, check: .size(atLeast: 16 << 20), since: 130_000),
        Parameter(name: "max_prepared_transactions", standard: 0, check: .integer(atLeast: 0), since: 90_100),
        Parameter(name: "max_locks_per_transaction", standard: 64, check: .integer(atLeast: 32), since: 90_100),
        Parameter(name: "track_commit_timestamp", standard: "off", check: .bool, since: 90_500),
        Parameter(name: "max_replication_slots", standard: 10, check: .integer(atLeast: 4), since: 90_400),
        Parameter(name: "max_worker_processes", standard: 8, check: .integer(atLeast: 2), since: 90_400),
        Parameter(name: "wal_log_hints", standard: "on", check: .bool, since: 90_400),
    ]

    /// The names, in the order in which they are written.
    public static let names = table.map(\.name)

    static func parameter(_ name: String) -> Parameter? {
        let name = name.lowercased()
        return table.first { $0.name == name }
    }

    /// The value to use for `value`; nil where it does not pass its check. Whole numbers are written as such: `0x10` is
    /// 16.
    static func accepted(_ value: JSONValue, for parameter: Parameter) -> JSONValue? {
        if case .integer = parameter.check, let number = ValueParsing.integer(value), passes(value, parameter.check) {
            return .int(number)
        }
        // `nil` in a conditional expression would be read as JSON's null here.
        if passes(value, parameter.check) { return value }
        return nil
    }

    private static func passes(_ value: JSONValue, _ check: Check) -> Bool {
        switch check {
        case .derived: return false
        case .integer(let minimum): return ValueParsing.integer(value).map { $0 >= minimum } ?? false
        case .size(let minimum):
            // The server counts this one in MB where no unit stands.
            if let plain = ValueParsing.integer(value) { return plain >= minimum >> 20 }
            return ValueParsing.integer(value, unit: .bytes).map { $0 >= minimum } ?? false
        case .bool: return ValueParsing.bool(value) != nil
        case .mustBeOn: return ValueParsing.bool(value) == true
        case .word(let words): return words.contains(value.comparableText.lowercased())
        }
    }

    /// `parameters` as a server of `version` (`server_version_num`) knows them: without those that came later, with the
    /// kept WAL under the name it has there, and with the name that `wal_level` has there (configuration.md §5.2).
    public static func adapted(_ parameters: [ParameterSetting], toVersion version: Int) -> [ParameterSetting] {
        var result = parameters.filter { setting in
            if setting.name == "wal_keep_segments" || setting.name == "wal_keep_size" { return false }
            return parameter(setting.name).map { $0.since <= version } ?? true
        }
        for index in result.indices where result[index].name == "wal_level" {
            if version >= 90_600, result[index].value == "hot_standby" { result[index].value = "replica" }
            if version < 90_600, result[index].value == "replica" { result[index].value = "hot_standby" }
        }
        let segments = parameters.first { $0.name == "wal_keep_segments" }?.value
        let size = parameters.first { $0.name == "wal_keep_size" }?.value
        if version >= 130_000 {
            // More megabytes than PostgreSQL takes; the product is not to overflow before PostgreSQL can refuse it.
            let count = min(max(segments.flatMap { ValueParsing.integer($0) } ?? 8, 0), Int64(Int32.max))
            let fromSegments = count * 16
            result.append(ParameterSetting(name: "wal_keep_size", value: size ?? "\(fromSegments)MB"))
        } else {
            let bytes = size.flatMap { ValueParsing.integer($0, unit: .bytes) } ?? 128 << 20
            result.append(
                ParameterSetting(name: "wal_keep_segments", value: segments ?? String((bytes / (1 << 20) + 8) / 16)))
        }
        return result
    }
}

/// One setting of PostgreSQL, or one parameter of a connection, as text.
public struct ParameterSetting: Sendable, Hashable {
    public let name: String
    public var value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
