import ClusterModel
import Glibc
import Ports
import Posix
import TestSupport
import Testing

@testable import PostgreSQL

/// What becomes of data directories, their tablespaces and their WAL when something is broken off, on real servers.
@Suite("Data directories that are made, removed and rewound", .serialized, .enabled(if: TestServer.binDirectory != nil))
struct DataDirectoryServerTests {
    /// A shell script that stands for one of PostgreSQL's programs.
    private func script(_ name: String, in root: String, _ body: String) throws -> String {
        let path = "\(root)/\(name).sh"
        try makeProgram(path, "#!/bin/sh\n\(body)\n".utf8)
        return String(repeating: "../", count: 12) + path.dropFirst()
    }

    private func directory(_ path: String) throws -> String {
        try Files.makeDirectory(path)
        DataDirectory(path: path).giveToOwner(of: path)
        return path
    }

    @Test("pg_rewind leaves the mark alone, and a directory that it has left by halves does not start")
    func rewindMark() async throws {
        try await withServers { root in
            let bin = TestServer.binDirectory ?? ""
            let failing = try script("rewind", in: root, "\(bin)/pg_rewind \"$@\"; exit 1")
            let first = try TestServer("n1", in: root) { $0.binaryNames["pg_rewind"] = failing }
            let second = try TestServer("n2", in: root)
            _ = try await first.bootstrap()
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            _ = try await second.controller.perform(.promote)
            try await first.sql("CREATE TABLE lost AS SELECT 1 AS a")
            try await second.controller.checkpoint(timeout: .seconds(20))
            _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
            let nobody = Upstream(name: "x", address: HostPort(host: "127.0.0.1", port: 1))
            await #expect(throws: PostgreSQLError.self) { try await first.controller.perform(.rewind(from: nobody)) }
            // It had not begun to write.
            #expect(await first.observe().unfinished == nil)
            await #expect(throws: PostgreSQLError.self) {
                try await first.controller.perform(.rewind(from: second.upstream))
            }
            #expect(await first.observe().unfinished == .rewind)
            // Another daemon sees it too, and nothing starts what stands there.
            let next = try TestServer.controller(first.configuration)
            #expect(await next.observe(deadline: BootClock.now() + .seconds(5)).unfinished == .rewind)
            await #expect(throws: PostgreSQLError.self) {
                try await next.perform(.startStandby(of: second.upstream, timeout: .seconds(30)))
            }
            await #expect(throws: PostgreSQLError.self) {
                try await next.perform(.startPrimary(timeout: .seconds(30)))
            }
        }
    }

    @Test("A copy with a tablespace that breaks off is completed, links stay links, and a half of it never starts")
    func copyCut() async throws {
        try await withServers { root in
            let bin = TestServer.binDirectory ?? ""
            // The first run ends when the tablespace is there and pg_tblspc is not.
            let once = "\(root)/once"
            let cut = try script(
                "backup", in: root,
                """
                \(bin)/pg_basebackup "$@"
                [ -e \(once) ] && exit 0
                touch \(once); rm -rf \(root)/n2/.matriarch-new; exit 1
                """)
            let theirs = try directory("\(root)/theirs")
            let ours = "\(root)/ours"
            let wal = try directory("\(root)/wal")
            let first = try TestServer("n1", in: root)
            let second = try TestServer("n2", in: root) {
                $0.binaryNames["pg_basebackup"] = cut
                $0.baseBackupOptions = ["--tablespace-mapping=\(theirs)=\(ours)", "--waldir=\(wal)/n2"]
            }
            _ = try await first.bootstrap()
            try await first.sql("CREATE TABLESPACE fast LOCATION '\(theirs)'")
            try await first.sql("CREATE TABLE kept TABLESPACE fast AS SELECT generate_series(1, 1000) AS a")
            try await second.join(first)
            #expect(try await second.sql("SELECT count(*) FROM kept") == [["1000"]])
            #expect(Files.kind("\(root)/n2/pg_wal") == .symbolicLink)
            #expect(await second.observe().unfinished == nil)
            #expect(!Files.exists("\(root)/n2/.matriarch-unfinished"))
            // A second copy, with other options: what led out of the directory leads there still.
            _ = try await second.controller.perform(.stop(.immediate, timeout: .seconds(10)))
            var other = second.configuration
            other.baseBackupOptions = []
            let controller = try TestServer.controller(other)
            _ = try await controller.perform(.clone(from: first.upstream, replacing: true))
            #expect(Files.target(ofLink: "\(root)/n2/pg_wal") == "\(wal)/n2")
            let spaces = try Files.list("\(root)/n2/pg_tblspc").map { "\(root)/n2/pg_tblspc/\($0)" }
            #expect(spaces.map { Files.target(ofLink: $0) } == [ours])
            _ = try await controller.perform(.startStandby(of: first.upstream, timeout: .seconds(30)))
            #expect(try await second.sql("SELECT count(*) FROM kept") == [["1000"]])
        }
    }

    @Test("A symbolic link as data directory stays one, through bootstrap, copy and moving aside; HOME is not needed")
    func link() async throws {
        try await withServers { root in
            let volume = try directory("\(root)/volume")
            symlink(volume, "\(root)/n2")
            // A file system's own directory, which nobody else may enter.
            try Files.makeDirectory("\(volume)/lost+found", mode: 0)
            let first = try TestServer("n1", in: root)
            let second = try TestServer("n2", in: root)
            _ = try await second.controller.perform(.bootstrap)
            #expect(Files.kind("\(root)/n2") == .symbolicLink)
            _ = try await second.controller.perform(.setAsideDataDirectory)
            #expect(Files.kind("\(root)/n2") == .symbolicLink)
            #expect(await second.observe().dataDirectory == .empty)
            _ = try await first.bootstrap()
            try await second.join(first)
            #expect(Files.kind("\(root)/n2") == .symbolicLink)
            #expect(Files.exists("\(volume)/global/pg_control"))
            #expect(await second.observe().facts?.inRecovery == true)
        }
    }

    @Test("A cluster that was not published is known to be half-made, and is moved aside")
    func bootstrapCut() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.controller.perform(.bootstrap)
            let next = try TestServer.controller(server.configuration)
            let found = await next.observe(deadline: BootClock.now() + .seconds(5))
            #expect(found.unfinished == .bootstrap)
            #expect(found.systemIdentifier != nil)
            _ = try await next.perform(.stop(.immediate, timeout: .seconds(10)))
            await #expect(throws: PostgreSQLError.self) { try await next.perform(.startPrimary(timeout: .seconds(9))) }
            _ = try await next.perform(.setAsideDataDirectory)
            #expect(await next.observe(deadline: BootClock.now() + .seconds(5)).unfinished == nil)
            #expect(try await server.bootstrap() == .done)
        }
    }

    @Test("A bootstrap that finds a cluster of somebody else's, or its server, moves nothing aside and stops nobody")
    func restoredMeanwhile() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            for isRunning in [true, false] {
                if !isRunning { _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20))) }
                let late = try TestServer.controller(server.configuration)
                await #expect(throws: PostgreSQLError.self) { try await late.perform(.bootstrap) }
                let error = await #expect(throws: PostgreSQLError.self) {
                    try await late.perform(.setAsideDataDirectory)
                }
                #expect(error?.description.contains("it stays") == true)
                let status = await server.observe()
                #expect(status.dataDirectory == .initialized && (status.postmaster != nil) == isRunning)
            }
        }
    }
}
