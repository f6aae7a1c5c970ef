import ClusterModel
import Glibc
import Ports
import Posix
import Processes
import Testing

@testable import PostgreSQL

@Suite("Processes and their files")
struct ProcessTests {
    @Test(
        "postmaster.pid",
        arguments: [
            ("4711\n/data\n1700000000\n5432\n/tmp\n*\n  5432001\n", 4711, false, "/data", 1_700_000_000),
            ("4711\n", 4711, false, nil, nil), ("-12\n/data\n5\n", 12, true, "/data", 5),
            ("4711\n\nx\n", 4711, false, nil, nil),
        ] as [(String, Int32, Bool, String?, Int64?)])
    func pidFile(text: String, pid: Int32, isSingle: Bool, directory: String?, start: Int64?) throws {
        let file = try #require(PostmasterPidFile(text))
        #expect(file.pid == pid)
        #expect(file.isSingleUser == isSingle)
        #expect(file.dataDirectory == directory)
        #expect(file.startTime == start)
    }

    @Test(
        "A server is ready when its pid file says so",
        arguments: [
            ("7\n/d\n1\n5432\n/tmp\n*\n  5432001\nready   \n", true),
            ("7\n/d\n1\n5432\n/tmp\n*\n  5432001\nstarting\n", false), ("7\n/d\n", false),
        ])
    func readiness(text: String, isReady: Bool) throws {
        #expect(try #require(PostmasterPidFile(text)).isReady == isReady)
    }

    @Test("What is no pid file", arguments: ["", "\n", "x\n", "0\n", "-2147483648\n", "99999999999\n"])
    func noPidFile(text: String) { #expect(PostmasterPidFile(text) == nil) }

    private static let identity = PostmasterIdentity(
        ownPid: 100, ownParent: 1, program: "postgres15", dataDirectory: "/d")

    private static func candidate(
        pid: Int32 = 7, parent: Int32 = 1, start: Double? = 5000, program: String? = "/b/postgres15",
        cwd: String? = "/d"
    ) -> PostmasterIdentity.Candidate {
        .init(pid: pid, parent: parent, startTime: start, program: program, workingDirectory: cwd)
    }

    @Test(
        "Whose pid it is",
        arguments: [
            (candidate(), 5000, true), (candidate(pid: 100), 5000, false), (candidate(pid: 1), 5000, false),
            (candidate(parent: 100), 5000, false), (candidate(program: "/bin/sleep"), 5002, true),
            (candidate(program: "/bin/sleep"), 5004, false), (candidate(), 9000, true),
            (candidate(cwd: "/other"), 9000, false), (candidate(cwd: nil), 9000, true),
            (candidate(program: nil, cwd: nil), 9000, false), (candidate(program: "/b/postmaster"), nil, true),
            (candidate(start: nil), 5000, true), (candidate(cwd: "/other"), 5000, false),
        ] as [(PostmasterIdentity.Candidate, Int64?, Bool)])
    func identity(candidate: PostmasterIdentity.Candidate, start: Int64?, isOurs: Bool) {
        #expect(Self.identity.isOurs(candidate, startTime: start) == isOurs)
    }

    @Test("A line of /proc/PID/stat, whatever the program is called")
    func stat() throws {
        let rest = "S 42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2"
        let stat = try #require(ProcessTable.Stat("7 (a) b (c) \(rest)"))
        #expect(stat.parent == 42)
        #expect(stat.state == "S")
        #expect(stat.startTicks == 12345)
        #expect(ProcessTable.Stat("7 (a") == nil)
        #expect(ProcessTable.Stat("7 (a) S 1") == nil)
    }

    @Test("We find ourselves")
    func own() throws {
        #expect(ProcessTable.isAlive(getpid()))
        let candidate = try #require(PostmasterIdentity.candidate(getpid()))
        #expect(candidate.parent == getppid())
        let age = Double(WallClock.nanosecondsSinceEpoch()) / 1e9 - (candidate.startTime ?? 0)
        #expect(age > -3 && age < 3600)
    }

    @Test("The environment of a postmaster")
    func environment() {
        let given = [
            "PATH=/bin", "NOTIFY_SOCKET=/x", "PATRONI_NAME=a", "KUBERNETES_PORT=1", "MALLOC_ARENA_MAX=9",
            "PG_MALLOC_ARENA_MAX=1", "PGTZ=UTC",
        ]
        #expect(PostmasterEnvironment.filtered(given) == ["PATH=/bin", "MALLOC_ARENA_MAX=1", "PGTZ=UTC"])
        #expect(
            PostmasterEnvironment.filtered(["MALLOC_ARENA_MAX=2"], staleOwner: 9) == [
                "MALLOC_ARENA_MAX=2", "PG_GRANDPARENT_PID=9",
            ])
    }

    @Test("postmaster.opts")
    func options() {
        let text =
            "/b/postgres \"-D\" \"/d\" \"--config-file=/d/postgresql.conf\" \"--port=5432\" \"--cluster-name=a=b\"\n"
        #expect(
            PostmasterOptions.parse(text) == [
                "config_file": "/d/postgresql.conf", "port": "5432", "cluster_name": "a=b",
            ])
    }

    @Test("The end of a process is told, and nobody waits beyond a deadline", .timeLimit(.minutes(1)))
    func watch() async throws {
        let watch = try PostmasterWatch()
        let pid = try await DetachedLauncher().launch(
            .init(executable: "/bin/sleep", arguments: ["60"], environment: [], workingDirectory: "/"))
        #expect(watch.watch(pid))
        #expect(await watch.waitForExit(of: pid, deadline: BootClock.now() + .milliseconds(5)) == false)
        let waiting = Task { await watch.waitForExit(of: pid, deadline: BootClock.now() + .seconds(30)) }
        let cancelled = Task { await watch.waitForExit(of: pid, deadline: BootClock.now() + .seconds(30)) }
        cancelled.cancel()
        #expect(await cancelled.value == false)
        #expect(await DetachedLauncher().signal(SIGKILL, to: pid))
        #expect(await waiting.value)
        for await ended in watch.exits {
            #expect(ended == pid)
            break
        }
        #expect(!watch.isWatching(pid))
    }

    @Test(
        "A process that the kernel gives no pidfd for has not ended", .timeLimit(.minutes(1)),
        arguments: [EMFILE, EPERM, ENOSYS])
    func noDescriptor(code: Int32) async throws {
        let watch = try PostmasterWatch { _ in
            errno = code
            return -1
        }
        let pid = try await DetachedLauncher().launch(
            .init(executable: "/bin/sleep", arguments: ["60"], environment: [], workingDirectory: "/"))
        #expect(watch.watch(pid))
        #expect(await watch.waitForExit(of: pid, deadline: BootClock.now() + .milliseconds(120)) == false)
        #expect(watch.isWatching(pid))
        #expect(await DetachedLauncher().signal(SIGKILL, to: pid))
        #expect(await watch.waitForExit(of: pid, deadline: BootClock.now() + .seconds(30)))
        #expect(!watch.watch(pid))
    }

    @Test("A program that cannot be started says why")
    func launchFailure() async {
        await #expect(throws: PostgreSQLError.self) {
            try await DetachedLauncher().launch(
                .init(executable: "/no/such", arguments: [], environment: [], workingDirectory: "/"))
        }
    }

    @Test(
        "What the state becomes by looking",
        arguments: [
            (.running, false, .down, false, .crashed), (.running, false, .down, true, .crashed),
            (.starting, false, .down, false, .startFailed), (.starting, false, .down, true, .starting),
            (.starting, true, .rejecting, false, .starting), (.starting, true, .accepting, false, .running),
            (.stopped, true, .accepting, false, .running), (.stopped, false, .down, false, .stopped),
            (.stopping, false, .down, false, .stopped), (.stopping, true, .accepting, true, .stopping),
            (.restarting, false, .down, true, .restarting), (.restarting, false, .down, false, .restartFailed),
            (.crashed, false, .down, false, .crashed), (.crashed, true, .accepting, false, .running),
            (.creatingReplica, false, .down, true, .creatingReplica),
        ] as [(PostgreSQLState, Bool, PostgreSQLStatus.Readiness, Bool, PostgreSQLState)])
    func state(
        before: PostgreSQLState, isAlive: Bool, readiness: PostgreSQLStatus.Readiness, isOperating: Bool,
        after: PostgreSQLState
    ) {
        #expect(
            StateRule.next(
                before, isAlive: isAlive, readiness: readiness, hasServed: false, isOperating: isOperating) == after)
    }

    @Test(
        "Who has served and dies is seen refusing connections, and has crashed all the same",
        arguments: [
            (.starting, false, .down, false, .crashed), (.starting, false, .down, true, .starting),
            (.running, true, .rejecting, false, .starting), (.restarting, false, .down, false, .restartFailed),
        ] as [(PostgreSQLState, Bool, PostgreSQLStatus.Readiness, Bool, PostgreSQLState)])
    func stateOfServed(
        before: PostgreSQLState, isAlive: Bool, readiness: PostgreSQLStatus.Readiness, isOperating: Bool,
        after: PostgreSQLState
    ) {
        #expect(
            StateRule.next(
                before, isAlive: isAlive, readiness: readiness, hasServed: true, isOperating: isOperating) == after)
    }

    @Test(
        "Where a path leads in a view of the file system",
        arguments: [
            ("/srv/data/16", "/srv/data/16"), ("/a b/x", "/volumes/a b/x"), ("/over/x", "/second/x"),
            ("/overt/x", "/overt/x"), ("/srv//./data/", "/srv/data"),
        ])
    func mounts(path: String, place: String) throws {
        let table = MountTable(
            """
            27 1 8:1 / / rw - ext4 /dev/sda rw
            28 27 8:1 /volumes/a\\040b /a\\040b rw - ext4 /dev/sda rw
            29 27 8:1 /first /over rw - ext4 /dev/sda rw
            30 29 8:1 /second /over rw - ext4 /dev/sda rw
            nonsense
            """)
        let plain = MountTable("1 0 8:1 / / rw - ext4 /dev/sda rw")
        let found = try #require(table.place(of: path))
        #expect(found == plain.place(of: place))
        #expect(found != MountTable("1 0 8:2 / / rw - ext4 /dev/sdb rw").place(of: place))
        for unclear in ["", "x", "/srv/../x"] { #expect(table.place(of: unclear) == nil) }
        #expect(MountTable("").place(of: path) == nil)
    }

    @Test("Options that keep a tool from making durable what it writes") func leaveOutSync() {
        for option in ["-N", "-kN", "--no-sync", "--no-s", "-gN"] {
            #expect(ToolArguments.leaveOutSync(["-k", option]))
        }
        for option in ["--no-slot", "-UN", "-k", "--username=N", "-E UNICODE", "--nosync", "N", "-XNone"] {
            #expect(!ToolArguments.leaveOutSync([option]))
        }
    }
}
