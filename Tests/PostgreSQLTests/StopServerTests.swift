import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes
import Synchronization
import Testing

@testable import PostgreSQL

/// What a stop waits for, and what it does not.
@Suite("Stops that are held up", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2)))
struct StopServerTests {
    @Test("A server that cannot archive has finished when its control file says so; it is left to archive, then ended")
    func hangingArchive() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { configuration in
                configuration.parameters["archive_mode"] = "on"
                configuration.parameters["archive_command"] = "while test -e \(root)/hang; do sleep 0.1; done"
            }
            _ = try await server.bootstrap()
            try Files.replace("\(root)/hang", with: "".utf8, mode: 0o644)
            let pid = try #require(await server.observe().postmaster)
            try await server.sql("SELECT pg_switch_wal()")
            try await Self.leaveSecondOfStart(of: server)

            let began = BootClock.now()
            let result = try await server.controller.perform(
                .stop(.fastAfterCheckpoint, timeout: .seconds(200), heirs: ["n2"]))
            guard case .archiving(let positions) = result else {
                Issue.record("it did not archive: \(result)")
                return
            }
            #expect(BootClock.now() - began < .seconds(100))
            #expect(positions.required <= positions.checkpoint)
            let status = await server.observe()
            #expect(status.postmaster == pid)
            #expect(status.finish == .shutDown)
            #expect(!status.mayAcceptWrites)
            #expect(status.state == .stopping)

            // The next daemon knows of it what this one does.
            let next = try TestServer.controller(server.configuration)
            let found = await next.observe(deadline: BootClock.now() + .seconds(10))
            #expect(found.postmaster == pid && found.finish == .shutDown)
            #expect(!found.mayAcceptWrites && found.state == .stopping)

            let rest = Task {
                try await server.controller.perform(.stop(.fast, timeout: .seconds(60)))
            }
            let waiting = await server.wait { $0.waitingFor?.contains("archiver") == true }
            #expect(waiting.waitingFor?.contains("archiver") == true)
            unlink("\(root)/hang")
            #expect(try await rest.value == .shutDown(positions))
            let down = await server.observe()
            #expect(down.postmaster == nil && down.finish == nil && down.waitingFor == nil)
            #expect(try await server.startPrimary() == .done)
            #expect(await server.observe().mayAcceptWrites)
        }
    }

    /// A primary with a segment that its archive_command does not take before `hang` is gone.
    private static func withHungArchiver(
        in root: String, _ configure: (inout LocalPostgreSQLConfiguration) -> Void
    ) async throws -> TestServer {
        let server = try TestServer("n1", in: root) { configuration in
            configure(&configuration)
            configuration.parameters["archive_mode"] = "on"
            configuration.parameters["archive_command"] = "while test -e \(root)/hang; do sleep 0.1; done"
        }
        _ = try await server.bootstrap()
        try Files.replace("\(root)/hang", with: "".utf8, mode: 0o644)
        try await server.sql("SELECT pg_switch_wal()")
        return server
    }

    @Test("An archiver that archives nothing is given up: what it leaves stays, is told, and is archived later")
    func hangingArchiveIsGivenUp() async throws {
        try await withServers { root in
            let server = try await Self.withHungArchiver(in: root) {
                $0.archiverPatience = .seconds(2)
                $0.archivingPatience = .seconds(600)
            }
            let stop = Task { try await server.controller.perform(.stop(.fast, timeout: .seconds(600))) }
            let waiting = await server.wait { $0.archiverStillSince != nil }
            #expect(waiting.archiverStillSince != nil && waiting.finish == .shutDown)
            guard case .shutDown(.some) = try await stop.value else {
                Issue.record("it was not a clean stop")
                return
            }
            let down = await server.observe()
            #expect(down.postmaster == nil && down.control?.state == .shutDown && down.archiverStillSince == nil)
            let left = try #require(down.unarchived)
            let status = "\(server.configuration.dataDirectory)/pg_wal/archive_status"
            #expect(Files.exists("\(status)/\(left.first).ready") && left.count >= 1)
            // Not once more, for that very command.
            #expect(try await server.controller.perform(.archiveLastSegment) == .done)
            #expect(await server.observe().unarchived == left)

            unlink("\(root)/hang")
            #expect(try await server.startPrimary() == .done)
            let archived = await server.wait { $0.unarchived == nil }
            #expect(archived.unarchived == nil && Files.exists("\(status)/\(left.first).done"))
        }
    }

    /// Nobody leads while a server is restarted, and its archive_command has its time again afterwards.
    @Test func anArchiverThatHangsDoesNotHoldUpARestart() async throws {
        try await withServers { root in
            let server = try await Self.withHungArchiver(in: root) { $0.archiverPatience = .seconds(1000) }
            let began = BootClock.now()
            #expect(try await server.controller.perform(.stopToRestart(timeout: .seconds(1000))) == .done)
            #expect(BootClock.now() - began < .seconds(900))
            let down = await server.observe()
            #expect(down.postmaster == nil && down.control?.state == .shutDown && down.unarchived == nil)
            unlink("\(root)/hang")
            #expect(try await server.startPrimary() == .done)
        }
    }

    /// The pid file tells the second in which the postmaster began, no more: what a daemon to come is to take for a
    /// proof is written in a later one.
    private static func leaveSecondOfStart(of server: TestServer) async throws {
        let text = try Files.readText("\(server.configuration.dataDirectory)/postmaster.pid")
        let start = try #require(PostmasterPidFile(text)?.startTime)
        // The clock of the file system ticks, and may be a tick behind.
        let end = (start + 1) * 1_000_000_000 + 20_000_000
        while WallClock.nanosecondsSinceEpoch() < end { try await Task.sleep(for: .milliseconds(20)) }
    }

    @Test("A stop ends what a postmaster that was killed has left behind", arguments: [false, true])
    func orphans(inDirectoryThatWasMoved isMoved: Bool) async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let postmaster = try #require(await server.observe().postmaster)
            let workers = ProcessTable.all().filter { $0.parent == postmaster }.map(\.pid)
            // What stands still notices no end of its postmaster; nor does what computes.
            for pid in workers { kill(pid, SIGSTOP) }
            let directory = server.configuration.dataDirectory
            if isMoved { #expect(rename(directory, directory + ".away") == 0) }
            kill(postmaster, SIGKILL)
            let deadline = BootClock.now() + .seconds(20)
            while ProcessTable.isAlive(postmaster), BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(!workers.isEmpty && workers.allSatisfy(ProcessTable.isAlive))
            _ = try await server.controller.perform(.stop(.immediate, timeout: .seconds(20)))
            #expect(!workers.contains(where: ProcessTable.isAlive))
        }
    }

    @Test("What the control file says of an earlier stop proves nothing")
    func proofIsOfThisStop() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20), heirs: []))
            let instance = try Instance(
                configuration: server.configuration, launcher: QuietLauncher(),
                tools: ToolRunner(helper: ToolRunner.testHelper, prefix: TestServer.commandPrefix),
                log: Logger(label: "test"))
            // A postmaster that begins to start from here, and is told to stop.
            instance.noteStopping(getpid())
            #expect(await !instance.hasWrittenLastRecord(getpid()))
            #expect(instance.finish(of: getpid()) == nil)
            // Nor of one that began after the control file was written, whoever has told it to stop.
            let now = WallClock.nanosecondsSinceEpoch() / 1_000_000_000
            for (start, status, proof) in [
                (now, "stopping", false), (now - 100, "ready", false), (now - 100, "stopping", true),
            ] {
                let text = "\(getpid())\n/data\n\(start)\n5432\n/run\n*\n1 2\n\(status)\n"
                let file = try #require(PostmasterPidFile(text))
                let finish = await instance.finishedBefore(file, deadline: BootClock.now() + .seconds(10))
                #expect((finish == .shutDown) == proof, "\(status) since \(start)")
            }
        }
    }

    @Test("A proof is of one postmaster: it is none of another one that gets its number, and ends with it")
    func proofEndsWithItsPostmaster() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            let launcher = ReusingLauncher()
            let instance = try Instance(
                configuration: server.configuration, launcher: launcher,
                tools: ToolRunner(helper: ToolRunner.testHelper, prefix: TestServer.commandPrefix),
                log: Logger(label: "test"))
            launcher.instance.withLock { $0 = instance }
            _ = try await Operator(instance).perform(.startPrimary(timeout: .seconds(30)))
            let pid = try #require(instance.postmaster()?.pid)
            #expect(instance.finish(of: pid) == nil)

            // One that was proven to have finished, and is gone.
            instance.remember { $0.finished = (pid, .shutDown) }
            let monitor = try Monitor(instance)
            #expect(await monitor.observe(deadline: BootClock.now() + .seconds(5)).finish == .shutDown)
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            let gone = await monitor.observe(deadline: BootClock.now() + .seconds(5))
            #expect(gone.postmaster == nil)
            #expect(instance.finish(of: pid) == nil)
        }
    }

    @Test("A receiver that does not move holds a stop up for so long, is named, and is ended")
    func stuckReceiver() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { $0.parameters["wal_level"] = "logical" }
            _ = try await server.bootstrap()
            try await server.sql("SELECT pg_create_logical_replication_slot('stuck', 'test_decoding')")
            try await server.sql("CREATE TABLE t (a text)")
            let consumer = try spawnConsumer(server)
            defer { kill(consumer, SIGKILL) }
            let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            var tries = 0
            while try await server.sql(streaming) != [["1"]], tries < 200 {
                tries += 1
                try await Task.sleep(for: .milliseconds(50))
            }
            kill(consumer, SIGSTOP)
            // More than the sockets between the two can hold.
            try await server.sql("INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 20000)")

            let began = BootClock.now()
            let stop = Task { try await server.controller.perform(.stop(.fast, timeout: .seconds(200), heirs: ["n2"])) }
            let waiting = await server.wait { $0.waitingFor?.contains("slot stuck") == true }
            #expect(waiting.waitingFor?.contains("logical walsender") == true)
            guard case .shutDown(.some) = try await stop.value else {
                Issue.record("it was not a clean stop")
                return
            }
            #expect(BootClock.now() - began < .seconds(100))
        }
    }

    @Test("A checkpointer that stands still is named, not the receivers that wait for it, and is not waited for")
    func stuckCheckpointer() async throws {
        try await withServers { root in
            let primary = try TestServer("n1", in: root)
            _ = try await primary.bootstrap()
            let standby = try TestServer("n2", in: root)
            try await standby.join(primary)
            let streaming = await primary.wait { $0.facts?.walSenders.first?.state == "streaming" }
            let postmaster = try #require(streaming.postmaster)
            let checkpointer = try #require(
                ProcessTable.all().filter { $0.parent == postmaster }.map(\.pid).first {
                    Holdup.Part($0)?.title.hasPrefix("checkpointer") == true
                })
            kill(checkpointer, SIGSTOP)
            let began = BootClock.now()
            let stop = Task {
                try await primary.controller.perform(.stop(.fast, timeout: .seconds(8), heirs: ["n2"]))
            }
            let waiting = await primary.wait { $0.waitingFor != nil }
            let text = waiting.waitingFor ?? ""
            let named = "the shutdown checkpoint: checkpointer (\(checkpointer), which is stopped"
            #expect(text.hasPrefix(named), "\(text)")
            // It is the server's to say what was received; this one has no last record.
            #expect(try await stop.value == .shutDown(nil))
            #expect(BootClock.now() - began < .seconds(20))
            let down = await primary.observe()
            #expect(down.postmaster == nil && !down.mayAcceptWrites && down.waitingFor == nil)
            #expect(!ProcessTable.isAlive(checkpointer))
            _ = try await standby.controller.perform(.stop(.immediate, timeout: .seconds(20)))
        }
    }

    /// pg_recvlogical writing to nowhere.
    private func spawnConsumer(_ server: TestServer) throws -> Int32 {
        let words =
            TestServer.commandPrefix + [
                "/usr/bin/env", "PGPASSWORD=\(server.configuration.superuser.password ?? "")",
                "\(TestServer.binDirectory ?? "")/pg_recvlogical", "-h", "127.0.0.1", "-p",
                String(server.configuration.port), "-U", "postgres", "-d", "postgres", "-S", "stuck", "--start", "-f",
                "/dev/null",
            ]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for text in arguments { free(text) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, words[0], nil, nil, &arguments, environ)
        guard code == 0 else { throw SystemError(call: "posix_spawn", subject: words[0], code: code) }
        return pid
    }

    @Test("A process for which SIGKILL is pending runs no more")
    func doomed() {
        let text = "Name:\tx\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n"
        #expect(ProcessTable.isDoomed(status: text))
        #expect(!ProcessTable.isDoomed(status: text.replacing("0100", with: "0200")))
        #expect(!ProcessTable.isDoomed(getpid()))
    }
}

/// Launches under a number for which a proof stands, of a postmaster that had it before.
private final class ReusingLauncher: PostmasterLauncher {
    let instance = Mutex<Instance?>(nil)

    func launch(_ command: PostmasterCommand) async throws(PostgreSQLError) -> Int32 {
        let pid = try await QuietLauncher().launch(command)
        instance.withLock { $0?.remember { $0.finished = (pid, .shutDown) } }
        return pid
    }

    func signal(_ signal: Int32, to pid: Int32) async -> Bool { await QuietLauncher().signal(signal, to: pid) }
}
