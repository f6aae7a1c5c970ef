import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Synchronization
import Testing

@testable import PostgreSQL

/// What is told of a server of which a part cannot be read (postgresql.md §10).
@Suite(
    "Observing what is damaged or locked", .serialized, .enabled(if: TestServer.binDirectory != nil),
    .timeLimit(.minutes(3)))
struct ObservationServerTests {
    @Test("Locks on the catalogues hide neither the role nor the position")
    func lockedCatalogues() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let (controller, log) = try Self.daemon(server.configuration)
            let seen = await Self.look(controller)
            let before = try #require(seen.facts)
            #expect(!before.isDetailStale)
            #expect(seen.installedVersion == before.serverVersion, "it runs what is installed")
            let other = try await HeldSession(server.configuration)
            try await other.run("BEGIN")
            try await other.run("LOCK pg_authid, pg_database IN ACCESS EXCLUSIVE MODE")
            try await other.run("SELECT pg_create_physical_replication_slot('later')")
            var last = before.writePosition
            for _ in 0..<20 {
                // Flushed: who reads the position reads what has reached the disk.
                try await other.run("SELECT pg_logical_emit_message(false, 'a', 'b'), pg_switch_wal()")
                let facts = try #require(await Self.look(controller).facts)
                #expect(!facts.inRecovery && facts.timeline == 1)
                #expect(facts.writePosition > last)
                #expect(facts.isDetailStale && facts.slots.isEmpty)
                last = facts.writePosition
            }
            #expect(log.lines.count { $0.contains("slots and the senders") } == 1, "\(log.lines)")
            try await other.run("COMMIT")
            let after = await Self.wait(controller) { $0.facts?.isDetailStale == false }
            #expect(after.facts?.slots.map(\.name) == ["later"])
        }
    }

    @Test("A limit for idle sessions, be it a millisecond, shuts none of ours out")
    func idleSessions() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { $0.parameters["idle_session_timeout"] = "1ms" }
            _ = try await server.bootstrap()
            let (controller, log) = try Self.daemon(server.configuration)
            for _ in 0..<20 { #expect(await Self.look(controller).facts != nil) }
            #expect(log.lines.filter { $0.contains("cannot observe") } == [])
        }
    }

    @Test("A control file that is cut off hides neither the role nor the position")
    func truncatedControlFile() async throws {
        try await withServers { root in
            let (primary, standby) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await primary.bootstrap()
            try await standby.join(primary)
            _ = await standby.wait { $0.facts?.receiver?.isStreaming == true }
            for (server, inRecovery) in [(primary, false), (standby, true)] {
                let (controller, log) = try Self.daemon(server.configuration)
                _ = await Self.look(controller)
                let file = server.configuration.dataDirectory + "/global/pg_control"
                let bytes = try Files.read(file)
                #expect(truncate(file, 0) == 0)
                for _ in 0..<10 {
                    let status = await Self.look(controller)
                    #expect(status.readiness == .accepting && status.state == .running)
                    #expect(status.facts?.inRecovery == inRecovery)
                    #expect(status.facts?.timeline == 1)
                    #expect(status.facts?.position ?? .zero > .zero)
                    #expect(status.facts?.isDetailStale == false)
                }
                #expect(log.lines.count { $0.contains("cannot") } <= 1, "\(log.lines)")
                try Self.overwrite(file, bytes)
            }
        }
    }

    @Test("A primary that has written no checkpoint since its promotion says so to whoever comes, until it has")
    func owedCheckpoint() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            let found = try await second.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
            let checkpointer = try #require(found.first?.first?.flatMap { Int32($0) })
            // PostgreSQL asks for a checkpoint itself, and nobody knows when it comes.
            kill(checkpointer, SIGSTOP)
            #expect(try await second.controller.perform(.promote) == .done)
            let next = try TestServer.controller(second.configuration)
            let status = await next.observe(deadline: BootClock.now() + .seconds(5))
            #expect(status.facts?.timeline == 2 && status.facts?.owesCheckpoint == true)
            kill(checkpointer, SIGCONT)
            try await next.checkpoint(timeout: .seconds(20))
            for _ in 1...2 {
                let after = await next.observe(deadline: BootClock.now() + .seconds(5))
                #expect(after.facts?.timeline == 2 && after.facts?.owesCheckpoint == false)
            }
        }
    }

    @Test("A wrong password is told once, and its end")
    func wrongPassword() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            var wrong = server.configuration
            wrong.superuser = .init(["username": "postgres", "password": "other"])
            let (controller, log) = try Self.daemon(wrong)
            for _ in 0..<50 { #expect(await Self.look(controller).facts == nil) }
            #expect(log.lines.count { $0.contains("cannot observe") } == 1, "\(log.lines)")
            try await server.sql("ALTER ROLE postgres PASSWORD 'other'")
            let status = await Self.wait(controller) { $0.facts != nil }
            #expect(status.isPrimary)
            #expect(log.lines.count { $0.contains("observed again") } == 1, "\(log.lines)")
        }
    }

    private static func daemon(_ configuration: LocalPostgreSQLConfiguration) throws -> (LocalPostgreSQL, LogLines) {
        let log = LogLines()
        let controller = try LocalPostgreSQL(
            configuration: configuration, launcher: QuietLauncher(), helper: ToolRunner.testHelper,
            commandPrefix: TestServer.commandPrefix,
            logger: Logger(label: "test") { _ in LineRecorder(lines: log) }
        ) { _ in configuration }
        return (controller, log)
    }

    private static func look(_ controller: LocalPostgreSQL) async -> PostgreSQLStatus {
        await controller.observe(deadline: BootClock.now() + .seconds(5))
    }

    private static func wait(
        _ controller: LocalPostgreSQL, until condition: (PostgreSQLStatus) -> Bool
    ) async -> PostgreSQLStatus {
        let deadline = BootClock.now() + .seconds(20)
        while true {
            let status = await look(controller)
            if condition(status) || BootClock.now() > deadline { return status }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// In place: the server keeps the file open under its name and owner.
    private static func overwrite(_ file: String, _ bytes: [UInt8]) throws {
        let descriptor = open(file, O_WRONLY)
        guard descriptor >= 0 else { throw SystemError(call: "open") }
        defer { close(descriptor) }
        guard write(descriptor, bytes, bytes.count) == bytes.count else { throw SystemError(call: "write") }
    }
}

/// A session that stays open between its statements, on a thread that may block.
private actor HeldSession {
    private let configuration: LocalPostgreSQLConfiguration
    private let executor: ThreadExecutor
    private var connection: PostgreSQLConnection?
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ configuration: LocalPostgreSQLConfiguration) async throws {
        self.configuration = configuration
        executor = try ThreadExecutor(name: "test-held")
    }

    func run(_ statement: String) throws {
        let deadline = BootClock.now() + .seconds(20)
        let open =
            try connection
            ?? PostgreSQLConnection.connect(
                to: ConnectionTarget(parameters: [
                    "host": "127.0.0.1", "port": String(configuration.port), "user": "postgres",
                    "password": configuration.superuser.password ?? "", "dbname": "postgres",
                ]), deadline: deadline)
        connection = open
        try open.query(statement, deadline: deadline)
    }
}

/// What was logged.
final class LogLines: Sendable {
    private let state = Mutex<[String]>([])
    var lines: [String] { state.withLock { $0 } }
    func add(_ line: String) { state.withLock { $0.append(line) } }
}

struct LineRecorder: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.add("\(event.level): \(event.message)") }
}
