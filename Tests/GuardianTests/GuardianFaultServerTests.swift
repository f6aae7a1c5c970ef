import CPlatform
import ClusterModel
import Glibc
import HighAvailability
import Ports
import Posix
import PostgreSQL
import Processes
import TestSupport
import Testing

@testable import GuardianClient

@Suite("A guardian in trouble", .serialized, .timeLimit(.minutes(2)))
struct GuardianFaultServerTests {
    enum Log: CaseIterable {
        case pipe, socket
    }

    @Test("A log that nobody reads keeps it from nothing", arguments: Log.allCases)
    func stuckLog(_ log: Log) async throws {
        try await withGuardian { scene in
            var ends: [Int32] = [-1, -1]
            switch log {
            case .pipe: _ = ms_pipe(&ends)
            case .socket: _ = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
            }
            try #require(ends[0] >= 0)
            defer { for end in ends { close(end) } }
            Self.fill(ends[1])
            var scene = scene
            scene.client = try GuardianScene.client(scene.root) { $0.standardError = ends[1] }
            let pid = try await scene.launch(GuardianScene.stubborn)
            try await scene.enforceAtEase(postmaster: pid)
            #expect(await GuardianScene.hasEnded(pid))
            let stop = try #require(try await scene.status().lastStop)
            #expect(stop.wasKilled)
        }
    }

    /// Writes until nothing more fits; whoever shares the description waits from then on.
    private static func fill(_ descriptor: Int32) {
        let bytes = [UInt8](repeating: 0x2e, count: 4096)
        while true {
            var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&room, 1, 0) > 0, write(descriptor, bytes, bytes.count) > 0 else { return }
        }
    }

    @Test("One that hangs as the lease ends is ended by the kernel, and PostgreSQL with it")
    func frozenWithoutADaemon() async throws {
        try await withGuardian { scene in
            let child = "setsid '\(scene.root)/postgres' -c \"\(GuardianScene.stubborn)\" & "
            let pid = try await scene.launch(child + GuardianScene.stubborn)
            let backend = try await Self.backend(of: pid, scene)
            try await scene.enforce(.seconds(4), postmaster: pid)
            let guardian = try await scene.status().pid
            kill(guardian, SIGSTOP)
            #expect(await GuardianScene.hasEnded(pid))
            #expect(await GuardianScene.hasEnded(backend))
            #expect(await GuardianScene.hasEnded(guardian))
        }
    }

    @Test("Guardian and postmaster are killed at once: no backend goes on")
    func killedTogether() async throws {
        try await withGuardian { scene in
            let child = "setsid '\(scene.root)/postgres' -c \"\(GuardianScene.stubborn)\" & "
            let pid = try await scene.launch(child + GuardianScene.stubborn)
            let backend = try await Self.backend(of: pid, scene)
            kill(try await scene.status().pid, SIGKILL)
            kill(pid, SIGKILL)
            #expect(await GuardianScene.hasEnded(backend))
        }
    }

    private static func backend(of postmaster: Int32, _ scene: GuardianScene) async throws -> Int32 {
        while true {
            let servers = ProcessTable.servers(in: realPath(scene.data), programs: ["postgres"])
            if let found = servers.first(where: { $0 != postmaster }) { return found }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test("A daemon of another data directory is refused, whatever led it here")
    func foreignDaemon() async throws {
        try await withGuardian { scene in
            let pid = try await scene.launch()
            let end = try await scene.enforce(.seconds(60), postmaster: pid).leaseEnd
            mkdir(scene.root + "/other", 0o700)
            let other = try GuardianScene.client(scene.root, data: "other")
            await #expect(throws: GuardianError.self) {
                try await other.tell(.disarm, deadline: BootClock.now() + .seconds(5))
            }
            let status = try await scene.status()
            #expect(status.leaseEnd == end)
        }
    }

    @Test("It is found by its process: by another spelling, and where its directory was tidied away")
    func foundAgain() async throws {
        try await withGuardian { scene in
            var scene = scene
            let noPlace: (inout GuardianClient.Options) -> Void = { $0.directory = nil }
            scene.client = try GuardianScene.client(scene.root, change: noPlace)
            let pid = try await scene.launch()
            let guardian = try await scene.status().pid
            symlink("data", scene.root + "/link")
            let second = try GuardianScene.client(scene.root, data: "link/", change: noPlace)
            #expect(try await second.inherit(postmaster: pid)?.status.pid == guardian)
            let place = try #require(ProcessTable.workingDirectory(guardian))
            try Files.removeTree(place)
            let third = try GuardianScene.client(scene.root, change: noPlace)
            let adopted = try #require(try await third.inherit(postmaster: pid)?.status)
            #expect(adopted.pid == guardian && adopted.postmaster == pid)
            kill(guardian, SIGKILL)
            #expect(await GuardianScene.hasEnded(pid))
        }
    }

    @Test(
        "One below another root directory is another node's, whatever its data directory is called",
        .enabled(if: geteuid() == 0, "another root is for root to make"))
    func otherRoot() async throws {
        try await withGuardian { scene in
            guard scene.mayMount else { return }  // In a container root may make no other root.
            let script = """
                mkdir "$1" && mount -t tmpfs none "$1" || exit
                for place in /*; do
                    [ ! -d "$place" ] || { mkdir "$1$place" && mount --rbind "$place" "$1$place"; }
                done
                exec chroot "$1" "$2" --data-dir "$3"
                """
            _ = try await DetachedLauncher().launch(
                .init(
                    executable: "/usr/bin/unshare",
                    arguments: [
                        "--mount", "/bin/sh", "-c", script, "sh", scene.root + "/other", GuardianScene.program,
                        scene.data,
                    ], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], workingDirectory: "/"))
            func listens(_ pid: Int32) -> Bool {
                ProcessTable.stat(pid)?.name == "matriarch-guard" && Files.exists("/proc/\(pid)/cwd/socket")
                    && ProcessTable.commandLine(pid)?.contains(scene.data) == true
            }
            let deadline = BootClock.now() + .seconds(20)
            while !ProcessTable.all().contains(where: { listens($0.pid) }) {
                try #require(BootClock.now() < deadline, "no guardian in another root")
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(GuardianPlace.search(scene.data) == [])
            #expect(try await scene.client.inherit(postmaster: nil) == nil)
        }
    }

    /// A service manager gives each start of a service another view of the file system.
    @Test(
        "Guardian and postmaster are known in another view, where that has the same directory and not another one",
        .enabled(if: geteuid() == 0, "another view is for root to make"), arguments: [true, false])
    func otherView(isSame: Bool) async throws {
        try await withGuardian { scene in
            guard scene.mayMount else { return }  // In a container root may make no other view.
            let change = isSame ? "mount --bind \"$2\" \"$2\"" : "mount -t tmpfs none \"$2\""
            let script = """
                \(change) && mount -t tmpfs none "$4" && cd "$2" || exit
                "$3" --data-dir "$2" &
                exec "$1" -c "\(GuardianScene.obedient)" sh -D "$2"
                """
            mkdir(scene.root + "/private", 0o700)
            let pid = try await DetachedLauncher().launch(
                .init(
                    executable: "/usr/bin/unshare",
                    arguments: [
                        "--mount", "/bin/sh", "-c", script, "sh", scene.root + "/postgres", scene.data,
                        GuardianScene.program, scene.root + "/private",
                    ], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], workingDirectory: "/"))
            func listens(_ pid: Int32) -> Bool {
                ProcessTable.stat(pid)?.name == "matriarch-guard" && Files.exists("/proc/\(pid)/cwd/socket")
                    && ProcessTable.commandLine(pid)?.contains(scene.data) == true
            }
            let deadline = BootClock.now() + .seconds(20)
            while !ProcessTable.isServer(pid, ["postgres"]) || !ProcessTable.all().contains(where: { listens($0.pid) })
            {
                try #require(BootClock.now() < deadline, "nothing in another view")
                try await Task.sleep(for: .milliseconds(10))
            }
            let found = ProcessTable.postmasters(startedOn: [scene.data], programs: ["postgres"])
            #expect(found == (isSame ? [pid] : []))
            #expect(GuardianPlace.search(scene.data).isEmpty != isSame)
        }
    }

    @Test("Of two guardians of one directory the parent of the postmaster stays, the other lets go")
    func oneTooMany() async throws {
        try await withGuardian { scene in
            let pid = try await DetachedLauncher().launch(scene.command(GuardianScene.obedient))
            let first = try await scene.enforce(.seconds(60), postmaster: pid).pid
            let words = [GuardianScene.program, "--data-dir", scene.data]
            let second = try await DetachedLauncher().launch(
                .init(
                    executable: words[0], arguments: Array(words.dropFirst()), environment: [],
                    workingDirectory: "/"))
            let deadline = BootClock.now() + .seconds(20)
            while GuardianPlace.search(scene.data).count < 2, BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(try await scene.client.inherit(postmaster: pid)?.status.pid == first)
            // What was started is the watcher of the second one.
            #expect(await GuardianScene.hasEnded(second))
        }
    }

    @Test("Of two guardians the silent one is ended, whichever is found first")
    func silentOfTwo() async throws {
        try await withGuardian { scene in
            let silent = try await scene.enforce(.seconds(60)).pid
            let words = [GuardianScene.program, "--data-dir", scene.data]
            _ = try await DetachedLauncher().launch(
                .init(
                    executable: words[0], arguments: Array(words.dropFirst()), environment: [],
                    workingDirectory: "/"))
            let deadline = BootClock.now() + .seconds(20)
            var other: Int32?
            while other == nil, BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(10))
                other = GuardianPlace.search(scene.data).map(\.pid).first { pid in
                    pid != silent && Files.exists("/proc/\(pid)/cwd/socket")
                }
            }
            let second = try #require(other)
            // It is found by its process alone, and does not come when it is called.
            try Files.removeTree(scene.directory)
            kill(silent, SIGSTOP)
            _ = try await scene.launch()
            #expect(await GuardianScene.hasEnded(silent))
            #expect(ProcessTable.isAlive(second))
        }
    }

    @Test("A place that somebody else has made is told, and nothing is started there")
    func takenPlace() async throws {
        try await withGuardian { scene in
            mkdir(scene.root + "/elsewhere", 0o700)
            symlink("elsewhere", scene.root + "/run")
            for order in [GuardOrder.disarm, .enforce(GuardianScene.lease(.seconds(30)), postmaster: nil)] {
                let error = await #expect(throws: GuardianError.self) {
                    try await scene.client.tell(order, deadline: BootClock.now() + .seconds(2))
                }
                #expect(error?.description.contains("\(scene.root)/run must be a directory") == true)
            }
            #expect(GuardianPlace.search(scene.data).isEmpty)
        }
    }

    @Test("One that does not start says why, also to who only disarms, and is not started without end")
    func startFails() async throws {
        try await withGuardian { scene in
            let marks = scene.root + "/marks"
            let program = scene.root + "/guardian"
            try makeProgram(program, "#!/bin/sh\necho >>\(marks) x; echo 'no luck'\n".utf8)
            let client = try GuardianScene.client(scene.root) { $0.executable = program }
            let enforce = GuardOrder.enforce(GuardianScene.lease(.seconds(30)), postmaster: nil)
            for order in [enforce, .disarm, enforce, enforce, .disarm] {
                let error = await #expect(throws: GuardianError.self) {
                    try await client.tell(order, deadline: BootClock.now() + .seconds(5))
                }
                #expect(error?.description.contains("no luck") == true)
            }
            #expect(try Files.read(marks).count <= 4)
        }
    }

    @Test("The pauses between attempts grow")
    func pauses() {
        var attempts = GuardianAttempts()
        #expect(!attempts.isTooEarly(0))
        var now: Int64 = 0
        for pause: Int64 in [500, 1000, 2000, 5000, 10_000, 10_000] {
            attempts.failed("x", now)
            #expect(attempts.isTooEarly(now + pause * 1_000_000 - 1))
            now += pause * 1_000_000
            #expect(!attempts.isTooEarly(now))
        }
        attempts.succeeded()
        #expect(attempts.failure == nil && !attempts.isTooEarly(0))
    }
}
