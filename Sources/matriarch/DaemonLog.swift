import Configuration
import Logging

/// The log as configured.
struct DaemonLog {
    init(_ settings: LogSettings) {
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = settings.level == "DEBUG" ? .debug : .info
            return handler
        }
    }

    func flush() async {}
}
