import Logging
import Testing

@testable import Logs

@Suite struct LineFormatTests {
    private func record(_ level: Logger.Level = .info, _ message: String = "hello") -> LogRecord {
        // A quarter of a second past a whole one: the zone does not matter to the part that is compared.
        LogRecord(
            level: level, label: "node", message: message, time: 1_700_000_000_250_000_000, file: "A/B.swift",
            function: "f()", line: 7)
    }

    private func options(_ format: String) -> LogOptions {
        var options = LogOptions()
        options.layout = .plain(format)
        return options
    }

    @Test(arguments: [
        (Logger.Level.trace, "DEBUG"), (.debug, "DEBUG"), (.info, "INFO"), (.notice, "INFO"), (.warning, "WARNING"),
        (.error, "ERROR"), (.critical, "CRITICAL"),
    ])
    func levelStandsAtColumn24(level: Logger.Level, name: String) {
        let line = LineFormat(LogOptions()).line(record(level))
        #expect(line.dropFirst(24) == "\(name): hello\n")
        #expect(line.prefix(24).suffix(5) == ",250 ")
        let shape = line.prefix(23).map { $0.isNumber ? "9" : String($0) }.joined()
        #expect(shape == "9999-99-99 99:99:99,999")
    }

    @Test(arguments: [
        ("%(message)s", "hello\n"), ("[%(levelname)-8s] %(message)s", "[INFO    ] hello\n"),
        ("%(levelname)8s|%(name)s", "    INFO|node\n"), ("100%% %(message)s", "100% hello\n"),
        ("%(filename)s:%(lineno)d %(funcName)s %(module)s", "B.swift:7 f() B\n"),
        ("%(levelno)s %(msecs)03d", "20 250\n"), ("%(lineno)04d %(lineno)4d %(name)06s", "0007    7   node\n"),
        ("%(created).3f %(created)d %(msecs)f", "1700000000.250 1700000000 250.000000\n"),
        ("%(levelname).3s %(levelname)-6.1s|", "INF I     |\n"),
        ("%(unknown)s.%(message)s", ".hello\n"), ("%(broken %s", "%(broken %s\n"), ("%(message)", "%(message)\n"),
    ])
    func placeholders(format: String, line: String) {
        #expect(LineFormat(options(format)).line(record()) == line)
    }

    @Test(arguments: [
        ("%(asctime)s %(levelname)s: %(message)s", []), ("%(msg)s %(lineno)d", []),
        ("%(nosuch)s %(message)s", ["no record has a field nosuch"]),
        ("%(message", ["without message no line says what happened"]),
    ])
    func whatLinesLack(format: String, remarks: [String]) {
        #expect(options(format).remarks == remarks)
        var json = LogOptions()
        json.layout = .json([.init(name: "message", key: "m"), .init(name: "nosuch", key: "n")])
        #expect(json.remarks == ["no record has a field nosuch"])
    }

    @Test func dateFormat() {
        var options = options("%(asctime)s")
        options.dateFormat = "%Y"
        #expect(LineFormat(options).line(record()) == "2023\n")
    }

    @Test func metadataFollowsTheMessage() {
        var record = record()
        record.metadata = [("a", "1"), ("b", "x")]
        #expect(LineFormat(options("%(message)s")).line(record) == "hello a=1 b=x\n")
    }

    @Test func json() {
        var options = LogOptions()
        options.layout = .json([
            LogOptions.Field(name: "levelname", key: "level"), LogOptions.Field(name: "message", key: "message"),
            LogOptions.Field(name: "levelno", key: "n"), LogOptions.Field(name: "nothing", key: "x"),
        ])
        options.staticFields = [LogOptions.Field(name: "patroni", key: "app")]
        var record = record(.error, "a \"b\"\n\u{1}é")
        record.metadata = [("m", "1")]
        let expected =
            "{\"level\": \"ERROR\", \"message\": \"a \\\"b\\\"\\n\\u0001é\", \"n\": 40, \"x\": null, "
            + "\"m\": \"1\", \"app\": \"patroni\"}\n"
        #expect(LineFormat(options).line(record) == expected)
    }

    @Test func levelsByName() {
        #expect(LogOptions.level("debug") == .trace)
        #expect(LogOptions.level("WARN") == .warning)
        #expect(LogOptions.level("FATAL") == .critical)
        #expect(LogOptions.level("loud") == nil)
        var options = LogOptions()
        options.loggers = ["etcd": .error, "etcd.watch": .trace]
        #expect(options.level(for: "etcd") == .error)
        #expect(options.level(for: "etcd.lease") == .error)
        #expect(options.level(for: "etcd.watch.inner") == .trace)
        #expect(options.level(for: "etcdx") == .info)
    }
}

@Suite struct HeartbeatFilterTests {
    private func run(_ messages: [String], isActive: Bool = true, deduplicates: Bool = false) -> [String] {
        var filter = HeartbeatFilter()
        let passed = messages.flatMap { message in
            filter.pass(
                LogRecord(level: .info, label: "", message: message, time: 0), isActive: isActive,
                deduplicates: deduplicates)
        }
        return (passed + filter.release()).map(\.message)
    }

    private static let owner = "Lock owner: n1; I am n1"
    private static let quiet = "no action. I am (n1), the leader with the lock"

    @Test(arguments: [
        ([owner, quiet, owner, quiet], [quiet, quiet]),
        ([owner, "promoted", owner, quiet], [owner, "promoted", quiet]),
        ([owner, owner, "PAUSE: no action. x"], [owner, "PAUSE: no action. x"]), ([owner], [owner]),
        (["a", "b"], ["a", "b"]),
    ])
    func ownersAreHeldBack(given: [String], expected: [String]) {
        #expect(run(given) == expected)
        #expect(run(given, isActive: false) == given)
    }

    @Test func sameHeartbeatsOnceOnDemand() {
        let given = [Self.owner, Self.quiet, Self.owner, Self.quiet, Self.owner, "x", Self.owner, Self.quiet]
        #expect(run(given, deduplicates: true) == [Self.quiet, Self.owner, "x", Self.quiet])
    }
}
