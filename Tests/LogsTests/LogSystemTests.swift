import ClusterModel
import Glibc
import Logging
import Posix
import Synchronization
import TestSupport
import Testing

@testable import Logs

@Suite(.timeLimit(.minutes(1))) struct LogSystemTests {
    /// A log in a directory of its own; waiting for it happens on a thread of its own, because it blocks.
    private final class Bench: Sendable {
        let directory: String
        var path: String { "\(directory)/patroni.log" }

        init() throws {
            directory = try makeTemporaryDirectory("log")
        }

        deinit { try? Files.removeTree(directory) }

        func options(_ change: (inout LogOptions) -> Void = { _ in }) -> LogOptions {
            var options = LogOptions()
            options.directory = directory
            options.layout = .plain("%(levelname)s %(name)s %(message)s")
            change(&options)
            return options
        }

        func lines(_ path: String) -> [String] {
            let text = (try? Files.readText(path)) ?? ""
            return text.split(separator: "\n").map(String.init)
        }
    }

    private func flush(_ system: LogSystem, seconds: Int = 30) async -> Bool {
        await withCheckedContinuation { continuation in
            let deadline = BootClock.now() + .seconds(seconds)
            do {
                try NamedThread.start("flush") { continuation.resume(returning: system.flush(until: deadline)) }
            } catch {
                continuation.resume(returning: false)
            }
        }
    }

    private func logger(_ system: LogSystem, _ label: String = "test") -> Logger {
        Logger(label: label) { system.handler(label: $0) }
    }

    @Test func linesComeInOrderAndWhole() async throws {
        let bench = try Bench()
        let system = try LogSystem(bench.options())
        let logger = logger(system)
        for index in 0..<500 { logger.info("line \(index)", metadata: ["k": "\(index)"]) }
        #expect(await flush(system))
        #expect(bench.lines(bench.path) == (0..<500).map { "INFO test line \($0) k=\($0)" })
        #expect(system.statistics.queued == 0)
        #expect(system.statistics.lost == 0)
    }

    @Test func levelsFollowTheConfigurationAlsoWhenItChanges() async throws {
        let bench = try Bench()
        let system = try LogSystem(bench.options { $0.loggers = ["loud": .trace] })
        let (quiet, loud) = (logger(system), logger(system, "loud.er"))
        quiet.debug("1")
        loud.debug("2")
        try system.configure(bench.options { $0.level = .trace })
        quiet.debug("3")
        try system.configure(bench.options { $0.level = .error })
        quiet.warning("4")
        #expect(await flush(system))
        #expect(bench.lines(bench.path) == ["DEBUG loud.er 2", "DEBUG test 3"])
    }

    @Test func rotationKeepsSoManyOldFiles() async throws {
        let bench = try Bench()
        let system = try LogSystem(
            bench.options {
                $0.fileSize = 30
                $0.fileCount = 2
                $0.fileMode = 0o640
            })
        let logger = logger(system)
        for index in 0..<7 { logger.info("line \(index)") }
        #expect(await flush(system))
        #expect(try Files.list(bench.directory) == ["patroni.log", "patroni.log.1", "patroni.log.2"])
        #expect(bench.lines(bench.path) == ["INFO test line 6"])
        #expect(bench.lines(bench.path + ".1") == ["INFO test line 5"])
        #expect(Files.mode(bench.path) == 0o640)
        #expect(Files.mode(bench.path + ".2") == 0o640)
    }

    /// From the first byte to the last rotation, whatever the umask is meanwhile.
    @Test(arguments: [nil, 0o640, 0o604] as [UInt32?]) func theModeOfTheFileIsOne(_ operators: UInt32?) async throws {
        let bench = try Bench()
        let system = try LogSystem(
            bench.options {
                $0.fileSize = 30
                $0.fileCount = 1
            })
        #expect(Files.mode(bench.path) == 0o600)
        if let operators { chmod(bench.path, operators) }
        for index in 0..<3 { logger(system).info("line \(index)") }
        #expect(await flush(system))
        #expect(Files.mode(bench.path) == operators ?? 0o600)
        #expect(Files.mode(bench.path + ".1") == operators ?? 0o600)
    }

    @Test func anExistingFileIsContinued() async throws {
        let bench = try Bench()
        try Files.replace(bench.path, with: "before\n".utf8, mode: 0o600)
        let system = try LogSystem(bench.options())
        logger(system).info("after")
        #expect(await flush(system))
        #expect(bench.lines(bench.path) == ["before", "INFO test after"])
    }

    @Test func aDirectoryThatIsMissingIsAnError() throws {
        let bench = try Bench()
        #expect(throws: SystemError.self) { try LogSystem(bench.options { $0.directory = "/nowhere" }) }
        let system = try LogSystem(bench.options())
        #expect(throws: SystemError.self) { try system.configure(bench.options { $0.directory = "/nowhere" }) }
    }

    /// The reader of the pipe does not read: producers go on, what is too much is counted, and the count is reported.
    @Test func producersNeverWait() async throws {
        let bench = try Bench()
        #expect(mkfifo(bench.path, 0o600) == 0)
        let reader = try FileDescriptor.open(bench.path, O_RDONLY | O_NONBLOCK)
        let system = try LogSystem(bench.options { $0.maxQueueSize = 10 })
        let logger = logger(system)
        let long = String(repeating: "x", count: 8000)
        // The pipe takes 64 KiB, the queue ten records: the rest must be lost.
        for _ in 0..<200 { logger.info("\(long)") }
        #expect(!(await flush(system, seconds: 0)))
        let lost = system.statistics.lost
        #expect(lost > 0)
        #expect(system.statistics.queued <= 10)

        var text: [UInt8] = []
        let done = flushInBackground(system)
        while !done.isSet {
            if let bytes = try? reader.read(count: 65_536) { text += bytes } else { await Task.yield() }
        }
        while let bytes = try? reader.read(count: 65_536), !bytes.isEmpty { text += bytes }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        #expect(lines.contains { $0.hasPrefix("WARNING log QueueHandler has lost ") })
        #expect(lines.filter { $0.hasSuffix("x") }.count == 200 - lost)
    }

    private final class Flag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }

    private func flushInBackground(_ system: LogSystem) -> Flag {
        let flag = Flag()
        let deadline = BootClock.now() + .seconds(30)
        try? NamedThread.start("flush") {
            _ = system.flush(until: deadline)
            flag.set()
        }
        return flag
    }
}
