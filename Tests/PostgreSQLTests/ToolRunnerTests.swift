import CPlatform
import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes
import TestSupport
import Testing

@testable import PostgreSQL

extension ToolRunner {
    /// The guardian's program stands beside the tests, as it stands beside the daemon.
    static var testHelper: String { Files.parent(realPath("/proc/self/exe")) + "/matriarch-guardian" }

    static var forTests: ToolRunner { ToolRunner(helper: testHelper) }
}

@Suite("Programs", .timeLimit(.minutes(1)))
struct ToolRunnerTests {
    private func invocation(
        _ command: String, within duration: Duration = .seconds(20), limit: Int = 1 << 16
    ) -> ToolRunner.Invocation {
        .init(
            program: "/bin/sh", arguments: ["-c", command], environment: ["A_NAME": "value"],
            deadline: BootClock.now() + duration, outputLimit: limit)
    }

    @Test("Status, output and environment")
    func output() async throws {
        let output = try await ToolRunner.forTests.run(invocation("echo $A_NAME; echo error >&2; exit 3"))
        #expect(output.status == 3)
        #expect(output.text == "value\nerror\n")
        await #expect(throws: PostgreSQLError.tool(name: "sh", status: 3, output: "x")) {
            try await ToolRunner.forTests.succeed(invocation("echo x; exit 3"))
        }
    }

    @Test("Only the end of long output is kept")
    func bound() async throws {
        let output = try await ToolRunner.forTests.run(invocation("seq 1 100000; echo end", limit: 1000))
        #expect(output.text.utf8.count == 1000)
        #expect(output.text.hasSuffix("100000\nend\n"))
    }

    @Test("A program that is late is ended with what it has started")
    func late() async throws {
        // It does not listen to SIGTERM, so it takes SIGKILL to end it.
        let (lines, told) = AsyncStream.makeStream(of: String.self)
        var late = invocation("trap '' TERM; sleep 60 & echo $!; wait", within: .seconds(5))
        late.onLine = { told.yield($0) }
        await #expect(throws: PostgreSQLError.timedOut("sh")) { try await ToolRunner.forTests.run(late) }
        told.finish()
        var child: Int32?
        for await line in lines { child = Int32(line) }
        let pid = try #require(child)
        let deadline = BootClock.now() + .seconds(10)
        while ProcessTable.isAlive(pid), BootClock.now() < deadline { try await Task.sleep(for: .milliseconds(10)) }
        #expect(!ProcessTable.isAlive(pid))
    }

    @Test("A cancelled task ends its program")
    func cancelled() async throws {
        let task = Task { try await ToolRunner.forTests.run(invocation("sleep 60")) }
        task.cancel()
        await #expect(throws: PostgreSQLError.cancelled) { try await task.value }
    }

    @Test("A program that does not exist")
    func missing() async {
        await #expect(throws: PostgreSQLError.self) {
            try await ToolRunner.forTests.run(
                .init(program: "/no/such/tool", arguments: [], deadline: BootClock.now() + .seconds(5)))
        }
    }

    @Test("Lines end at line feeds and carriage returns")
    func lines() {
        let tail = OutputTail(limit: 100)
        #expect(tail.append(Array("a\rb".utf8)) == ["a"])
        #expect(tail.append(Array("c\r\nd".utf8)) == ["bc"])
        #expect(tail.text == "a\rbc\r\nd")
    }

    @Test("What a program leaves behind ends with it")
    func leftBehind() async throws {
        let output = try await ToolRunner.forTests.run(invocation("setsid sleep 600 >/dev/null 2>&1 & echo $!; exit 4"))
        #expect(output.status == 4)
        let pid = try #require(Int32(output.text.trimmed))
        #expect(!ProcessTable.isAlive(pid))
    }

    @Test("A program ends when the daemon does, with all that it has started")
    func daemonEnds() async throws {
        // The pipe whose end the helper waits for is all that it knows of the daemon.
        let lifeline = try FileDescriptor.pipe()
        let lifeEnd = FileDescriptor(owning: lifeline.output)
        let life = FileDescriptor(owning: lifeline.input)
        let told = try FileDescriptor.pipe()
        let output = FileDescriptor(owning: told.output)
        let outputEnd = FileDescriptor(owning: told.input)
        let script = "trap '' TERM HUP; setsid sleep 600 >/dev/null & echo $!; echo $$; sleep 600"
        let words = [ToolRunner.testHelper, "--helper", "/bin/sh", "-c", script]
        var arguments = words.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), nil]
        defer { for text in arguments + environment { free(text) } }
        var helper: pid_t = 0
        let code = ms_spawn_child(
            words[0], &arguments, &environment, [lifeEnd.number, outputEnd.number, 2], 3, &helper)
        try #require(code == 0)
        _ = consume lifeEnd
        _ = consume outputEnd
        var text = ""
        while text.split(separator: "\n").count < 2 || !text.hasSuffix("\n") {
            text += String(decoding: try output.read(count: 100), as: UTF8.self)
        }
        let pids = text.split(separator: "\n").compactMap { Int32($0) }
        #expect(pids.count == 2 && pids.allSatisfy(ProcessTable.isAlive))
        _ = consume life
        // Its end of the output closes when all have ended.
        #expect(try output.read(count: 1).isEmpty)
        #expect(!pids.contains(where: ProcessTable.isAlive))
        #expect(waitpid(helper, nil, 0) == helper)
    }
}

@Suite("The lock of a data directory", .timeLimit(.minutes(1)))
struct DirectoryLockTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A process that has inherited the lock of `directory`, and nobody above it any more.
    private static func holder(
        _ program: String, _ directory: String, arguments words: [String] = ["600"], output: Int32 = -1
    ) throws -> Int32 {
        let file = try FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY)
        try #require(flock(file.number, LOCK_EX | LOCK_NB) == 0)
        var arguments = ([program] + words).map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [nil]
        defer { for text in arguments { free(text) } }
        var pid: pid_t = 0
        let code = ms_spawn_child(program, &arguments, &environment, [-1, output, -1, file.number], 4, &pid)
        try #require(code == 0)
        return pid
    }

    private static func withDirectory(_ body: (String) async throws -> Void) async throws {
        let path = try makeTemporaryDirectory("lock")
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(path)) } catch { outcome = .failure(error) }
        try Files.removeTree(path)
        try outcome.get()
    }

    @Test("What an earlier daemon has left at work is ended before anything else")
    func orphan() async throws {
        try await Self.withDirectory { path in
            let pid = try Self.holder("/bin/sleep", path)
            // As on a disk that hangs for seconds.
            kill(pid, SIGSTOP)
            let collector = Task.detached { waitpid(pid, nil, 0) }
            let lock = DirectoryLock(log: Self.quiet)
            try await lock.acquire(path, deadline: BootClock.now() + .seconds(20))
            #expect(await collector.value == pid)
            let copy = FileDescriptor(owning: lock.share())
            #expect(copy.number >= 0)
        }
    }

    @Test("Another daemon is waited for, and named")
    func otherDaemon() async throws {
        try await Self.withDirectory { path in
            let program = path + "/matriarch"
            try makeProgram(program, try Files.read("/bin/sleep"))
            let pid = try Self.holder(program, path)
            let lock = DirectoryLock(log: Self.quiet)
            let error = await #expect(throws: PostgreSQLError.self) {
                try await lock.acquire(path, deadline: BootClock.now() + .milliseconds(50))
            }
            #expect(error.map { "\($0)".contains("process \(pid) (matriarch)") } == true)
            #expect(ProcessTable.isAlive(pid))
            kill(pid, SIGKILL)
            #expect(waitpid(pid, nil, 0) == pid)
            try await lock.acquire(path, deadline: BootClock.now() + .seconds(20))
        }
    }

    @Test(
        "A directory in which another daemon works is none of ours: nothing is seen, written or ended there",
        arguments: [false, true])
    func tenant(isStopped: Bool) async throws {
        try await Self.withDirectory { path in
            let (program, data) = (path + "/matriarch", path + "/n1")
            try makeProgram(program, try Files.read("/bin/sleep"))
            mkdir(data, 0o700)
            let pid = try Self.holder(program, data)
            if isStopped { kill(pid, SIGSTOP) }
            while isStopped, ProcessTable.stat(pid)?.state != "T" { try await Task.sleep(for: .milliseconds(2)) }
            let server = try TestServer("n1", in: path)
            _ = await #expect(throws: PostgreSQLError.self) {
                try await server.controller.claimDirectory(deadline: BootClock.now() + .milliseconds(50))
            }
            let seen = await server.observe()
            if case .inaccessible(let why) = seen.dataDirectory {
                #expect(why.contains("process \(pid) (matriarch)") && !isStopped)
            } else {
                #expect(isStopped, "one that is stopped keeps nobody from looking")
            }
            if !isStopped {
                for mode in [StopMode.fast, .byForce] {
                    await #expect(throws: PostgreSQLError.self) {
                        try await server.controller.perform(.stop(mode, timeout: .seconds(5)))
                    }
                }
            }
            kill(pid, SIGKILL)
            #expect(waitpid(pid, nil, 0) == pid)
            let freed = await server.wait { $0.dataDirectory == .empty }
            #expect(freed.dataDirectory == .empty && !server.controller.isKeptOut)
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(5)))
        }
    }

    @Test("Where who worked there has ended, what it has left at work is ended before anything is looked at")
    func tenantsHelper() async throws {
        try await Self.withDirectory { path in
            let (program, data) = (path + "/matriarch", path + "/n1")
            try makeProgram(program, try Files.read("/bin/sh"))
            mkdir(data, 0o700)
            let told = try FileDescriptor.pipe()
            let output = FileDescriptor(owning: told.output)
            let outputEnd = FileDescriptor(owning: told.input)
            let script = "/bin/sleep 600 & echo $!; wait"
            let pid = try Self.holder(program, data, arguments: ["-c", script], output: outputEnd.number)
            let helper = try #require(Int32(String(decoding: try output.read(count: 20), as: UTF8.self).trimmed))
            let server = try TestServer("n1", in: path)
            _ = await #expect(throws: PostgreSQLError.self) {
                try await server.controller.claimDirectory(deadline: BootClock.now())
            }
            #expect(server.controller.isKeptOut)
            kill(pid, SIGKILL)
            #expect(waitpid(pid, nil, 0) == pid)
            #expect(ProcessTable.isAlive(helper))
            let freed = await server.wait { $0.dataDirectory == .empty }
            #expect(freed.dataDirectory == .empty && !ProcessTable.isAlive(helper))
        }
    }

    /// What is forked to run another program is ours until it does, and has our descriptors: here, our program itself,
    /// at more output than the pipe takes.
    @Test("Who runs our own program is waited for")
    func ownProgram() async throws {
        try await Self.withDirectory { path in
            let own = try #require(Files.target(ofLink: "/proc/self/exe"))
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            let reader = FileDescriptor(owning: ends[0])
            let writer = FileDescriptor(owning: ends[1])
            let pid = try Self.holder(
                own, path, arguments: ["--testing-library", "swift-testing", "--list-tests"], output: writer.number)
            _ = await #expect(throws: PostgreSQLError.self) {
                try await DirectoryLock(log: Self.quiet).acquire(path, deadline: BootClock.now() + .milliseconds(50))
            }
            #expect(ProcessTable.isAlive(pid))
            kill(pid, SIGKILL)
            #expect(waitpid(pid, nil, 0) == pid)
            #expect(reader.number >= 0)
        }
    }

    @Test("The lock is of the directory, not of its name: another one in its place is locked anew")
    func replaced() async throws {
        try await Self.withDirectory { path in
            let (data, aside) = (path + "/data", path + "/aside")
            mkdir(data, 0o700)
            let lock = DirectoryLock(log: Self.quiet)
            try await lock.acquire(data, deadline: BootClock.now() + .seconds(5))
            rename(data, aside)
            try await lock.acquire(data, deadline: BootClock.now() + .seconds(5))
            mkdir(data, 0o700)
            try await lock.acquire(data, deadline: BootClock.now() + .seconds(5))
            let file = try FileDescriptor.open(data, O_RDONLY | O_DIRECTORY)
            #expect(flock(file.number, LOCK_EX | LOCK_NB) != 0)
        }
    }
}
