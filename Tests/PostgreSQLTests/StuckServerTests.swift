import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// Servers that do not come right by themselves: what keeps them is known by facts, not by the text of a log.
@Suite(
    "Servers that are stuck", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3))
)
struct StuckServerTests {
    @Test("A standby whose source has removed the WAL that comes next is told so")
    func removedWAL() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root) { $0.parameters["wal_keep_size"] = "0" }
            let second = try TestServer("n2", in: root)
            _ = try await first.bootstrap()
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            let whole = try await compare(second, first)
            #expect(whole.lacking == nil)
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            try await first.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
            for _ in 0..<4 { try await first.sql("CREATE TABLE t(a int)", "SELECT pg_switch_wal()", "DROP TABLE t") }
            try await first.sql("CHECKPOINT")
            _ = try await second.startStandby(of: first.upstream)
            // A receiver streams for a moment, until it is told what it asks for.
            let status = await second.wait { $0.facts.map { $0.receiver?.isStreaming != true } ?? false }
            #expect(status.facts != nil && status.facts?.receiver?.isStreaming != true)
            let found = try await compare(second, first)
            guard case .segment(let file)? = found.lacking else {
                Issue.record("\(found)")
                return
            }
            #expect(!Files.exists("\(first.configuration.dataDirectory)/pg_wal/\(file)"))
            #expect(found.localInRecovery)
        }
    }

    @Test("A start that fails for a backup_label, for lost WAL or for what others may do says so; mended, it comes up")
    func failedStarts() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            let second = try TestServer("n2", in: root)
            _ = try await first.bootstrap()
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            let data = second.configuration.dataDirectory
            #expect(await second.observe().obstacle == nil, "what is whole is in nobody's way")

            let label = """
                START WAL LOCATION: 0/F0000028 (file 0000000100000000000000F0)
                CHECKPOINT LOCATION: 0/F0000060
                BACKUP METHOD: streamed
                BACKUP FROM: primary
                START TIME: 2026-11-26 00:00:00 UTC
                LABEL: x
                START TIMELINE: 1

                """
            try Files.replace(data + "/backup_label", with: label.utf8, mode: 0o644)
            try await waits(second, first.upstream, .staleBackupLabel(file: "0000000100000000000000F0"))
            unlink(data + "/backup_label")

            chmod(data, 0o777)
            let mode = PostgreSQLStatus.Obstacle.permissions("\(data) has mode 0777, which lets others in")
            await #expect(throws: PostgreSQLError.self) { try await second.startStandby(of: first.upstream) }
            #expect(await second.observe().obstacle == mode)
            chmod(data, 0o700)

            try Files.makeDirectory(root + "/kept")
            let segments = try Files.list(data + "/pg_wal").filter { $0.utf8.count == 24 }
            for name in segments { rename("\(data)/pg_wal/\(name)", "\(root)/kept/\(name)") }
            guard case .checkpointWithoutWAL(let file)? = await second.observe().obstacle else {
                Issue.record("\(await second.observe())")
                return
            }
            #expect(segments.contains(file))
            try await waits(second, nil, .checkpointWithoutWAL(file: file))
            for name in segments { rename("\(root)/kept/\(name)", "\(data)/pg_wal/\(name)") }
            #expect(await second.observe().obstacle == nil)
            #expect(try await second.startStandby(of: first.upstream) == .done)
        }
    }

    /// A server of which some addresses are held by another one is reached by one that is its own.
    @Test("A stranger that listens on some of our addresses is not asked in our place")
    func someAddresses() async throws {
        try await withServers { root in
            let former = try TestServer("n1", in: root)
            _ = try await former.bootstrap()
            let port = former.configuration.port
            let ours = try TestServer("n2", in: root) { configuration in
                configuration.port = port
                configuration.listenAddresses = "127.0.0.1,127.0.0.2"
                configuration.parameters["port"] = String(port)
                configuration.parameters["listen_addresses"] = "127.0.0.1,127.0.0.2"
                configuration.parameters["unix_socket_directories"] = root + "/sockets"
                configuration.connectAddress = HostPort(host: "127.0.0.2", port: port)
            }
            try Files.makeDirectory(root + "/sockets", mode: 0o777)
            chmod(root + "/sockets", 0o777)
            #expect(try await ours.bootstrap() == .done)
            let status = await ours.wait { $0.isPrimary }
            #expect(status.isPrimary)
            #expect(status.unobservable == nil)
            #expect(status.postmaster != (await former.observe()).postmaster)
        }
    }

    @Test("A server that refuses the daemon is known to run, with its own word for why")
    func refusesUs() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            #expect(await server.observe().unobservable == nil)
            var configuration = server.configuration
            configuration.superuser = .init(["username": "postgres", "password": "another"])
            let late = try TestServer.controller(configuration)
            let status = await late.observe(deadline: BootClock.now() + .seconds(5))
            #expect(status.postmaster != nil)
            #expect(status.facts == nil)
            #expect(status.unobservable?.contains("28P01") == true)
            // Between two questions the answer stands.
            #expect(await late.observe(deadline: BootClock.now() + .seconds(5)).unobservable == status.unobservable)
        }
    }

    @Test("A standby that was started for nobody, and lacks WAL, is not waited for; it goes on once it is told of one")
    func laterUpstream() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            let second = try TestServer("n2", in: root)
            _ = try await first.bootstrap()
            try await second.join(first)
            for table in ["a", "b"] { try await first.sql("CREATE TABLE \(table) (x int)", "SELECT pg_switch_wal()") }
            let end = try #require(await first.observe().facts?.writePosition)
            _ = await second.wait(within: .seconds(60)) { $0.facts?.replayedPosition ?? .zero >= end }
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(60)))
            // It has written pages as of a position that its own WAL does not reach any more.
            let redo = try await segmentOfRedo(second)
            let wal = second.configuration.dataDirectory + "/pg_wal"
            for name in try Files.list(wal) where name.utf8.count == 24 && name > redo { unlink("\(wal)/\(name)") }

            let began = BootClock.now()
            let start = PostgreSQLOperation.startStandby(of: nil, timeout: .seconds(100))
            #expect(try await second.controller.perform(start) == .stillStarting)
            #expect(BootClock.now() - began < .seconds(60))
            let pid = await second.observe().postmaster
            #expect(pid != nil)
            #expect(try await second.controller.perform(.follow(first.upstream)) == .done)
            let status = await second.wait(within: .seconds(60)) { $0.facts?.receiver?.isStreaming == true }
            #expect(status.facts?.receiver?.isStreaming == true)
            #expect(status.postmaster == pid, "it is not started again for that")
        }
    }

    // MARK: -

    private func segmentOfRedo(_ server: TestServer) async throws -> String {
        let runner = ToolRunner(helper: ToolRunner.testHelper, prefix: TestServer.commandPrefix)
        let text = try await runner.succeed(
            .init(
                program: (TestServer.binDirectory ?? "") + "/pg_controldata",
                arguments: [server.configuration.dataDirectory], environment: Instance.plainLocale,
                deadline: BootClock.now() + .seconds(60)))
        return try #require(ControlDataOutput(text).fields["Latest checkpoint's REDO WAL file"])
    }

    private func compare(_ standby: TestServer, _ source: TestServer) async throws -> DivergenceFacts {
        try await standby.controller.compareTimelines(
            with: source.upstream, deadline: BootClock.now() + .seconds(10))
    }

    /// Recovery waits for WAL for ever; what for is known while it does, and when it was ended.
    private func waits(_ server: TestServer, _ source: Upstream?, _ obstacle: PostgreSQLStatus.Obstacle) async throws {
        let start = PostgreSQLOperation.startStandby(of: source, timeout: .seconds(2))
        #expect(try await server.controller.perform(start) == .stillStarting)
        let status = await server.observe()
        #expect(status.readiness == .rejecting)
        #expect(status.obstacle == obstacle)
        _ = try await server.controller.perform(.stop(.immediate, timeout: .seconds(20)))
        #expect(await server.observe().obstacle == obstacle)
    }
}

extension TestServer {
    fileprivate func sql(_ statements: String...) async throws {
        for statement in statements { try await sql(statement) }
    }
}

/// What the names in `pg_wal` say.
@Suite struct WALNamesTests {
    private static let size: UInt64 = 16 << 20

    @Test func segments() {
        #expect(WALNames.segment(0, size: Self.size) == "0000000000000000")
        #expect(WALNames.segment(0x1_0300_0028, size: Self.size) == "0000000100000003")
        #expect(WALNames.segment(0x1_0300_0028, size: 1 << 30) == "0000000100000000")
        #expect(WALNames.segment(1, size: 0) == nil)
    }

    private func lacking(
        _ position: UInt64, _ names: Set<String>, end: UInt64 = 0x500_0100, from: TimelineID = 1, to: TimelineID = 1,
        own: Set<String> = []
    ) -> DivergenceFacts.Lacking? {
        SourceWAL(names: names, end: WALPosition(end), segmentSize: Self.size).lacking(
            after: WALPosition(position), from: from, to: to, own: own)
    }

    @Test func whatTheSourceLacks() {
        let wal: Set = ["000000010000000000000004", "000000010000000000000005", "000000010000000000000009"]
        #expect(lacking(0x300_0028, wal) == .segment("000000010000000000000003"))
        #expect(lacking(0x400_0028, wal) == nil)
        // Nothing of it is written yet: the file need not be there.
        #expect(lacking(0x600_0000, wal, end: 0x600_0000) == nil)
        // It may be the next timeline's, which begins with the same bytes.
        #expect(lacking(0x400_0028, ["000000020000000000000004", "00000002.history"], to: 2) == nil)
        #expect(lacking(0x400_0028, wal, to: 2) == .history("00000002.history"))
        #expect(lacking(0x400_0028, wal, to: 2, own: ["00000002.history"]) == nil)
        #expect(lacking(0x400_0028, wal, from: 4_294_967_295, to: 4_294_967_295) == .history("FFFFFFFF.history"))
    }

    @Test func labels() {
        let text = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nLABEL: (file x)\n"
        #expect(BackupLabel.firstFile(text) == "000000010000000000000002")
        #expect(BackupLabel.firstFile("START WAL LOCATION: 0/2000028 (file x") == nil)
        #expect(BackupLabel.firstFile("") == nil)
    }

    @Test func namesOutside() {
        let version: OutsideNames.Version = (15, 202_209_061)
        #expect(OutsideNames.isTablespace("PG_15_202209061", of: version))
        for name in ["PG_15_202208011", "PG_14_202107181", "PG_150_1", "PG_15_", "x"] {
            #expect(!OutsideNames.isTablespace(name, of: version), "\(name)")
        }
        #expect(OutsideNames.isTablespace("PG_15_202208011", of: (15, nil)))
        #expect(!OutsideNames.isTablespace("PG_15_x", of: (15, nil)))
        #expect(!OutsideNames.isTablespace("PG_0_1", of: (0, nil)))
        let ours = [
            "000000010000000000000002", "000000010000000000000002.partial", "00000002.history",
            "000000010000000000000002.00000028.backup", "archive_status", "summaries", "xlogtemp.12", "RECOVERYXLOG",
        ]
        #expect(ours.filter { !OutsideNames.isWAL($0) } == [])
        let others = [
            "", "letters", "0000000100000000000000020", "000000010000000000000002.gz", "lost+found", "00000002.backup",
            "000000010000000000000002.0000002.backup", "00000001000000000000000a",
        ]
        #expect(others.filter { OutsideNames.isWAL($0) } == [])
    }
}
