import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

@Suite(
    "Names of synchronous standbys", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2))
)
struct SynchronousServerTests {
    private func names(_ server: TestServer) async -> PostgreSQLStatus.Synchronous? {
        await server.observe().facts?.synchronous
    }

    @Test("They come into force, show who has what, and outlive the server and the daemon")
    func areSetAndStay() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root) {
                $0.isSynchronous = true
                $0.parameters["synchronous_standby_names"] = "of_the_user"
            }
            let second = try TestServer("n-2", in: root)
            _ = try await first.bootstrap()
            // In synchronous mode the user's value is none.
            #expect(await names(first)?.inForce == "")
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }

            let wanted = SynchronousNames(.quorum, 1, ["n-2"])
            try await first.controller.nameSynchronous(.names(wanted))
            #expect(await names(first)?.inForce == "ANY 1 (\"n-2\")")
            #expect(await names(first)?.written == "ANY 1 (\"n-2\")")
            let named = await first.wait { $0.facts?.walSenders.first?.syncPriority == 1 }.facts
            #expect(named?.walSenders.first?.syncState == "quorum")
            #expect(named?.walSenders.first?.flushed != nil)
            #expect(named?.synchronous?.level == "on")
            let settled = await first.wait { $0.facts?.synchronous?.checkpointerListens == true }
            #expect(settled.facts?.synchronous?.checkpointerListens == true)

            // A commit waits as long as its standby is away.
            _ = try await second.controller.perform(.stop(.immediate, timeout: .seconds(5)))
            await #expect(throws: (any Error).self) {
                try await first.sql("CREATE TABLE waits()", within: .seconds(1))
            }

            // A new daemon finds the server as it was, whatever its configuration says; and a restart, too.
            let again = try TestServer.controller(first.configuration)
            _ = await again.observe(deadline: BootClock.now() + .seconds(5))
            try await again.adopt(configuration: ["parameters": ["work_mem": "5MB"]])
            let after = await again.observe(deadline: BootClock.now() + .seconds(5)).facts
            #expect(after?.synchronous?.inForce == "ANY 1 (\"n-2\")")
            _ = try await again.restart()
            let restarted = await again.observe(deadline: BootClock.now() + .seconds(5)).facts
            #expect(restarted?.synchronous?.inForce == "ANY 1 (\"n-2\")")

            try await again.nameSynchronous(.configured)
            #expect(
                await again.observe(deadline: BootClock.now() + .seconds(5)).facts?.synchronous?.inForce
                    == "of_the_user")
            try await again.nameSynchronous(.names(.nobody))
            #expect(await again.observe(deadline: BootClock.now() + .seconds(5)).facts?.synchronous?.inForce == "")
        }
    }

    @Test("A standby has none until it is told before its promotion")
    func areSetBeforeAPromotion() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root) { $0.isSynchronous = true }
            let second = try TestServer("n2", in: root) { $0.isSynchronous = true }
            _ = try await first.bootstrap()
            try await first.controller.nameSynchronous(.names(SynchronousNames(.priority, 1, ["n2"])))
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            #expect(await names(second) == nil)
            #expect(try await second.sql("SHOW synchronous_standby_names") == [[""]])
            _ = try await first.controller.perform(.stop(.immediate, timeout: .seconds(5)))
            let wanted = SynchronousNames(.priority, 1, ["n1"])
            #expect(try await second.controller.perform(.nameSynchronous(.names(wanted))) == .done)
            #expect(try await second.controller.perform(.promote) == .done)
            #expect(await names(second)?.inForce == "n1")
            await #expect(throws: (any Error).self) {
                try await second.sql("CREATE TABLE waits()", within: .seconds(1))
            }
        }
    }

    @Test("Before a promotion a checkpointer that is busy is waited for: until then no commit would wait")
    func aBusyCheckpointer() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root) { $0.isSynchronous = true }
            let second = try TestServer("n2", in: root) { $0.isSynchronous = true }
            _ = try await first.bootstrap()
            try await second.join(first)
            let found = try await second.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
            let pid = try #require(found.first?.first?.flatMap { Int32($0) })
            _ = try await first.controller.perform(.stop(.immediate, timeout: .seconds(5)))

            // Stopped it stands for one that waits for the disk.
            kill(pid, SIGSTOP)
            let wanted = SynchronousNames(.priority, 1, ["n1"])
            await #expect(throws: PostgreSQLError.self) {
                try await second.controller.perform(.nameSynchronous(.names(wanted)))
            }
            #expect(try await second.sql("SHOW synchronous_standby_names") == [["n1"]], "the sessions have read it")
            let again = Task {
                let outcome = try await second.controller.perform(.nameSynchronous(.names(wanted)))
                return (outcome, BootClock.now())
            }
            try await Task.sleep(for: .seconds(1))
            let resumed = BootClock.now()
            kill(pid, SIGCONT)
            let (outcome, answered) = try await again.value
            #expect(outcome == .done && answered >= resumed)

            let other = SynchronousNames(.priority, 1, ["n3"])
            #expect(try await second.controller.perform(.nameSynchronous(.names(other))) == .done)
            // Nobody is to be waited for: nor is the checkpointer.
            kill(pid, SIGSTOP)
            #expect(try await second.controller.perform(.nameSynchronous(.names(.nobody))) == .done)
            kill(pid, SIGCONT)
            #expect(try await second.controller.perform(.nameSynchronous(.names(other))) == .done)
            #expect(try await second.controller.perform(.promote) == .done)
            await #expect(throws: (any Error).self) {
                try await second.sql("CREATE TABLE waits()", within: .seconds(1))
            }
        }
    }

    @Test("A file that cannot be written changes nothing")
    func aFullDiskLeavesThemAsTheyWere() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { $0.isSynchronous = true }
            _ = try await server.bootstrap()
            try await server.controller.nameSynchronous(.names(SynchronousNames(.priority, 1, ["n2"])))
            let file = server.configuration.configurationFile
            // What is in the way of a rename onto the file stands for a disk that takes nothing.
            #expect(rename(file, file + ".kept") == 0)
            #expect(mkdir(file, 0o700) == 0)
            await #expect(throws: PostgreSQLError.self) {
                try await server.controller.nameSynchronous(.names(SynchronousNames(.priority, 1, ["n3"])))
            }
            #expect(rmdir(file) == 0)
            #expect(rename(file + ".kept", file) == 0)
            #expect(await names(server)?.inForce == "n2")
            #expect(await names(server)?.written == "n2")
            try await server.controller.nameSynchronous(.names(SynchronousNames(.priority, 1, ["n3"])))
            #expect(await names(server)?.inForce == "n3")
        }
    }

    @Test("Names and another upstream come into force although the new configuration cannot be read")
    func aConfigurationThatCannotBeRead() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            for server in [first, second] {
                await #expect(throws: PostgreSQLError.self) {
                    try await server.controller.adopt(
                        configuration: [
                            "custom_conf": .string(root + "/missing.conf"), "parameters": ["work_mem": "8MB"],
                        ])
                }
            }
            try await first.controller.nameSynchronous(.names(SynchronousNames(.priority, 1, ["n2"])))
            #expect(try await first.sql("SHOW synchronous_standby_names") == [["n2"]])
            let elsewhere = Upstream(name: "n3", address: HostPort(host: "127.0.0.1", port: 1))
            #expect(try await second.controller.perform(.follow(elsewhere)) == .done)
            #expect(try await second.sql("SHOW primary_conninfo").first?.first??.contains("port='1'") == true)
            #expect(try await second.controller.perform(.follow(first.upstream)) == .done)
            let streams = await second.wait { $0.facts?.receiver?.isStreaming == true }
            #expect(streams.facts?.receiver?.isStreaming == true)

            _ = try await first.controller.perform(.stop(.immediate, timeout: .seconds(5)))
            let wanted = SynchronousNames(.priority, 1, ["n1"])
            #expect(try await second.controller.perform(.nameSynchronous(.names(wanted))) == .done)
            #expect(try await second.controller.perform(.promote) == .done)
            #expect(try await second.sql("SHOW synchronous_standby_names") == [["n1"]])
            #expect(try await second.sql("SHOW work_mem") == [["4MB"]])
            // The file comes: what was refused is taken, and what was set meanwhile stays.
            try Files.replace(root + "/missing.conf", with: "bgwriter_delay = 400ms\n".utf8, mode: 0o644)
            let deadline = BootClock.now() + .seconds(20)
            while try await second.sql("SHOW work_mem") != [["8MB"]], BootClock.now() < deadline {
                _ = await second.observe()
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await second.sql("SHOW work_mem") == [["8MB"]])
            #expect(try await second.sql("SHOW synchronous_standby_names") == [["n1"]])
        }
    }
}
