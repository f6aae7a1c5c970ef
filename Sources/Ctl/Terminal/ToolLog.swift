import ClusterModel
import Logging
import Posix

/// The log of the parts that the tool shares with the daemon: lines on standard error, of warnings and what is worse
/// unless a variable says otherwise (ctl.md §1.1).
public enum ToolLog {
    /// To be called once, before anything else.
    public static func start(_ environment: [String: String], _ terminal: any Terminal) {
        let level = level(environment)
        LoggingSystem.bootstrap { _ in ToolLogHandler(logLevel: level, terminal: terminal) }
    }

    /// The last that is set counts.
    static func level(_ environment: [String: String]) -> Logger.Level {
        let names = ["LOGLEVEL", "PATRONI_LOGLEVEL", "PATRONI_LOG_LEVEL"]
        switch names.compactMap({ environment[$0] }).last?.uppercased() {
        case "DEBUG", "NOTSET": return .debug
        case "INFO": return .info
        case "ERROR": return .error
        case "CRITICAL", "FATAL": return .critical
        case _: return .warning
        }
    }
}

private struct ToolLogHandler: LogHandler {
    var metadata = Logger.Metadata()
    var logLevel: Logger.Level
    let terminal: any Terminal

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let time = LocalTime.milliseconds(WallClock.nanosecondsSinceEpoch())
        terminal.complain("\(time) - \(event.level.rawValue.uppercased()) - \(event.message)\n")
    }
}
