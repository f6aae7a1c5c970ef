import Glibc
import Logging

/// One message on its way to the file.
struct LogRecord: Sendable {
    var level: Logger.Level
    /// The logger's name.
    var label: String
    var message: String
    /// Nanoseconds since the epoch.
    var time: Int64
    var file = ""
    var function = ""
    var line = 0
    /// Extra facts in the order of their names.
    var metadata: [(key: String, value: String)] = []

    /// The value of a field by its Python name; nil for a name that we do not know.
    func value(_ field: String, dateFormat: String?) -> Value? {
        switch field {
        case "asctime": .text(LogTime.text(time, dateFormat))
        case "message", "msg": .text(message)
        case "levelname": .text(level.pythonName)
        case "levelno": .number(level.pythonNumber)
        case "name": .text(label)
        case "pathname", "filename": .text(file.split(separator: "/").last.map(String.init) ?? file)
        case "module": .text(String(file.split(separator: "/").last?.prefix { $0 != "." } ?? ""))
        case "funcName": .text(function)
        case "lineno": .number(line)
        case "process": .number(Int(getpid()))
        case "processName": .text("MainProcess")
        case "thread": .number(0)
        case "threadName": .text("MainThread")
        case "created": .real(Double(time) / 1e9)
        case "msecs": .number(Int(time / 1_000_000 % 1000))
        case "relativeCreated": .number(0)
        default: nil
        }
    }

    enum Value {
        case text(String)
        case number(Int)
        case real(Double)

        var text: String {
            switch self {
            case .text(let text): text
            case .number(let number): String(number)
            case .real(let number): "\(number)"
            }
        }
    }
}

/// Local time as text.
enum LogTime {
    static func text(_ nanoseconds: Int64, _ format: String?) -> String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        let text = formatted(&parts, format ?? "%Y-%m-%d %H:%M:%S")
        guard format == nil else { return text }
        let milliseconds = String(nanoseconds / 1_000_000 % 1000)
        return text + "," + String(repeating: "0", count: 3 - milliseconds.count) + milliseconds
    }

    private static func formatted(_ parts: inout tm, _ format: String) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let base = buffer.baseAddress, strftime(base, buffer.count, format, &parts) > 0 else { return "" }
            return String(cString: base)
        }
    }
}
