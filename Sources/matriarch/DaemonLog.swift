import ClusterAccess
import ClusterModel
import Configuration
import Logging
import Logs
import Posix

/// The log as configured: the one place that knows both the settings and the log system.
struct DaemonLog {
    private let system: LogSystem

    /// Makes it the process's log; throws where its file cannot be opened.
    init(_ settings: LogSettings) throws(SystemError) {
        let system = try LogSystem(DaemonLog.options(settings))
        self.system = system
        LoggingSystem.bootstrap { system.handler(label: $0) }
    }

    /// What SIGHUP does; whether anything was to be changed. Throws where a file cannot be opened: then nothing
    /// changes.
    func configure(_ settings: LogSettings) throws(SystemError) -> Bool {
        try system.configure(DaemonLog.options(settings))
    }

    /// How it keeps up, for `/patroni`.
    var statistics: (waiting: Int, lost: Int) {
        let statistics = system.statistics
        return (statistics.queued, statistics.lost)
    }

    /// Waits for what is queued, a little; the queue is written by a thread of its own.
    func flush() async {
        let system = system
        _ = try? await offPool { system.flush(until: BootClock.now() + .seconds(2)) }
    }

    /// What its lines would lack, in words.
    static func remarks(_ settings: LogSettings) -> [String] { options(settings).remarks }

    private static func options(_ settings: LogSettings) -> LogOptions {
        var options = LogOptions()
        switch settings.layout {
        case .plain(let format): options.layout = .plain(format)
        case .json(let fields):
            options.layout = .json(fields.map { LogOptions.Field(name: $0.name, key: $0.value) })
        }
        options.dateFormat = settings.dateFormat
        options.staticFields = settings.staticFields.map { LogOptions.Field(name: $0.name, key: $0.value) }
        options.level = LogOptions.level(settings.level) ?? .info
        for logger in settings.loggers { options.loggers[logger.name] = LogOptions.level(logger.value) }
        options.maxQueueSize = settings.maxQueueSize
        options.directory = settings.directory
        options.fileSize = settings.fileSize
        options.fileCount = settings.fileCount
        options.fileMode = settings.fileMode
        options.deduplicatesHeartbeats = settings.deduplicatesHeartbeats
        return options
    }
}
