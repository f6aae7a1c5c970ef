import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// New clusters out of backups (postgresql.md §17).
@Suite("Custom bootstrap", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(4)))
struct CustomBootstrapServerTests {
    typealias Method = LocalPostgreSQLConfiguration.CustomBootstrap

    /// A cluster with an archive, and a backup of it: three rows, and a restore point after the second.
    private func makeBackup(_ root: String) async throws -> TestServer {
        let server = try TestServer("source", in: root) { configuration in
            configuration.superuser = .init(["username": "postgres", "password": "another"])
            configuration.parameters["archive_mode"] = "on"
            configuration.parameters["archive_command"] = "mkdir -p \(root)/archive && cp %p \(root)/archive/%f"
            configuration.parameters["max_connections"] = "77"
        }
        _ = try await server.bootstrap()
        try await server.sql("CREATE TABLE t AS SELECT 1 AS a")
        try await server.sql("CREATE ROLE boss SUPERUSER LOGIN")
        try await server.backUp(to: "\(root)/backup", wal: "none")
        try await server.sql("INSERT INTO t VALUES (2)")
        try await server.sql("SELECT pg_create_restore_point('here')")
        try await server.sql("INSERT INTO t VALUES (3)")
        let wal = try await server.sql("SELECT pg_walfile_name(pg_switch_wal())").first?.first ?? nil
        let file = "\(root)/archive/\(try #require(wal))"
        let deadline = BootClock.now() + .seconds(30)
        while !Files.exists(file), BootClock.now() < deadline { try await Task.sleep(for: .milliseconds(20)) }
        return server
    }

    private func restore(_ root: String, _ change: (inout Method) -> Void = { _ in }) throws -> Method {
        let text = """
            set -e
            echo "$@" > \(root)/told
            data=\(root)/direct
            for word in "$@"; do case $word in --datadir=*) data=${word#--datadir=} ;; esac; done
            test -z "$(ls -A $data)"
            cp -a \(root)/backup/. $data
            """
        try Files.replace("\(root)/restore.sh", with: text.utf8, mode: 0o644)
        var method = Method(name: "restore", command: ["/bin/sh", "\(root)/restore.sh"])
        change(&method)
        return method
    }

    @Test("A backup is recovered to a point in time, promoted, and gets the users and the rules of its configuration")
    func pointInTime() async throws {
        try await withServers { root in
            let source = try await makeBackup(root)
            let method = try restore(root) { method in
                method.arguments = ["--label=a b"]
                method.recovery = [
                    "restore_command": "cp \(root)/archive/%f %p", "recovery_target_name": "here",
                    "recovery_target_action": "promote",
                ]
            }
            let server = try TestServer("n1", in: root) { $0.customBootstrap = method }
            #expect(try await server.bootstrap() == .done)
            #expect(
                try Files.readText("\(root)/told").hasPrefix("--scope=test --datadir=\(root)/n1/"))
            #expect(try Files.readText("\(root)/told").hasSuffix(" --label=a b\n"))
            // By its own password, and by rules that ask for one.
            #expect(try await server.sql("SELECT a FROM t ORDER BY 1") == [["1"], ["2"]])
            #expect(try await server.sql("SHOW hot_standby") == [["on"]])
            #expect(try await server.sql("SHOW max_connections") == [["30"]])
            #expect(
                try await server.sql("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'") == [["0"]])
            let status = await server.observe()
            #expect(status.isPrimary && status.unfinished == nil && status.facts?.timeline == 2)
            #expect(status.systemIdentifier == (await source.observe()).systemIdentifier)
            #expect(try await source.sql("SELECT count(*) FROM t") == [["3"]])
        }
    }

    @Test("A recovery stops at a time, at a position in the WAL and before a transaction")
    func targets() async throws {
        try await withServers { root in
            let source = try await makeBackup(root)
            func value(_ statement: String) async throws -> String {
                try #require(try await source.sql(statement).first?.first ?? nil)
            }
            let targets = [
                ("recovery_target_time", try await value("SELECT clock_timestamp()"), "3"),
                ("recovery_target_lsn", try await value("SELECT pg_current_wal_insert_lsn()"), "3"),
                ("recovery_target_xid", try await value("SELECT xmin FROM t WHERE a = 3"), "2"),
            ]
            try await source.sql("INSERT INTO t VALUES (4)")
            let file = "\(root)/archive/\(try await value("SELECT pg_walfile_name(pg_switch_wal())"))"
            let deadline = BootClock.now() + .seconds(30)
            while !Files.exists(file), BootClock.now() < deadline { try await Task.sleep(for: .milliseconds(20)) }
            for (number, (key, value, last)) in targets.enumerated() {
                let method = try restore(root) { method in
                    method.recovery = [
                        "restore_command": "cp \(root)/archive/%f %p", key: value,
                        "recovery_target_inclusive": "false", "recovery_target_action": "promote",
                    ]
                }
                let server = try TestServer("n\(number)", in: root) { $0.customBootstrap = method }
                #expect(try await server.bootstrap() == .done, "\(key)")
                #expect(try await server.sql("SELECT max(a) FROM t") == [[last]], "\(key)")
            }
        }
    }

    @Test("A recovery that pauses at its target is waited for until somebody lets it go on")
    func pausedAtTarget() async throws {
        try await withServers { root in
            _ = try await makeBackup(root)
            let method = try restore(root) { method in
                method.recovery = [
                    "restore_command": "cp \(root)/archive/%f %p", "recovery_target_name": "here",
                    "recovery_target_action": "pause",
                ]
            }
            let server = try TestServer("n1", in: root) { $0.customBootstrap = method }
            async let bootstrap = server.controller.perform(.bootstrap)
            let deadline = BootClock.now() + .seconds(60)
            var isPaused = false
            while !isPaused, BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(50))
                isPaused = (try? await server.sql("SELECT pg_is_wal_replay_paused()")) == [["t"]]
            }
            try #require(isPaused)
            #expect(try await server.sql("SELECT a FROM t ORDER BY 1") == [["1"], ["2"]])
            #expect(await server.observe().unfinished == .restore, "whoever comes now finds no cluster that is made")
            try await server.sql("SELECT pg_wal_replay_resume()")
            #expect(try await bootstrap == .done)
            #expect(await server.observe().unfinished == .bootstrap, "now it is, and nobody knows of it")
            #expect(try await server.controller.perform(.finishBootstrap) == .done)
            #expect(try await server.sql("SELECT a FROM t ORDER BY 1") == [["1"], ["2"]])
            let status = await server.observe()
            #expect(status.isPrimary && status.unfinished == nil && status.facts?.timeline == 2)
        }
    }

    @Test("How a program lets its copy recover is kept where the configuration says so (keep_existing_recovery_conf)")
    func recoveryOfItsOwn() async throws {
        try await withServers { root in
            _ = try await makeBackup(root)
            let own = "restore_command = 'cp \(root)/archive/%f %p'\nrecovery_target_name = 'here'\n"
            try Files.replace(
                "\(root)/own.conf", with: (own + "recovery_target_action = 'promote'\n").utf8, mode: 0o644)
            let method = try restore(root) { $0.keepsRecovery = true }
            let script = try Files.readText("\(root)/restore.sh")
            let more = "cp \(root)/own.conf $data/postgresql.auto.conf\ntouch $data/recovery.signal\n"
            try Files.replace("\(root)/restore.sh", with: (script + "\n" + more).utf8, mode: 0o644)
            let server = try TestServer("n1", in: root) { $0.customBootstrap = method }
            #expect(try await server.bootstrap() == .done)
            #expect(try await server.sql("SELECT a FROM t ORDER BY 1") == [["1"], ["2"]])
            #expect(await server.observe().facts?.timeline == 2)
        }
    }

    @Test("A recovery that lets us in no more is waited for as long as it goes on")
    func refusedMeanwhile() async throws {
        try await withServers { root in
            let source = try await makeBackup(root)
            // The role of the new cluster's superuser is away for longer than a start may take.
            for step in 0..<12 {
                let words = [3: "DROP ROLE boss", 11: "CREATE ROLE boss SUPERUSER LOGIN"]
                try await source.sql(words[step] ?? "SELECT pg_create_restore_point('\(step)')")
                try await source.sql("SELECT pg_switch_wal()")
            }
            let last = try await source.sql("SELECT pg_walfile_name(pg_current_wal_lsn() - 1)").first?.first ?? nil
            let file = "\(root)/archive/\(try #require(last))"
            let deadline = BootClock.now() + .seconds(30)
            while !Files.exists(file), BootClock.now() < deadline { try await Task.sleep(for: .milliseconds(20)) }
            let method = try restore(root) { method in
                let file = "\(root)/archive/%f"
                method.recovery = ["restore_command": "test -f \(file) && sleep 0.7 && cp \(file) %p"]
            }
            let server = try TestServer("n1", in: root) { configuration in
                configuration.customBootstrap = method
                configuration.superuser = .init(["username": "boss", "password": "it's: secret"])
                configuration.startTimeout = .seconds(3)
            }
            #expect(try await server.bootstrap() == .done)
            #expect(await server.observe().isPrimary)
        }
    }

    @Test("What knows its directory by itself fills that; rules that nobody has configured stay those of the backup")
    func direct() async throws {
        try await withServers { root in
            _ = try await makeBackup(root)
            let rule = "host all all 127.0.0.1/32 scram-sha-256 # of the backup\n"
            let local = "local all all scram-sha-256\n"
            for file in ["pg_hba.conf", "pg_hba.conf.backup"] {
                try Files.replace("\(root)/backup/\(file)", with: (local + rule).utf8, mode: 0o644)
            }
            let method = try restore(root) { method in
                method.takesNoParameters = true
                method.recovery = ["restore_command": "cp \(root)/archive/%f %p"]
            }
            let server = try TestServer("direct", in: root) { configuration in
                configuration.customBootstrap = method
                configuration.hostBasedAuthentication = nil
                configuration.postBootstrap = "/bin/sh -c 'echo \"$0\" > \(root)/post'"
            }
            #expect(try await server.bootstrap() == .done)
            #expect(try Files.readText("\(root)/told") == "\n")
            #expect(try Files.readText("\(root)/post").hasPrefix("dbname=postgres user=postgres "))
            #expect(try await server.sql("SELECT a FROM t ORDER BY 1") == [["1"], ["2"], ["3"]])
            #expect(try Files.readText("\(root)/direct/pg_hba.conf").hasSuffix(rule))
        }
    }

    @Test("A command that fails, and a recovery that does, leave a cluster that nobody starts")
    func failures() async throws {
        try await withServers { root in
            _ = try await makeBackup(root)
            let failing = try TestServer("n1", in: root) {
                $0.customBootstrap = Method(name: "no", command: ["/bin/false"])
            }
            await #expect(throws: PostgreSQLError.self) { try await failing.controller.perform(.bootstrap) }
            let status = await failing.observe()
            #expect(status.state == .customBootstrapFailed && status.postmaster == nil)
            #expect(status.dataDirectory == .empty)

            // Into a draft, and by a command that knows the place by itself.
            for (name, isDirect) in [("n2", false), ("direct", true)] {
                let method = try restore(root) { method in
                    method.takesNoParameters = isDirect
                    method.recovery = [
                        "restore_command": "cp \(root)/archive/%f %p", "recovery_target_name": "nowhere",
                        "recovery_target_action": "promote",
                    ]
                }
                let lost = try TestServer(name, in: root) { $0.customBootstrap = method }
                await #expect(throws: PostgreSQLError.self) { try await lost.controller.perform(.bootstrap) }
                let half = await lost.observe()
                #expect(half.postmaster == nil && half.unfinished == .restore)
                await #expect(throws: PostgreSQLError.self) { try await lost.startPrimary() }
                _ = try await lost.controller.perform(.setAsideDataDirectory)
                #expect(await lost.observe().dataDirectory == .empty)
                #expect(Files.exists("\(root)/\(name).failed/PG_VERSION"))
            }
        }
    }

    @Test("What an operator restores while a command fills its draft stays")
    func overtaken() async throws {
        try await withServers { root in
            _ = try await makeBackup(root)
            let method = try restore(root)
            let script = try Files.readText("\(root)/restore.sh") + "\ncp -a \(root)/backup/. \(root)/n1\n"
            try Files.replace("\(root)/restore.sh", with: script.utf8, mode: 0o644)
            let server = try TestServer("n1", in: root) { $0.customBootstrap = method }
            let error = await #expect(throws: PostgreSQLError.self) {
                try await server.controller.perform(.bootstrap)
            }
            #expect(error?.description.contains("move it away") == true)
            await #expect(throws: PostgreSQLError.self) { try await server.controller.perform(.setAsideDataDirectory) }
            let status = await server.observe()
            #expect(status.dataDirectory == .initialized && status.unfinished == nil)
            #expect(!Files.exists("\(root)/n1/.matriarch-new"))
        }
    }

    @Test("What is restored by hand where a command that fills the directory itself has failed is no half of anything")
    func restoredByHand() async throws {
        try await withServers { root in
            let failing = try TestServer("n1", in: root) {
                $0.customBootstrap = Method(name: "no", command: ["/bin/false"])
                $0.customBootstrap?.takesNoParameters = true
            }
            await #expect(throws: PostgreSQLError.self) { try await failing.controller.perform(.bootstrap) }
            // As often as the daemon is killed in between.
            for _ in 0..<2 { _ = try await failing.controller.perform(.setAsideDataDirectory) }
            let other = try TestServer("n2", in: root)
            _ = try await other.bootstrap()
            _ = try await other.controller.perform(.stop(.fast, timeout: .seconds(20)))
            try? Files.removeTree("\(root)/n1")
            #expect(rename("\(root)/n2", "\(root)/n1") == 0)
            let status = await failing.observe()
            #expect(status.dataDirectory == .initialized && status.unfinished == nil)
        }
    }
}
