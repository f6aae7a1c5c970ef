import ClusterModel
import Glibc
import Ports
import Posix
import Processes
import Testing

@testable import PostgreSQL

/// The data directory of a running server goes away: the server is still known, and can be ended (S1).
@Suite(
    "A server without its directory", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2))
)
struct LostDirectoryServerTests {
    @Test("It is known by whoever started it, found it, or finds it afterwards", arguments: [true, false])
    func isKnownAndEnded(isRemoved: Bool) async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let pid = try #require(await server.observe().postmaster)
            let found = try TestServer.controller(server.configuration)
            #expect(await found.observe(deadline: BootClock.now() + .seconds(30)).postmaster == pid)
            let directory = server.configuration.dataDirectory
            #expect(unlink(directory + "/global/pg_control") == 0)
            let halved = await found.observe(deadline: BootClock.now() + .seconds(30))
            #expect(halved.dataDirectory == .inaccessible("\(directory)/global/pg_control is gone"))
            #expect(halved.mayAcceptWrites)
            if isRemoved {
                try Files.removeTree(directory)
            } else {
                #expect(rename(directory, directory + ".away") == 0)
            }

            let late = try TestServer.controller(server.configuration)
            for controller in [server.controller, found, late] {
                let status = await controller.observe(deadline: BootClock.now() + .seconds(30))
                #expect(status.dataDirectory == .empty)
                #expect(status.postmaster == pid)
                #expect(status.mayAcceptWrites)
            }
            // Nothing is written that a copy would find there afterwards.
            await #expect(throws: PostgreSQLError.self) { try await late.refreshFiles() }
            await #expect(throws: PostgreSQLError.self) {
                try await late.adopt(configuration: ["parameters": ["work_mem": "8MB"]])
            }
            #expect(!Files.exists(directory))
            _ = try await late.perform(.stop(.immediate, timeout: .seconds(30)))
            #expect(!ProcessTable.isAlive(pid))
            for controller in [server.controller, found, late] {
                #expect(await controller.observe(deadline: BootClock.now() + .seconds(30)).postmaster == nil)
            }
        }
    }
}
