public import ClusterModel
import Glibc
public import Logging
public import Posix
import Synchronization

/// The log of the process: producers put records into a bounded queue and never wait; one thread writes them.
public final class LogSystem: Sendable {
    private let state: Mutex<State>
    private let wakeUp = Condition()

    private struct State {
        var options: LogOptions
        var queue: [Item] = []
        /// Records in `queue`: only they are bounded.
        var queued = 0
        /// Since the last report of it.
        var lost = 0
        /// Since the start.
        var lostInAll = 0
    }

    private enum Item {
        case record(LogRecord)
        case configure(LogOptions, OutputBox)
        case flush(Condition)
    }

    /// Carries an output from the one who opened it to the thread.
    private final class OutputBox: Sendable {
        let output: Mutex<LogOutput?>
        init(_ output: consuming LogOutput) { self.output = Mutex(output) }
    }

    /// Opens the output and starts the thread.
    public init(_ options: LogOptions = LogOptions()) throws(SystemError) {
        state = Mutex(State(options: options))
        let output = OutputBox(try LogOutput(options))
        // localtime_r reads the zone only where somebody has asked for it.
        tzset()
        let (owner, wakeUp) = (Unowned(self), wakeUp)
        try NamedThread.start("log") { LogSystem.run(owner, wakeUp, options, output) }
    }

    deinit { wakeUp.signal() }

    /// A handler for swift-log's bootstrap.
    public func handler(label: String) -> any LogHandler { QueueingHandler(label: label, system: self) }

    /// Applies new options: levels at once, the rest to records from here on; whether they are others than before. On
    /// an error everything stays as it was.
    @discardableResult
    public func configure(_ options: LogOptions) throws(SystemError) -> Bool {
        if state.withLock({ $0.options == options }) { return false }
        let output = OutputBox(try LogOutput(options))
        state.withLock { state in
            state.options = options
            state.queue.append(.configure(options, output))
        }
        wakeUp.signal()
        return true
    }

    /// Records that wait, and records that were lost since the start; for `/patroni`.
    public var statistics: (queued: Int, lost: Int) { state.withLock { ($0.queued, $0.lostInAll) } }

    /// Waits until everything that was logged before is written; false when `deadline` passed. Blocking.
    public func flush(until deadline: BootInstant) -> Bool {
        let done = Condition()
        state.withLock { $0.queue.append(.flush(done)) }
        wakeUp.signal()
        return done.wait(until: deadline)
    }

    func level(for label: String) -> Logger.Level { state.withLock { $0.options.level(for: label) } }

    func enqueue(_ record: LogRecord) {
        let isQueued = state.withLock { state in
            guard state.queued < state.options.maxQueueSize else {
                state.lost += 1
                state.lostInAll += 1
                return false
            }
            state.queue.append(.record(record))
            state.queued += 1
            return true
        }
        if isQueued { wakeUp.signal() }
    }

    // MARK: The thread

    /// Held weakly while the thread waits, so that a log without users ends its thread.
    private final class Unowned: @unchecked Sendable {
        // Sendable by hand: set once before the thread starts; loads of a weak reference are atomic.
        weak var system: LogSystem?
        init(_ system: LogSystem) { self.system = system }
    }

    private static func run(_ owner: Unowned, _ wakeUp: Condition, _ options: LogOptions, _ box: OutputBox) {
        guard let output = box.output.withLock({ $0.take() }) else { return }
        var writer = LogWriter(options, output)
        while true {
            wakeUp.wait()
            guard let (items, lost) = owner.system?.takeQueue() else { return }
            if lost > 0 { writer.write(LogRecord.lost(lost)) }
            for item in items { perform(item, &writer, owner) }
        }
    }

    private static func perform(_ item: Item, _ writer: inout LogWriter, _ owner: Unowned) {
        switch item {
        case .record(let record):
            writer.write(record)
            owner.system?.state.withLock { $0.queued -= 1 }
        case .configure(let options, let box):
            if let output = box.output.withLock({ $0.take() }) { writer.configure(options, output) }
        case .flush(let done):
            writer.release()
            done.signal()
        }
    }

    private func takeQueue() -> (items: [Item], lost: Int) {
        state.withLock { state in
            defer {
                state.queue = []
                state.lost = 0
            }
            return (state.queue, state.lost)
        }
    }
}

extension LogRecord {
    fileprivate static func lost(_ count: Int) -> LogRecord {
        LogRecord(
            level: .warning, label: "log", message: "QueueHandler has lost \(count) log records",
            time: WallClock.nanosecondsSinceEpoch())
    }
}

/// What the thread owns: the layout, the filter and the output.
private struct LogWriter: ~Copyable {
    private var format: LineFormat
    private var output: LogOutput
    private var filter = HeartbeatFilter()
    private var filters: Bool
    private var deduplicates: Bool

    init(_ options: LogOptions, _ output: consuming LogOutput) {
        format = LineFormat(options)
        self.output = output
        filters = options.level == .info
        deduplicates = options.deduplicatesHeartbeats
    }

    mutating func configure(_ options: LogOptions, _ output: consuming LogOutput) {
        release()
        format = LineFormat(options)
        self.output = output
        filters = options.level == .info
        deduplicates = options.deduplicatesHeartbeats
    }

    mutating func write(_ record: LogRecord) {
        for record in filter.pass(record, isActive: filters, deduplicates: deduplicates) {
            // There is nobody to tell of a line that cannot be written.
            _ = output.write(format.line(record))
        }
    }

    mutating func release() {
        for record in filter.release() { _ = output.write(format.line(record)) }
    }
}
