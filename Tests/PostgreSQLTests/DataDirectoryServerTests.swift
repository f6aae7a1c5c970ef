import ClusterModel
import Glibc
import Ports
import Posix
import Processes
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
            _ = try await controller.perform(.clone(from: first.upstream, replacing: .first))
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

    @Test("A bootstrap that is called off ends its server, whatever became of its mark", arguments: [true, false])
    func markLost(isThere: Bool) async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.controller.perform(.bootstrap)
            let pid = try #require(await server.observe().postmaster)
            let mark = DataDirectory(path: server.configuration.dataDirectory).mark
            unlink(mark)
            if isThere { try Files.replace(mark, with: "nonsense".utf8, mode: 0o600) }
            await #expect(throws: PostgreSQLError.self) { try await server.controller.perform(.setAsideDataDirectory) }
            #expect(!ProcessTable.isAlive(pid))
            #expect(Files.exists("\(root)/n1/global/pg_control"))
        }
    }

    @Test("A new cluster that does not come up in time does not go on without anybody who waits for it")
    func tooSlow() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { $0.startTimeout = .milliseconds(1) }
            await #expect(throws: PostgreSQLError.self) { try await server.controller.perform(.bootstrap) }
            #expect(await server.observe().postmaster == nil)
        }
    }

    @Test("What a broken-off bootstrap has left goes where a restored cluster is taken over", arguments: [true, false])
    func leftovers(isRunning: Bool) async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            if !isRunning { _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20))) }
            let data = DataDirectory(path: server.configuration.dataDirectory)
            var mark = UnfinishedMark(.bootstrap)
            mark.phase = .filling
            try data.write(mark)
            try Files.makeDirectory(data.draft + "/base")
            try Files.replace(data.secret, with: "password".utf8, mode: 0o600)
            let next = try TestServer.controller(server.configuration)
            if isRunning {
                try await next.claimDirectory(deadline: BootClock.now() + .seconds(10))
            } else {
                _ = try await next.perform(.startPrimary(timeout: .seconds(30)))
            }
            #expect([data.mark, data.draft, data.secret].filter { Files.kind($0) != .missing } == [])
            #expect(await next.observe(deadline: BootClock.now() + .seconds(5)).postmaster != nil)
        }
    }

    enum Found: CaseIterable {
        case whole, half, running
    }

    /// A script for a program that fills a draft: it does its work, and somebody restores a cluster meanwhile.
    private func meanwhile(_ program: String, _ found: Found, in root: String) throws -> String {
        let bin = TestServer.binDirectory ?? ""
        let act =
            switch found {
            case .whole: "cp -a \(root)/theirs/. \(root)/n2"
            case .half: "mkdir \(root)/n2/base && cp \(root)/theirs/PG_VERSION \(root)/n2"
            case .running:
                // Not by the script, below which nothing outlives it.
                """
                cp -a \(root)/theirs/. \(root)/n2 && touch \(root)/go
                for i in $(seq 600); do [ ! -e \(root)/started ] || exit 0; sleep 0.05; done
                """
            }
        let once = "[ ! -e \(root)/once ] || exit 0; touch \(root)/once"
        return try script(program, in: root, "\(bin)/\(program) \"$@\" || exit 1\n\(once)\n\(act)")
    }

    /// What an operator restores.
    private func makeTheirs(_ root: String) async throws -> UInt64? {
        let other = try TestServer("theirs", in: root)
        _ = try await other.bootstrap()
        _ = try await other.controller.perform(.stop(.fast, timeout: .seconds(20)))
        return DataDirectory.systemIdentifier("\(root)/theirs/global/pg_control")
    }

    /// What the script waits for.
    private func startTheirs(_ root: String) async throws {
        let deadline = BootClock.now() + .seconds(60)
        func wait(until condition: () -> Bool) async throws {
            while !condition(), BootClock.now() < deadline { try await Task.sleep(for: .milliseconds(20)) }
        }
        try await wait { Files.exists("\(root)/go") }
        let words = TestServer.commandPrefix + ["\(TestServer.binDirectory ?? "")/postgres", "-D", "\(root)/n2"]
        _ = try await QuietLauncher().launch(
            .init(
                executable: words[0], arguments: Array(words.dropFirst()), environment: ["LC_ALL=C"],
                workingDirectory: "\(root)/n2"))
        let file = "\(root)/n2/postmaster.pid"
        try await wait { (try? PostmasterPidFile(Files.readText(file)))?.isReady == true }
        try Files.replace("\(root)/started", with: [], mode: 0o644)
    }

    private func checkTheirs(_ root: String, _ found: Found, _ identifier: UInt64?, _ second: TestServer) async throws {
        let data = DataDirectory(path: "\(root)/n2")
        #expect(!Files.exists(data.draft) && !Files.exists(data.secret))
        #expect(!Files.exists("\(root)/n2.failed"))
        switch found {
        case .half: #expect(try data.contents() == ["PG_VERSION", "base"])
        case .whole, .running:
            #expect(data.look() == (.initialized, nil))
            #expect(DataDirectory.systemIdentifier(data.controlFile) == identifier)
            #expect((await second.observe().postmaster != nil) == (found == .running))
        }
    }

    @Test("What an operator restores while a bootstrap runs stays, and so does its server", arguments: Found.allCases)
    func bootstrapOvertaken(_ found: Found) async throws {
        try await withServers { root in
            let identifier = try await makeTheirs(root)
            let initdb = try meanwhile("initdb", found, in: root)
            let start = Task { if found == .running { try await startTheirs(root) } }
            let second = try TestServer("n2", in: root) { $0.binaryNames["initdb"] = initdb }
            let error = await #expect(throws: PostgreSQLError.self) {
                try await second.controller.perform(.bootstrap)
            }
            #expect(error?.description.contains("move it away") == true)
            // What a bootstrap that failed is followed by, and what the next daemon does.
            for controller in [second.controller, try TestServer.controller(second.configuration)] {
                await #expect(throws: PostgreSQLError.self) { try await controller.perform(.setAsideDataDirectory) }
                await #expect(throws: PostgreSQLError.self) { try await controller.perform(.bootstrap) }
            }
            try await start.value
            try await checkTheirs(root, found, identifier, second)
        }
    }

    @Test("What an operator restores while a base backup runs stays, and so does its server", arguments: Found.allCases)
    func copyOvertaken(_ found: Found) async throws {
        try await withServers { root in
            let identifier = try await makeTheirs(root)
            let backup = try meanwhile("pg_basebackup", found, in: root)
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            let start = Task { if found == .running { try await startTheirs(root) } }
            let second = try TestServer("n2", in: root) { $0.binaryNames["pg_basebackup"] = backup }
            let error = await #expect(throws: PostgreSQLError.self) {
                // Whatever stood there before may go; what came since may not.
                try await second.controller.perform(.clone(from: first.upstream, replacing: .first))
            }
            if found == .half { #expect(error?.description.contains("move it away") == true) }
            let next = try TestServer.controller(second.configuration)
            await #expect(throws: PostgreSQLError.self) {
                try await next.perform(.clone(from: first.upstream, replacing: .nothing))
            }
            try await start.value
            try await checkTheirs(root, found, identifier, second)
        }
    }
}
