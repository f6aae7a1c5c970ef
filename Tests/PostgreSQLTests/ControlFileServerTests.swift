import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// What is said of a directory whose control file or `backup_label` is not as PostgreSQL left it, on real servers.
@Suite(
    "Files that operators touch", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(5))
)
struct ControlFileServerTests {
    /// In place: the file stays whose it is.
    private func write(_ bytes: [UInt8], _ path: String) throws {
        try FileDescriptor.open(path, O_WRONLY | O_TRUNC).write(bytes)
    }

    @Test("A control file that is missing, cut off, damaged or closed is told; put back, the server starts")
    func controlFile() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(60)))
            let file = server.configuration.dataDirectory + "/global/pg_control"
            let whole = try Files.read(file)
            func trouble() async throws -> PostgreSQLStatus.ControlTrouble? {
                let status = await server.observe(within: .seconds(30))
                #expect(status.dataDirectory == .initialized)
                #expect((status.control == nil) == (status.controlTrouble != nil))
                #expect((status.systemIdentifier == nil) == (status.controlTrouble != nil))
                return status.controlTrouble
            }
            #expect(try await trouble() == nil)
            #expect(rename(file, file + ".away") == 0)
            #expect(try await trouble() == .missing(file))
            #expect(rename(file + ".away", file) == 0)
            try write(Array(whole.prefix(100)), file)
            #expect(try await trouble() == .damaged("\(file): it has 100 bytes"))
            // One of the bytes that every version has.
            var bent = whole
            bent[50] ^= 0xff
            try write(bent, file)
            #expect(try await trouble() == .damaged("\(file): its checksum is wrong"))
            try write(whole, file)
            #expect(try await trouble() == nil)
            chmod(file, 0)
            // What is known of an unchanged file is known; a daemon that begins knows nothing.
            let next = try TestServer.controller(server.configuration)
            guard
                case .unreadable(let why)? = await next.observe(deadline: BootClock.now() + .seconds(30)).controlTrouble
            else {
                Issue.record("a file that nobody may read is read")
                return
            }
            #expect(why.contains("Permission denied"))
            chmod(file, 0o600)
            #expect(await next.observe(deadline: BootClock.now() + .seconds(30)).controlTrouble == nil)
            #expect(try await server.startPrimary() == .done)
        }
    }

    @Test("A program that is not there says nothing of the file")
    func notAsked() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(60)))
            var configuration = server.configuration
            configuration.binaryNames["pg_controldata"] = "no_such_program"
            let next = try TestServer.controller(configuration)
            guard case .notAsked? = await next.observe(deadline: BootClock.now() + .seconds(30)).controlTrouble else {
                Issue.record("it was asked")
                return
            }
        }
    }

    /// `start` and `checkpoint` are positions of the WAL, `file` is the segment of the first.
    private func label(_ start: String, _ file: String, _ checkpoint: String, in data: String) throws {
        let text = """
            START WAL LOCATION: \(start) (file \(file))
            CHECKPOINT LOCATION: \(checkpoint)
            BACKUP METHOD: streamed
            BACKUP FROM: primary
            START TIME: 2026-11-26 00:00:00 UTC
            LABEL: x
            START TIMELINE: 1

            """
        try Files.replace(data + "/backup_label", with: text.utf8, mode: 0o644)
        DataDirectory(path: data).giveToOwner(of: data + "/backup_label")
    }

    private func pair(_ root: String) async throws -> (TestServer, TestServer) {
        let first = try TestServer("n1", in: root)
        let second = try TestServer("n2", in: root)
        _ = try await first.bootstrap()
        try await second.join(first)
        _ = await second.wait(within: .seconds(60)) { $0.facts?.receiver?.isStreaming == true }
        return (first, second)
    }

    @Test("A label that is removed under a server that waits by it is known to be waited by; a new start goes on")
    func removedLabel() async throws {
        try await withServers { root in
            let (first, second) = try await pair(root)
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(60)))
            let data = second.configuration.dataDirectory
            try label("0/F0000028", "0000000100000000000000F0", "0/F0000060", in: data)
            let start = PostgreSQLOperation.startStandby(of: first.upstream, timeout: .seconds(2))
            #expect(try await second.controller.perform(start) == .stillStarting)
            let stale = PostgreSQLStatus.Obstacle.staleBackupLabel(file: "0000000100000000000000F0")
            #expect(await second.wait { $0.obstacle == stale }.obstacle == stale)
            #expect(unlink(data + "/backup_label") == 0)
            let removed = PostgreSQLStatus.Obstacle.removedBackupLabel(file: "0000000100000000000000F0")
            #expect(await second.wait { $0.obstacle == removed }.obstacle == removed)
            #expect(await second.observe().readiness == .rejecting)
            _ = try await second.controller.perform(.stop(.immediate, timeout: .seconds(60)))
            #expect(await second.observe().obstacle == nil)
            #expect(try await second.startStandby(of: first.upstream) == .done)
        }
    }

    @Test("A label that was left in, whose backup never ended, is told once nothing more comes")
    func leftLabel() async throws {
        try await withServers { root in
            let (first, second) = try await pair(root)
            try await first.sql("CREATE TABLE t AS SELECT 1 AS a")
            try await first.sql("CHECKPOINT")
            try await first.sql("CREATE TABLE u AS SELECT 1 AS a")
            let end = await first.observe().facts?.writePosition ?? .zero
            _ = await second.wait(within: .seconds(60)) { $0.facts?.replayedPosition ?? .zero >= end }
            try await second.sql("CHECKPOINT")
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(60)))
            let control = try #require(await second.observe().control)
            let data = second.configuration.dataDirectory
            let fields = try await Self.fields(second)
            let (start, file) = (
                fields["Latest checkpoint's REDO location"], fields["Latest checkpoint's REDO WAL file"]
            )
            try label(try #require(start), try #require(file), "\(control.checkpoint)", in: data)
            let begin = PostgreSQLOperation.startStandby(of: first.upstream, timeout: .seconds(2))
            #expect(try await second.controller.perform(begin) == .stillStarting)
            let wanted = PostgreSQLStatus.Obstacle.backupNotEnded(
                start: try #require(start.flatMap { WALPosition($0) }))
            #expect(await second.wait(within: .seconds(100)) { $0.obstacle == wanted }.obstacle == wanted)
            _ = try await second.controller.perform(.stop(.immediate, timeout: .seconds(60)))
        }
    }

    private static func fields(_ server: TestServer) async throws -> [String: String] {
        let runner = ToolRunner(helper: ToolRunner.testHelper, prefix: TestServer.commandPrefix)
        let text = try await runner.succeed(
            .init(
                program: (TestServer.binDirectory ?? "") + "/pg_controldata",
                arguments: [server.configuration.dataDirectory], environment: Instance.plainLocale,
                deadline: BootClock.now() + .seconds(60)))
        return ControlDataOutput(text).fields
    }
}
