import ClusterModel
import Glibc
import Ports
import Posix
import Processes
import Testing

@testable import PostgreSQL

@Suite("Life of a server", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2)))
struct LifeCycleServerTests {
    @Test("Bootstrap makes a primary with its users; a fast stop tells where the WAL ends")
    func bootstrapAndStop() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            #expect(await server.observe().dataDirectory == .empty)
            #expect(try await server.bootstrap() == .done)
            let status = await server.observe()
            #expect(status.state == .running)
            #expect(status.readiness == .accepting)
            #expect(status.isPrimary)
            #expect(status.facts?.timeline == 1)
            #expect(status.systemIdentifier != nil)
            #expect(status.pendingRestart.isEmpty)
            let roles = try await server.sql(
                "SELECT rolname, rolsuper, rolreplication FROM pg_roles WHERE rolcanlogin ORDER BY 1")
            #expect(roles == [["postgres", "t", "t"], ["replicator", "f", "t"], ["rewinder", "f", "f"]])

            let result = try await server.controller.perform(.stop(.fastAfterCheckpoint, timeout: .seconds(20)))
            guard case .shutDown(let positions?) = result else {
                Issue.record("no positions: \(result)")
                return
            }
            let down = await server.observe()
            #expect(down.state == .stopped)
            #expect(down.postmaster == nil)
            #expect(down.control?.state == .shutDown)
            #expect(down.control?.checkpoint == positions.checkpoint)
            #expect(positions.timeline == 1)
            #expect(positions.required <= positions.checkpoint)
            #expect(down.systemIdentifier == status.systemIdentifier)
        }
    }

    @Test("A parameter with which the server does not start keeps its old value after a crash, too")
    func heldAfterACrash() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            try await server.controller.adopt(
                configuration: ["parameters": ["shared_preload_libraries": "no_such_library"]])
            let waiting = PostgreSQLStatus.PendingRestart(
                parameter: "shared_preload_libraries", oldValue: "", newValue: "no_such_library")
            #expect(await server.observe().pendingRestart == [waiting])
            // Ends without a checkpoint, and without what a killed one leaves behind.
            _ = try await server.controller.perform(.stop(.immediate, timeout: .seconds(20)))
            #expect(try await server.startPrimary() == .done)
            #expect(await server.observe().pendingRestart == [waiting])
        }
    }

    @Test("A killed postmaster is told at once and comes back with what was committed")
    func crashAndRestart() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            try await server.sql("CREATE TABLE t AS SELECT 1 AS a")
            let pid = try #require(await server.observe().postmaster)
            let told = Task {
                for await pid in server.controller.exits { return pid }
                return -1
            }
            let killed = BootClock.now()
            kill(pid, SIGKILL)
            #expect(await told.value == pid)
            #expect(BootClock.now() - killed < .seconds(60))
            #expect(await server.observe().state == .crashed)
            #expect(try await server.startPrimary() == .done)
            #expect(try await server.sql("SELECT a FROM t") == [["1"]])
            #expect(await server.observe().state == .running)
        }
    }

    @Test("A server that is killed while it is asked has crashed; it was not starting")
    func killedWhileAsked() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let pid = try #require(await server.observe().postmaster)
            let processes = [pid] + ProcessTable.descendants(of: pid)
            for process in processes { kill(process, SIGSTOP) }
            let asked = Task { await server.observe(within: .seconds(10)) }
            let deadline = BootClock.now() + .seconds(10)
            while server.controller.instance.owed().unansweredSince == nil, BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(1))
            }
            for process in processes { kill(process, SIGKILL) }
            for status in [await asked.value, await server.observe()] {
                #expect(status.state == .crashed)
                #expect(status.postmaster == nil)
            }
        }
    }

    @Test("A controller that starts beside a running server finds it, and its end")
    func reattach() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let again = try TestServer.controller(server.configuration)
            let status = await again.observe(deadline: BootClock.now() + .seconds(5))
            #expect(status.state == .running)
            #expect(status.systemIdentifier != nil)
            try await again.adopt(configuration: ["parameters": ["work_mem": "9MB"]])
            #expect(try await server.sql("SHOW work_mem") == [["9MB"]])
            let third = try TestServer.controller(server.configuration)
            try await third.adopt(configuration: [:])
            #expect(try await server.sql("SHOW work_mem") == [["4MB"]], "what an earlier daemon wrote is replaced")
            let pid = try #require(status.postmaster)
            kill(pid, SIGQUIT)
            for await ended in again.exits {
                #expect(ended == pid)
                break
            }
        }
    }

    @Test("A server that hangs costs no more than the deadline, and halt ends it")
    func hang() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let before = await server.observe()
            let pid = try #require(before.postmaster)
            for process in [pid] + ProcessTable.descendants(of: pid) { kill(process, SIGSTOP) }
            let asked = BootClock.now()
            let status = await server.observe(within: .milliseconds(300))
            #expect(BootClock.now() - asked < .seconds(60))
            #expect(status.facts == nil)
            #expect(status.state == .running)
            #expect(status.postmaster == pid)
            let halting = BootClock.now()
            await server.controller.halt(deadline: halting + .seconds(1))
            #expect(BootClock.now() - halting < .seconds(60))
            #expect(!ProcessTable.isAlive(pid))
            #expect(await server.observe().state == .stopped)
            #expect(try await server.startPrimary() == .done)
        }
    }

    @Test("Halt works while an operation runs, which then starts nothing any more")
    func haltDuringOperation() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let pid = try #require(await server.observe().postmaster)
            kill(pid, SIGSTOP)
            let controller = server.controller
            let stopping = Task { try await controller.perform(.stopToRestart(timeout: .seconds(60))) }
            // A halt before the operation has begun would be none while it runs.
            #expect(await server.wait { $0.state == .restarting }.state == .restarting)
            await controller.halt(deadline: BootClock.now() + .seconds(1))
            #expect(!ProcessTable.isAlive(pid))
            await #expect(throws: PostgreSQLError.self) { try await stopping.value }
            #expect(await server.observe().postmaster == nil)
        }
    }

    @Test("A bad parameter does not keep the server from starting")
    func badParameter() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { configuration in
                configuration.parameters["no_such_parameter"] = "1"
                configuration.parameters["work_mem"] = "much"
            }
            #expect(try await server.bootstrap() == .done)
            #expect(try await server.sql("SHOW work_mem") == [["4MB"]])
        }
    }

    @Test("Configuration, WAL and socket may stand elsewhere; a command runs after the bootstrap")
    func otherPlaces() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { configuration in
                configuration.configurationDirectory = root + "/etc"
                configuration.usesUnixSocket = true
                configuration.usesUnixSocketForReplication = true
                configuration.hostBasedAuthentication = nil
                configuration.bootstrapHostBasedAuthentication = ["host all all 127.0.0.2/32 reject # ours"]
                configuration.initdbOptions.append("--waldir=\(root)/wal")
                configuration.postBootstrap = "printf %s > '\(root)/told'"
            }
            _ = try await server.controller.perform(.bootstrap)
            #expect(try Files.readText(root + "/etc/pg_hba.conf").contains("# ours"))
            #expect(try await server.sql("SHOW config_file") == [[root + "/etc/postgresql.conf"]])
            let told = try Files.readText(root + "/told")
            #expect(told.contains("user=postgres") && told.contains("host=\(root)") && !told.contains("secret"))
            #expect(await server.observe().isPrimary)
            _ = try await server.controller.perform(.setAsideDataDirectory)
            #expect(Files.exists(root + "/wal.failed/archive_status"))
            #expect(Files.kind(root + "/n1.failed/pg_wal") == .symbolicLink)
            #expect(!Files.exists(root + "/wal"))
        }
    }

    @Test("Octal settings wait for nothing, an unreadable name is left out, passwords stay in the data directory")
    func octal() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { configuration in
                configuration.parameters["unix_socket_permissions"] = "0770"
                configuration.parameters["log_file_mode"] = "0640"
                configuration.parameters["no name"] = "1"
                configuration.parameters["a.b.c"] = "1"
                configuration.passwordFile = root + "/n1/.matriarch-pgpass"
            }
            #expect(try await server.bootstrap() == .done)
            #expect(try await server.sql("SHOW unix_socket_permissions") == [["0770"]])
            #expect(await server.observe().pendingRestart.isEmpty)
            #expect(!Files.exists(root + "/n1/.matriarch-secret"))
            let other = try TestServer("n2", in: root) { $0.passwordFile = root + "/n2/.matriarch-pgpass" }
            try await other.join(server)
            let streaming = await other.wait { $0.facts?.receiver?.isStreaming == true }
            #expect(streaming.facts?.receiver?.isStreaming == true)
        }
    }

    @Test("Generated files that were edited by hand are written anew and read again")
    func editedByHand() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let file = root + "/n1/pg_hba.conf"
            let generated = try Files.readText(file)
            try Files.replace(file, with: (generated + "host all all all trust\n").utf8, mode: 0o644)
            try await server.sql("SELECT pg_reload_conf()")
            try await server.controller.refreshFiles()
            #expect(try Files.readText(file) == generated)
            let rules = try await server.sql("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'")
            #expect(rules == [["0"]])
            // Of a server that is down nothing is written: it gets its files when it starts.
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            try await server.controller.refreshFiles()
        }
    }

    @Test("A new configuration is reloaded; what needs a restart waits for it")
    func adopt() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            try await server.controller.adopt(
                configuration: ["parameters": ["work_mem": "8MB", "max_connections": 40]])
            #expect(try await server.sql("SHOW work_mem") == [["8MB"]])
            let expected = PostgreSQLStatus.PendingRestart(
                parameter: "max_connections", oldValue: "30", newValue: "40")
            #expect(await server.observe().pendingRestart == [expected])
            #expect(try await server.restart() == .done)
            #expect(await server.observe().pendingRestart.isEmpty)
            #expect(try await server.sql("SHOW max_connections") == [["40"]])
        }
    }

    @Test("Crash recovery in single-user mode ends with a clean control file, and leaves the archive alone")
    func singleUser() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { configuration in
                configuration.parameters["archive_mode"] = "on"
                configuration.parameters["archive_command"] = "echo %f >> \(root)/archived"
            }
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.immediate, timeout: .seconds(5)))
            #expect(await server.observe().control?.state == .inProduction)
            #expect(try await server.controller.perform(.recoverSingleUser) == .done)
            #expect(await server.observe().control?.state == .shutDown)
            // A segment that others have without its last records.
            let waiting = try Files.list(server.configuration.dataDirectory + "/pg_wal/archive_status")
            #expect(!waiting.contains { $0.hasSuffix(".ready") }, "\(waiting)")
        }
    }

    @Test("What archives for a server that is down has nothing of the daemon's environment that the server had not")
    func archiveEnvironment() async throws {
        try await withServers { root in
            setenv("PATRONI_TEST_PASSWORD", "secret", 1)
            let server = try TestServer("n1", in: root) { configuration in
                configuration.parameters["archive_mode"] = "on"
                configuration.parameters["archive_command"] = "{ echo %f; env; } >> \(root)/told"
            }
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            unlink(root + "/told")
            #expect(try await server.controller.perform(.archiveLastSegment) == .done)
            let told = try Files.readText(root + "/told")
            #expect(told.contains("0000000100000000") && told.contains("\nPATH="), "\(told)")
            #expect(!told.contains("PATRONI_"), "\(told)")
        }
    }

    @Test("For a server that is down a command that hangs is waited for once; one that gets on, or fails, goes on")
    func slowArchive() async throws {
        // The five that are full and the last one; the first and the last one; the first one.
        for (trouble, asked) in [("sleep 1", 6), ("exit 1", 2), ("sleep 1000", 1)] {
            try await withServers { root in
                let server = try TestServer("n1", in: root) { configuration in
                    configuration.archivingPatience = .seconds(trouble == "sleep 1000" ? 2 : 60)
                    configuration.parameters["archive_mode"] = "on"
                    // Refuses while the server runs.
                    configuration.parameters["archive_command"] =
                        "test -e \(root)/down && echo %f >> \(root)/told && \(trouble)"
                }
                _ = try await server.bootstrap()
                for _ in 0..<5 {
                    _ = try await server.sql("SELECT pg_logical_emit_message(false, '', 'x')")
                    _ = try await server.sql("SELECT pg_switch_wal()")
                }
                _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(30)))
                #expect(await server.wait { $0.postmaster == nil }.postmaster == nil)
                try Files.replace(root + "/down", with: [], mode: 0o644)
                #expect(try await server.controller.perform(.archiveLastSegment) == .done)
                let names = try Files.readText(root + "/told").split(separator: "\n")
                #expect(names.first == "000000010000000000000001" && names.count == asked, "\(trouble): \(names)")
                #expect(Set(names).count == asked, "\(trouble): \(names)")
            }
        }
    }

    @Test("A data directory is moved aside, and a cancelled operation says so")
    func setAside() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.controller.perform(.bootstrap)
            _ = try await server.controller.perform(.setAsideDataDirectory)
            let status = await server.observe()
            #expect(status.dataDirectory == .empty && status.postmaster == nil)
            #expect(Files.exists(server.configuration.dataDirectory + ".failed/PG_VERSION"))
            let controller = server.controller
            let bootstrap = Task { try await controller.perform(.bootstrap) }
            bootstrap.cancel()
            await #expect(throws: PostgreSQLError.cancelled) { try await bootstrap.value }
        }
    }
}
