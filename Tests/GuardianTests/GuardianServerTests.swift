import ClusterModel
import Glibc
import HighAvailability
import Ports
import Posix
import Processes
import TestSupport
import Testing

@testable import GuardianClient
@testable import PostgreSQL

@Suite("A guardian with real processes", .serialized, .timeLimit(.minutes(1)))
struct GuardianServerTests {
    @Test("It is the postmaster's parent, and a second postmaster is refused")
    func launches() async throws {
        try await withGuardian { scene in
            let pid = try await scene.launch()
            let status = try await scene.status()
            #expect(status.postmaster == pid && status.isParent && status.leaseEnd == nil)
            #expect(ProcessTable.stat(pid)?.parent == status.pid)
            await #expect(throws: PostgreSQLError.self) { try await scene.launch() }
            #expect(ProcessTable.isAlive(pid))
        }
    }

    @Test("Whoever looks for it by the name of its program finds it alone")
    func names() async throws {
        try await withGuardian { scene in
            _ = try await scene.launch()
            let guardian = try await scene.status().pid
            let found = ProcessTable.all().map(\.pid).filter { pid in
                let words = ProcessTable.commandLine(pid) ?? []
                return words.first?.hasSuffix("/matriarch-guardian") == true && words.contains(scene.data)
            }
            #expect(found == [guardian])
        }
    }

    @Test("What cannot be started is told")
    func launchErrors() async throws {
        try await withGuardian { scene in
            var command = scene.command(GuardianScene.obedient)
            command.executable = scene.root + "/missing"
            await #expect(throws: PostgreSQLError.self) { try await scene.client.launch(command) }
            command = scene.command(GuardianScene.obedient)
            command.workingDirectory = scene.root + "/missing"
            await #expect(throws: PostgreSQLError.self) { try await scene.client.launch(command) }
            let pid = try await scene.launch()
            #expect(ProcessTable.isAlive(pid))
        }
    }

    @Test("A daemon that falls silent: SIGQUIT before the lease ends")
    func silence() async throws {
        try await withGuardian { scene in
            let pid = try await scene.launch()
            let armed = try await scene.enforce(.seconds(4), postmaster: pid)
            #expect(await GuardianScene.hasEnded(pid))
            let stop = try #require(try await scene.status().lastStop)
            let end = try #require(armed.leaseEnd)
            #expect(stop.at >= end - .seconds(1))
            #expect(!stop.wasKilled)
        }
    }

    @Test("A server that does not end by SIGQUIT is killed, with its processes")
    func stubbornness() async throws {
        try await withGuardian { scene in
            // A second process of the same kind, in a session of its own as PostgreSQL's children are.
            let child = "setsid '\(scene.root)/postgres' -c \"\(GuardianScene.stubborn)\" & "
            let pid = try await scene.launch(child + GuardianScene.stubborn)
            while ProcessTable.servers(in: realPath(scene.data), programs: ["postgres"]).count < 2 {
                try await Task.sleep(for: .milliseconds(5))
            }
            try await scene.enforceAtEase(postmaster: pid)
            #expect(await GuardianScene.hasEnded(pid))
            for other in ProcessTable.servers(in: realPath(scene.data), programs: ["postgres"]) {
                #expect(await GuardianScene.hasEnded(other))
            }
            let stop = try #require(try await scene.status().lastStop)
            #expect(stop.wasKilled)
        }
    }

    @Test("Renewals keep it running; so does disarming")
    func renewals() async throws {
        try await withGuardian { scene in
            let pid = try await scene.launch()
            let first = try #require(try await scene.enforce(.seconds(10), postmaster: pid).leaseEnd)
            let renewed = try #require(try await scene.enforce(.seconds(20), postmaster: pid).leaseEnd)
            #expect(renewed > first)
            // Long enough to be disarmed in time by a machine that is slow.
            try await scene.enforce(.seconds(6), postmaster: pid)
            let end = BootClock.now() + .seconds(6)
            _ = try await scene.client.tell(.disarm, deadline: BootClock.now() + .seconds(5))
            while BootClock.now() < end { try await Task.sleep(for: .milliseconds(20)) }
            #expect(ProcessTable.isAlive(pid))
        }
    }

    @Test("A standby needs no lease: its start disarms; a primary is not started after the end of one")
    func endedLease() async throws {
        try await withGuardian { scene in
            try await scene.enforce(.milliseconds(1))
            await #expect(throws: PostgreSQLError.self) { try await scene.launch() }
            var command = scene.command(GuardianScene.obedient)
            command.isStandby = true
            let pid = try await scene.client.launch(command)
            let status = try await scene.status()
            #expect(status.leaseEnd == nil)
            #expect(ProcessTable.isAlive(pid))
        }
    }

    @Test("A guardian that is killed takes PostgreSQL with it")
    func killedGuardian() async throws {
        try await withGuardian { scene in
            let pid = try await scene.launch()
            kill(try await scene.status().pid, SIGKILL)
            #expect(await GuardianScene.hasEnded(pid))
        }
    }

    @Test("A guardian that hangs is noticed, and replaced at the next start")
    func frozenGuardian() async throws {
        try await withGuardian { scene in
            let pid = try await scene.launch()
            let frozen = try await scene.status().pid
            kill(frozen, SIGSTOP)
            await #expect(throws: GuardianError.self) { try await scene.enforce(.seconds(30), postmaster: pid) }
            kill(pid, SIGQUIT)
            #expect(await GuardianScene.hasEnded(pid))
            let next = try await scene.launch()
            let status = try await scene.status()
            #expect(status.pid != frozen && status.postmaster == next)
            #expect(await GuardianScene.hasEnded(frozen))
        }
    }

    @Test("One that hangs costs an order no more than its time, also behind many others; the next launch replaces it")
    func frozenForLong() async throws {
        try await withGuardian { scene in
            let pid = try await scene.launch()
            let frozen = try await scene.status().pid
            kill(frozen, SIGSTOP)
            // More than wait to be accepted.
            for _ in 0..<12 {
                let client = try GuardianScene.client(scene.root)
                let began = BootClock.now()
                await #expect(throws: GuardianError.self) { try await client.inherit(postmaster: pid) }
                #expect(BootClock.now() - began < .seconds(20))
            }
            kill(pid, SIGQUIT)
            #expect(await GuardianScene.hasEnded(pid))
            let next = try await scene.launch()
            #expect(try await scene.status().postmaster == next)
            #expect(await GuardianScene.hasEnded(frozen))
        }
    }

    @Test("Where the next one hangs, too, nothing is started, and none is left that could do it later")
    func frozenGuardians() async throws {
        try await withGuardian { scene in
            // Stands still as soon as it has said that it is ready.
            let wrapper = scene.root + "/frozen"
            try makeProgram(
                wrapper,
                """
                #!/bin/sh
                mkfifo "$0.$$"
                '\(GuardianScene.program)' "$@" > "$0.$$" &
                read -r word < "$0.$$"
                pkill -STOP -f '^\(GuardianScene.program) --data-dir \(scene.root)/data'
                echo begun >> "$0.log"
                echo "$word"
                """.utf8)
            let client = try GuardianScene.client(scene.root) { $0.executable = wrapper }
            let command = scene.command(GuardianScene.obedient)
            await #expect(throws: PostgreSQLError.self) { try await client.launch(command) }
            let guardians = ProcessTable.all().map(\.pid).filter {
                ProcessTable.commandLine($0)?.starts(with: [GuardianScene.program, "--data-dir", scene.data]) == true
            }
            for pid in guardians { #expect(await GuardianScene.hasEnded(pid, by: BootClock.now() + .seconds(10))) }
            #expect(try Files.readText(wrapper + ".log") == "begun\nbegun\n")
        }
    }

    @Test("A daemon that begins again finds guardian, postmaster and lease; orders of before do not count")
    func readoption() async throws {
        try await withGuardian { scene in
            let pid = try await scene.launch()
            let end = try await scene.enforce(.seconds(30), postmaster: pid).leaseEnd
            let second = try GuardianScene.client(scene.root)
            let inherited = try #require(try await second.inherit(postmaster: pid))
            #expect(inherited.status.postmaster == pid)
            #expect(inherited.lease?.deadline == end)
            #expect(inherited.lease?.session == "s")
            // Another postmaster than the guarded one has no lease.
            let other = try await second.inherit(postmaster: pid + 1)
            #expect(other?.lease == nil)
        }
    }

    @Test("A postmaster that somebody else started is under the same deadline")
    func foreignPostmaster() async throws {
        try await withGuardian { scene in
            let pid = try await DetachedLauncher().launch(scene.command(GuardianScene.obedient))
            let inherited = try await scene.client.inherit(postmaster: pid)
            #expect(inherited?.lease == nil)
            let status = try await scene.enforce(.seconds(2), postmaster: pid)
            #expect(status.postmaster == pid && !status.isParent)
            #expect(await GuardianScene.hasEnded(pid))
            // A process that is no server of this data directory is left alone.
            await #expect(throws: GuardianError.self) { try await scene.enforce(.seconds(2), postmaster: getpid()) }
        }
    }

    @Test("The socket of a dead guardian is taken over; a goodbye without PostgreSQL ends one")
    func staleSocket() async throws {
        try await withGuardian { scene in
            try await scene.enforce(.seconds(30))
            let first = try await scene.status().pid
            kill(first, SIGKILL)
            #expect(await GuardianScene.hasEnded(first))
            let other = try GuardianScene.client(scene.root)
            #expect(Files.exists(scene.directory + "/socket"))
            let second = try await other.tell(
                .enforce(GuardianScene.lease(.seconds(30)), postmaster: nil), deadline: BootClock.now() + .seconds(10))
            #expect(second.pid != first)
            await other.goodbye()
            #expect(await GuardianScene.hasEnded(second.pid))
        }
    }

    @Test("A directory that others may enter is refused")
    func openDirectory() async throws {
        try await withGuardian { scene in
            try Files.makeDirectory(scene.root + "/run", mode: 0o755)
            chmod(scene.root + "/run", 0o755)
            let order = GuardOrder.enforce(GuardianScene.lease(.seconds(30)), postmaster: nil)
            await #expect(throws: GuardianError.self) {
                try await scene.client.tell(order, deadline: BootClock.now() + .seconds(1))
            }
        }
    }

    @Test("A standby that makes itself a primary while no daemon is there is ended", .timeLimit(.minutes(1)))
    func selfMadePrimary() async throws {
        try await withGuardian { scene in
            // As PostgreSQL's own restart after a crash: all its processes are others, and none recovers.
            func part(_ name: String) -> String { "bash -c 'exec -a \"postgres: demo: \(name)\" sleep 600' & " }
            var command = scene.command(
                part("checkpointer") + "a=$!; " + part("startup recovering 000000010000000000000003") + "b=$!; "
                    + "while [ ! -e crash ]; do sleep 0.1; done; kill -9 $a $b; " + part("checkpointer")
                    + ": >crashed; " + GuardianScene.stubborn)
            command.isStandby = true
            let pid = try await scene.client.launch(command)
            // It has to have been looked at before; nobody tells that it was.
            try await Task.sleep(for: .seconds(2))
            #expect(ProcessTable.isAlive(pid))
            // Daemon and server end at the same time.
            try Files.replace(scene.data + "/crash", with: "".utf8, mode: 0o600)
            while !Files.exists(scene.data + "/crashed") { try await Task.sleep(for: .milliseconds(5)) }
            await scene.client.disconnect()
            #expect(await GuardianScene.hasEnded(pid))
            #expect(try await scene.status().lastStop?.wasKilled == true)
        }
    }

    @Test("Another user is refused", .enabled(if: geteuid() == 0 && Files.exists("/usr/bin/perl")))
    func otherUser() async throws {
        try await withGuardian { scene in
            try await scene.enforce(.seconds(30))
            for path in [scene.root, scene.root + "/run", scene.directory] { chmod(path, 0o755) }
            chmod(scene.directory + "/socket", 0o777)
            // Nothing but the end of the connection comes: status 0.
            let script = """
                use Socket; socket(S, AF_UNIX, SOCK_SEQPACKET, 0) or exit 2;
                connect(S, sockaddr_un($ARGV[0])) or exit 3; alarm 10; syswrite(S, "verb=status\\0sent=1\\0");
                exit(sysread(S, $answer, 9) ? 4 : 0);
                """
            let output = try await ToolRunner(helper: GuardianScene.program).run(
                .init(
                    program: "/usr/bin/setpriv",
                    arguments: [
                        "--reuid=nobody", "--clear-groups", "--", "/usr/bin/perl", "-e", script,
                        scene.directory + "/socket",
                    ], deadline: BootClock.now() + .seconds(20)))
            #expect(output.status == 0, "\(output.text)")
        }
    }
}
