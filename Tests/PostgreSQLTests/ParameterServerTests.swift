import ClusterModel
import Glibc
import Ports
import Posix
import Synchronization
import Testing

@testable import PostgreSQL

@Suite(
    "Parameters of servers", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3)))
struct ParameterServerTests {
    @Test("The table says what the server says of its parameters")
    func catalogue() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let version = try #require(await server.observe().facts?.serverVersion)
            guard (150_000..<190_000).contains(version) else { return }
            let rows = try await server.sql(
                """
                SELECT name, vartype, min_val, max_val, unit, array_to_string(enumvals, '|') FROM pg_settings
                WHERE context <> 'internal' AND name !~ '[.]' AND name <> 'debug_discard_caches'
                """)
            #expect(rows.count > 300)
            for row in rows {
                let name = try #require(row[0])
                let kind = ParameterCatalogue.kind(name, version: version)
                switch (row[1], kind) {
                case ("bool", .bool?), ("string", .string?): break
                case ("integer", .integer(let range, let unit)?), ("real", .real(let range, let unit)?):
                    #expect(unit == row[4], "\(name)")
                    #expect(row[2].flatMap { Double($0) } == range.lowerBound, "\(name)")
                    #expect(
                        range.upperBound == .infinity || row[3].flatMap { Double($0) } == range.upperBound, "\(name)")
                case ("enum", .word(let words, _)?):
                    let has = (row[5] ?? "").lowercased().split(atByte: "|").map { String($0) }
                    #expect(Set(words).isSuperset(of: has), "\(name)")
                default: Issue.record("\(name) is \(row[1] ?? ""), the table says \(kind.map { "\($0)" } ?? "nothing")")
                }
            }
        }
    }

    @Test("A standby below its primary starts with the primary's values, and says what waits for whom")
    func decrease() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await first.controller.adopt(configuration: ["parameters": ["max_connections": 50]])
            #expect(try await first.restart() == .done)
            try await second.join(first)
            #expect(try await second.sql("SHOW max_connections") == [["50"]])
            let waiting = PostgreSQLStatus.PendingRestart(
                parameter: "max_connections", oldValue: "50", newValue: "30")
            #expect(await second.observe().pendingRestart == [waiting])
            // Restarted before the primary it has what the primary has.
            #expect(try await second.restart(of: first.upstream) == .done)
            #expect(try await second.sql("SHOW max_connections") == [["50"]])
            #expect(await second.observe().pendingRestart == [waiting])

            try await first.controller.adopt(configuration: [:])
            #expect(await first.observe().pendingRestart == [waiting])
            #expect(try await first.restart() == .done)
            #expect(await first.observe().pendingRestart.isEmpty)
            // The change comes with the WAL; then nothing holds the standby back.
            try await first.sql("CREATE TABLE told AS SELECT 1 AS a")
            #expect(await hasTable(second, "told"))
            #expect(await second.observe().pendingRestart == [waiting])
            #expect(try await second.restart(of: first.upstream) == .done)
            #expect(try await second.sql("SHOW max_connections") == [["30"]])
            #expect(await second.observe().pendingRestart.isEmpty)
        }
    }

    @Test("A primary raised above its running standby: the standby waits, and a restart brings it along")
    func increase() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            for server in [first, second] {
                try await server.controller.adopt(configuration: ["parameters": ["max_connections": 60]])
            }
            let waiting = PostgreSQLStatus.PendingRestart(
                parameter: "max_connections", oldValue: "30", newValue: "60")
            #expect(await first.observe().pendingRestart == [waiting])
            #expect(await second.observe().pendingRestart == [waiting])
            #expect(try await first.restart() == .done)
            #expect(await second.wait { $0.facts?.replayPaused == true }.facts?.replayPaused == true)
            #expect(try await second.restart(of: first.upstream) == .done)
            #expect(try await second.sql("SHOW max_connections") == [["60"]])
            let status = await second.wait { $0.facts?.receiver?.isStreaming == true }
            #expect(status.facts?.replayPaused == false)
            #expect(status.pendingRestart.isEmpty)
        }
    }

    @Test("What waits for a restart is shown with its units, also what ALTER SYSTEM and a removal ask for")
    func pendingReasons() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            try await server.controller.adopt(
                configuration: [
                    "parameters": [
                        "shared_buffers": 4096, "wal_buffers": "1024kB", "track_commit_timestamp": "true",
                        "external_pid_file": .string(root + "/outside.pid"),
                    ]
                ])
            #expect(
                await pending(server) == [
                    "external_pid_file  \(root)/outside.pid",
                    "shared_buffers 16MB 32MB", "track_commit_timestamp off on", "wal_buffers 512kB 1MB",
                ])
            try await server.sql("ALTER SYSTEM SET shared_buffers = '24MB'")
            try await server.sql("ALTER SYSTEM SET huge_pages = off")
            try await server.controller.adopt(configuration: [:])
            #expect(await pending(server) == ["huge_pages try off", "shared_buffers 16MB 24MB"])
            #expect(try await server.restart() == .done)
            // What ALTER SYSTEM says is in force: nothing waits although our file says something else.
            #expect(try await server.sql("SHOW shared_buffers") == [["24MB"]])
            #expect(await server.observe().pendingRestart.isEmpty)
        }
    }

    @Test("Wrong values are left out with a reason, numbers are brought within bounds, the file never holds them")
    func wrongValues() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { configuration in
                configuration.parameters["log_timezone"] = "UTC"
                configuration.recovery = ["recovery_min_apply_delay": "soon", "restore_command": "false"]
            }
            _ = try await server.bootstrap()
            let file = root + "/n1/postgresql.conf"
            let before = try Files.readText(file)
            // Unknown, of the wrong kind, and one of which only the server knows that it is wrong.
            try await server.controller.adopt(
                configuration: [
                    "parameters": [
                        "no_such_parameter": 1, "work_mem": "much", "bytea_output": "octal",
                        "log_timezone": "Mars/Olympus", "maintenance_work_mem": "1kB", "vacuum_cost_limit": 5,
                    ]
                ])
            let after = try Files.readText(file)
            #expect(try await server.sql("SHOW maintenance_work_mem") == [["1MB"]])
            #expect(try await server.sql("SHOW vacuum_cost_limit") == [["5"]])
            #expect(try await server.sql("SHOW work_mem") == [["4MB"]])
            for name in ["no_such_parameter", "work_mem", "bytea_output", "log_timezone", "recovery_min_apply_delay"] {
                #expect(!after.contains("\n\(name) = "), "\(name)")
            }
            #expect(!Files.exists(root + "/n1/.matriarch-postgresql.conf"))
            #expect(try await server.restart() == .done)
            try await server.controller.adopt(configuration: [:])
            #expect(try Files.readText(file) == before)
        }
    }

    @Test("Files that cannot be read do not take the place of those that can, and no restart is begun with them")
    func unreadable() async throws {
        try await withServers { root in
            try Files.replace(root + "/custom.conf", with: "bgwriter_delay = 300ms\n".utf8, mode: 0o644)
            let server = try TestServer("n1", in: root) { configuration in
                configuration.customConfiguration = root + "/custom.conf"
            }
            _ = try await server.bootstrap()
            #expect(try await server.sql("SHOW bgwriter_delay") == [["300ms"]])
            #expect(!Files.exists(root + "/n1/postgresql.base.conf"), "with custom_conf nothing is renamed")
            let file = root + "/n1/postgresql.conf"
            let before = try Files.readText(file)
            await #expect(throws: PostgreSQLError.self) {
                try await server.controller.adopt(
                    configuration: ["custom_conf": .string(root + "/missing.conf"), "parameters": ["work_mem": "8MB"]])
            }
            #expect(try Files.readText(file) == before)
            let pid = await server.observe().postmaster
            await #expect(throws: PostgreSQLError.self) {
                try await server.restart()
            }
            #expect(await server.observe().postmaster == pid, "it was not even stopped")
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            #expect(try await server.startPrimary() == .done)
            #expect(try await server.sql("SHOW bgwriter_delay") == [["300ms"]])
            #expect(try Files.readText(file) == before)
            // The file comes: what was refused is taken without anybody asking again.
            try Files.replace(root + "/missing.conf", with: "bgwriter_delay = 400ms\n".utf8, mode: 0o644)
            #expect(await shows(server, "work_mem", "8MB"))
            #expect(try await server.sql("SHOW bgwriter_delay") == [["400ms"]])
        }
    }

    @Test("A parameter with which the server does not start keeps its old value, and waits")
    func held() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            try await server.controller.adopt(
                configuration: ["parameters": ["shared_preload_libraries": "no_such_library", "max_connections": 40]])
            let waiting = ["max_connections 30 40", "shared_preload_libraries  no_such_library"]
            #expect(await pending(server) == waiting)
            #expect(try await server.restart() == .done)
            #expect(try await server.sql("SHOW max_connections") == [["30"]])
            #expect(await pending(server) == waiting)
            try await server.controller.adopt(configuration: ["parameters": ["max_connections": 40]])
            #expect(await pending(server) == ["max_connections 30 40"])
            #expect(try await server.restart() == .done)
            #expect(try await server.sql("SHOW max_connections") == [["40"]])
            #expect(await server.observe().pendingRestart.isEmpty)
        }
    }

    @Test("With config_dir elsewhere the base of initdb is kept, and comes along with a base backup")
    func elsewhere() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root) { $0.configurationDirectory = root + "/etc1" }
            _ = try await first.bootstrap()
            let base = try Files.readText(root + "/etc1/postgresql.base.conf")
            #expect(base.contains("default_text_search_config"))
            #expect(try Files.readText(root + "/n1/postgresql.base.conf.backup") == base)
            #expect(Files.exists(root + "/n1/pg_hba.conf.backup") && Files.exists(root + "/n1/pg_ident.conf.backup"))
            try Files.replace(
                root + "/etc1/postgresql.base.conf", with: (base + "\nbgwriter_delay = 321ms\n").utf8, mode: 0o644)
            #expect(try await first.restart() == .done)
            let second = try TestServer("n2", in: root) { configuration in
                configuration.configurationDirectory = root + "/etc2"
                configuration.parameters["hba_file"] = "other_hba.conf"
            }
            try Files.makeDirectory(root + "/etc2", mode: 0o755)
            try Files.replace(
                root + "/etc2/other_hba.conf",
                with: "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n".utf8,
                mode: 0o644)
            try await second.join(first)
            #expect(try await second.sql("SHOW bgwriter_delay") == [["321ms"]])
            #expect(try await second.sql("SHOW hba_file") == [[root + "/etc2/other_hba.conf"]])
            #expect(!Files.exists(root + "/etc2/pg_hba.conf"))
        }
    }

    // MARK: By role

    @Test("Settings of a role hold as long as the server has it: standby, promotion, standby again")
    func roles() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try byRole("n2", root))
            _ = try await first.bootstrap()
            try await second.join(first)
            #expect(try await second.sql("SHOW work_mem") == [["5MB"]])
            let hba = root + "/n2/pg_hba.conf"
            #expect(try Files.readText(hba).contains("# replica"))
            #expect(try Files.readText(root + "/n2/pg_ident.conf").contains("replicas a b"))
            _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
            #expect(try await second.controller.perform(.promote) == .done)
            #expect(await shows(second, "work_mem", "7MB"))
            #expect(try Files.readText(hba).contains("# primary"))
            #expect(!(try Files.readText(root + "/n2/pg_ident.conf")).contains("replicas"))
            let rules = try await second.sql("SELECT count(*) FROM pg_hba_file_rules WHERE address = '127.0.0.9'")
            #expect(rules == [["1"]])
            // A configuration that comes now is the primary's.
            try await second.controller.adopt(configuration: ["parameters": ["vacuum_cost_limit": 7]])
            #expect(try await second.sql("SHOW vacuum_cost_limit") == [["7"]])
            #expect(try await second.sql("SHOW work_mem") == [["7MB"]])
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            #expect(try await second.startStandby(of: first.upstream) == .done)
            #expect(try await second.sql("SHOW work_mem") == [["5MB"]])
            #expect(try Files.readText(hba).contains("# replica"))
        }
    }

    @Test("A promotion by somebody else brings the settings of a primary, too")
    func promotedByHand() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try byRole("n2", root))
            _ = try await first.bootstrap()
            try await second.join(first)
            #expect(await second.wait { $0.facts?.inRecovery == true }.facts?.inRecovery == true)
            try await second.sql("SELECT pg_promote(true)")
            #expect(await shows(second, "work_mem", "7MB"))
        }
    }

    @Test("A reload that failed after the promotion is made up for, by this daemon or the next")
    func reloadFails() async throws {
        try await withServers { root in
            let launcher = DeafLauncher()
            let (first, second) = (try TestServer("n1", in: root), try byRole("n2", root, launcher))
            _ = try await first.bootstrap()
            try await second.join(first)
            launcher.isDeaf.withLock { $0 = true }
            #expect(try await second.controller.perform(.promote) == .done, "the promotion itself succeeds")
            // The files are written, and the server has not read them.
            let hba = root + "/n2/pg_hba.conf"
            _ = await second.wait { _ in (try? Files.readText(hba))?.contains("# primary") == true }
            #expect(try Files.readText(hba).contains("# primary"))
            #expect(try await second.sql("SHOW work_mem") == [["5MB"]])
            // A daemon that comes now finds the files as they should be, and yet has them read.
            let next = try TestServer.controller(second.configuration)
            try await next.adopt(configuration: [:])
            #expect(try await second.sql("SHOW work_mem") == [["7MB"]])
        }
        try await withServers { root in
            let launcher = DeafLauncher()
            let (first, second) = (try TestServer("n1", in: root), try byRole("n2", root, launcher))
            _ = try await first.bootstrap()
            try await second.join(first)
            launcher.isDeaf.withLock { $0 = true }
            #expect(try await second.controller.perform(.promote) == .done)
            let hba = root + "/n2/pg_hba.conf"
            _ = await second.wait { _ in (try? Files.readText(hba))?.contains("# primary") == true }
            #expect(try await second.sql("SHOW work_mem") == [["5MB"]])
            launcher.isDeaf.withLock { $0 = false }
            #expect(await shows(second, "work_mem", "7MB"))
        }
    }

    // MARK: Helpers

    /// Signals that ask for a reload do not arrive.
    private final class DeafLauncher: PostmasterLauncher {
        let isDeaf = Mutex(false)
        private let real = QuietLauncher()

        func launch(_ command: PostmasterCommand) async throws(PostgreSQLError) -> Int32 {
            try await real.launch(command)
        }

        func signal(_ signal: Int32, to pid: Int32) async -> Bool {
            if signal == SIGHUP, isDeaf.withLock({ $0 }) { return false }
            return await real.signal(signal, to: pid)
        }
    }

    private func byRole(
        _ name: String, _ root: String, _ launcher: any PostmasterLauncher = QuietLauncher()
    ) throws -> TestServer {
        try TestServer(name, in: root, launcher: launcher) { configuration in
            let usual = configuration.hostBasedAuthentication ?? []
            configuration.byRole[.primary] = .init(
                parameters: ["work_mem": "7MB"],
                hostBasedAuthentication: usual + ["# primary", "host all all 127.0.0.9/32 reject"])
            configuration.byRole[.replica] = .init(
                parameters: ["work_mem": "5MB"], hostBasedAuthentication: usual + ["# replica"],
                identityMap: ["replicas a b"])
            configuration.byRole[.standbyLeader] = .init(parameters: ["work_mem": "1MB"])
            configuration.identityMap = []
        }
    }

    private func pending(_ server: TestServer) async -> [String] {
        await server.observe().pendingRestart.map { "\($0.parameter) \($0.oldValue) \($0.newValue)" }.sorted()
    }

    /// Looks, as a node does, until the server shows `value`.
    private func shows(_ server: TestServer, _ name: String, _ value: String) async -> Bool {
        await server.has { try await server.sql("SHOW \(name)") == [[value]] }
    }

    private func hasTable(_ server: TestServer, _ name: String) async -> Bool {
        await server.has { try await server.sql("SELECT to_regclass('\(name)') IS NOT NULL") == [["t"]] }
    }
}
