import ClusterModel
import Glibc
import Ports
import Posix
import Processes
import Synchronization
import Testing

@testable import PostgreSQL

@Suite("Whether processes work") struct ProcessWorkTests {
    private func tree(_ ticks: [Int32: UInt64], state: Character = "S") -> [(pid: Int32, stat: ProcessTable.Stat)] {
        ticks.sorted { $0.key < $1.key }.compactMap { pid, ticks in
            let zeros = Array(repeating: "0", count: 40)
            var fields = [String(state), "1"] + zeros
            fields[11] = String(ticks)
            return ProcessTable.Stat("\(pid) (a b) c) " + fields.joined(separator: " ")).map { (pid, $0) }
        }
    }

    private func at(_ seconds: Int64) -> BootInstant { BootInstant(nanoseconds: seconds * 1_000_000_000) }

    @Test func whoGetsNoTimeStandsStill() {
        var work = ProcessWork()
        #expect(work.stillSince(tree([1: 100, 2: 50]), at: at(10)) == at(10))
        #expect(work.stillSince(tree([1: 100, 2: 51]), at: at(12)) == at(10))
        #expect(work.stillSince(tree([1: 100, 2: 151]), at: at(14)) == nil)
        #expect(work.stillSince(tree([1: 100, 2: 151]), at: at(15)) == at(15))
        #expect(work.stillSince(tree([1: 100, 2: 151, 3: 0]), at: at(16)) == nil)
    }

    /// Ready to run and not let: that is load, not a hang.
    @Test func whoWantsToRunDoesNotStandStill() {
        var work = ProcessWork()
        #expect(work.stillSince(tree([1: 100]), at: at(10)) == at(10))
        #expect(work.stillSince(tree([1: 100], state: "R"), at: at(11)) == nil)
    }
}

@Suite("Whether the checkpointer stands still") struct CheckpointerWorkTests {
    private func at(_ seconds: Int64) -> BootInstant { BootInstant(nanoseconds: seconds * 1_000_000_000) }

    @Test func whoHasNoTurnStandsStill() {
        var work = CheckpointerWork()
        func look(_ state: Character, _ turns: UInt64?, _ seconds: Int64, pid: Int32 = 7) -> BootInstant? {
            work.stuck(pid, state: state, turns: turns, at: at(seconds))?.since
        }
        #expect(look("D", 100, 10) == at(10))
        #expect(look("D", 100, 40) == at(10))
        #expect(look("D", 101, 50) == at(50), "it has come out of the kernel, and has gone back")
        #expect(look("R", 101, 60) == nil, "it wants to run")
        #expect(look("D", 101, 70) == at(70))
        #expect(look("S", 101, 80) == nil, "it sleeps")
        #expect(look("D", nil, 90) == nil, "nobody knows")
        #expect(look("T", 102, 100) == at(100))
        #expect(look("T", 102, 110, pid: 8) == at(110), "another one")
        #expect(look("D", 102, 120, pid: 8) == at(120), "it was let go on, and does not come far")
        #expect(work.stuck(8, state: "t", turns: 102, at: at(130))?.isStopped == true)
    }

    @Test func turnsAreReadFromItsStatus() {
        let text = "Name:\tpostgres\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t7\n"
        #expect(ProcessTable.turns(ofStatus: text) == 157)
        #expect(ProcessTable.turns(ofStatus: "Name:\tpostgres\n") == nil)
        #expect(ProcessTable.turns(ofStatus: "voluntary_ctxt_switches:\nnonvoluntary_ctxt_switches:\t7\n") == nil)
        #expect(ProcessTable.turns(getpid()) != nil)
    }
}

private final class Counter: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func add() { value.withLock { $0 += 1 } }
}

@Suite("A look that does not come back") struct LooksTests {
    private func status(_ nanoseconds: Int64) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .initialized, state: .running, observedAt: BootInstant(nanoseconds: nanoseconds))
    }

    @Test(.timeLimit(.minutes(1))) func givesTheLastAnswerAsOldAsItIs() async {
        let looks = Looks()
        let none: @Sendable (BootInstant) -> PostgreSQLStatus = { _ in status(0) }
        let first = await looks.look(until: BootClock.now() + .seconds(60), unseen: none) { status(1) }
        #expect(first.observedAt.nanoseconds == 1)
        let hangs = AsyncStream<Void>.makeStream()
        // More than may wait at once: none of them waits for ever, and few of them begin.
        let begun = Counter()
        let stream = hangs.stream
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    let late = await looks.look(until: BootClock.now(), unseen: none) {
                        begun.add()
                        for await _ in stream { break }
                        return status(2)
                    }
                    #expect(late.observedAt.nanoseconds == 1)
                }
            }
        }
        #expect(begun.count <= Looks.maximum)
        hangs.continuation.finish()
    }

    /// An operation has ended since the last answer, which is none any more.
    @Test(.timeLimit(.minutes(1))) func afterAnOperationTheLastAnswerIsNone() async {
        let looks = Looks()
        let unseen: @Sendable (BootInstant) -> PostgreSQLStatus = {
            PostgreSQLStatus(dataDirectory: .unseen("it hangs"), state: .stopped, observedAt: $0)
        }
        let first = await looks.look(until: BootClock.now() + .seconds(60), unseen: unseen) {
            PostgreSQLStatus(dataDirectory: .initialized, state: .running, observedAt: BootClock.now())
        }
        let hangs = AsyncStream<Void>.makeStream()
        let stream = hangs.stream
        let ended = BootClock.now()
        for (since, expected) in [(ended, ended), (first.observedAt, first.observedAt)] {
            let late = await looks.look(since: since, until: BootClock.now(), unseen: unseen) {
                for await _ in stream { break }
                return status(2)
            }
            #expect(late.observedAt == expected)
            #expect((late.dataDirectory == .unseen("it hangs")) == (since == ended))
        }
        hangs.continuation.finish()
    }

    /// The very first one: what is known without the disk is given instead, as old as the first question.
    @Test(.timeLimit(.minutes(1))) func thatIsTheFirstIsNotWaitedForEither() async {
        let looks = Looks()
        let hangs = AsyncStream<Void>.makeStream()
        let begun = Counter()
        let stream = hangs.stream
        var answers: [BootInstant] = []
        for _ in 0..<2 {
            let unseen: @Sendable (BootInstant) -> PostgreSQLStatus = {
                PostgreSQLStatus(dataDirectory: .unseen("it hangs"), state: .stopped, observedAt: $0)
            }
            let found = await looks.look(until: BootClock.now(), unseen: unseen) {
                begun.add()
                for await _ in stream { break }
                return status(2)
            }
            #expect(found.dataDirectory == .unseen("it hangs"))
            answers.append(found.observedAt)
        }
        #expect(answers.first == answers.last, "what was not seen does not get younger by being asked for again")
        #expect(begun.count <= Looks.maximum)
        hangs.continuation.finish()
    }
}

/// A server under SIGSTOP, with a real PostgreSQL.
@Suite("A server that hangs", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3)))
struct SilentServerTests {
    /// Asks until `condition` holds. What is asked is owed until it is answered, so the pulse is taken after a look. A
    /// look has as long as it may need where it is to be answered: one that is late loses the connection that it is
    /// made on, and with a postmaster that stands still there is no other.
    private func wait(
        _ server: TestServer, lookingFor patience: Duration = .milliseconds(300), _ condition: (Pulse) -> Bool
    ) async throws {
        let end = BootClock.now() + .seconds(120)
        while BootClock.now() < end {
            _ = await server.controller.observe(deadline: BootClock.now() + patience)
            if let pulse = await server.controller.pulse(), condition(pulse) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("it never came to that")
    }

    @Test func allItsProcessesAreStoppedAndKilled() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let pid = try #require(await server.observe().postmaster)
            try await wait(server) { $0.unansweredSince == nil && $0.closedSince == nil && $0.postmaster == pid }
            let tree = [pid] + ProcessTable.descendants(of: pid)
            for process in tree { kill(process, SIGSTOP) }
            try await wait(server) { pulse in
                pulse.unansweredSince != nil && pulse.closedSince != nil && pulse.stillSince != nil
                    && pulse.processes.isPostmasterStopped && pulse.processes.stopped == pulse.processes.total
            }
            _ = try await server.controller.perform(.stop(.byForce, timeout: .seconds(20)))
            #expect(!tree.contains { ProcessTable.isAlive($0) })
            #expect(await server.observe().postmaster == nil)
            #expect(await server.controller.pulse() == nil)
        }
    }

    /// A daemon starts beside a server whose disk hangs: here, a pid file that nobody comes back from.
    @Test func theDiskHasHungSinceTheDaemonStarted() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let pid = try #require(await server.observe().postmaster)
            let file = server.configuration.dataDirectory + "/postmaster.pid"
            #expect(rename(file, file + ".away") == 0)
            #expect(mkfifo(file, 0o600) == 0)
            let next = try TestServer.controller(server.configuration)
            let status = await next.observe(deadline: BootClock.now() + .milliseconds(200))
            guard case .unseen = status.dataDirectory else {
                Issue.record("it was seen: \(status.dataDirectory)")
                return
            }
            #expect(status.postmaster == pid && status.mayAcceptWrites)
            #expect(await next.pulse()?.unansweredSince != nil)
            _ = try await next.perform(.stop(.byForce, timeout: .seconds(20)))
            #expect(!ProcessTable.isAlive(pid))
            let after = await next.observe(deadline: BootClock.now() + .milliseconds(200))
            #expect(after.postmaster == nil && !after.mayAcceptWrites)
            // The disk answers again.
            let writer = open(file, O_RDWR | O_NONBLOCK)
            #expect(unlink(file) == 0)
            close(writer)
            let end = BootClock.now() + .seconds(60)
            while BootClock.now() < end, await next.observe(deadline: BootClock.now() + .seconds(3)).control == nil {}
            #expect(await next.observe(deadline: BootClock.now() + .seconds(3)).dataDirectory == .initialized)
        }
    }

    /// Sessions go on, and everything answers.
    @Test func onlyTheCheckpointerIsStopped() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            _ = try #require(await server.wait(within: .seconds(60)) { $0.facts != nil }.postmaster)
            let question = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
            let pid = try #require(try await server.sql(question).first?.first?.flatMap { Int32($0) })
            // A checkpoint that writes, and one that sleeps between two blocks, is none that stands still.
            try await server.sql("CREATE TABLE much AS SELECT repeat('x', 100) FROM generate_series(1, 50000)")
            try await wait(server, lookingFor: .seconds(60)) { $0.checkpointer == nil }
            try await server.sql("CHECKPOINT")
            #expect(await server.controller.pulse()?.checkpointer == nil)
            kill(pid, SIGSTOP)
            try await wait(server, lookingFor: .seconds(60)) { pulse in
                guard let checkpointer = pulse.checkpointer else { return false }
                return checkpointer.isStopped && pulse.takenAt - checkpointer.since > .milliseconds(500)
                    && pulse.unansweredSince == nil && pulse.closedSince == nil && pulse.unflushedSince == nil
            }
            kill(pid, SIGCONT)
            try await wait(server, lookingFor: .seconds(60)) { $0.checkpointer == nil }
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
        }
    }

    @Test func onlyThePostmasterIsStopped() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            // From here on the connection is open on which it is looked at.
            let pid = try #require(await server.wait(within: .seconds(60)) { $0.facts != nil }.postmaster)
            kill(pid, SIGSTOP)
            try await wait(server, lookingFor: .seconds(60)) { pulse in
                pulse.unansweredSince == nil && pulse.closedSince != nil && pulse.processes.isPostmasterStopped
                    && pulse.processes.stopped == 1
            }
            kill(pid, SIGCONT)
            try await wait(server, lookingFor: .seconds(60)) { $0.closedSince == nil && $0.unansweredSince == nil }
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
        }
    }
}
