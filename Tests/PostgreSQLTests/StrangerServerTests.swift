import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// A PostgreSQL of another directory runs where ours is to listen.
@Suite(
    "A server of another directory", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2))
)
struct StrangerServerTests {
    @Test("It is not taken for ours, whether or not it lets us in", arguments: [true, false])
    func holdsThePort(letsIn: Bool) async throws {
        try await withServers { root in
            let (former, ours) = try await pair(in: root, letsIn: letsIn)
            let error = await #expect(throws: PostgreSQLError.self) { try await ours.startStandby(of: nil) }
            let text = error?.description ?? ""
            #expect(text.contains("port \(ours.configuration.port) is held by a PostgreSQL"))
            if letsIn { #expect(text.contains("of \(former.configuration.dataDirectory), not of ours")) }
            let status = await ours.observe()
            #expect(status.state == .startFailed)
            #expect(status.postmaster == nil)
            #expect(status.facts == nil)
            // What has no postmaster gives no orders to somebody else's server.
            await #expect(throws: PostgreSQLError.self) { try await ours.controller.perform(.promote) }
            await #expect(throws: PostgreSQLError.self) {
                try await ours.controller.checkpoint(timeout: .seconds(5))
            }
            #expect(await former.observe().isPrimary)

            _ = try await former.controller.perform(.stop(.fast, timeout: .seconds(20)))
            #expect(try await ours.startPrimary() == .done)
            #expect(await ours.observe().isPrimary)
        }
    }

    @Test("Its pid file in the copy of its directory makes it no server of the copy")
    func copiedPidFile() async throws {
        try await withServers { root in
            let (former, ours) = try await pair(in: root, letsIn: true)
            let text = try Files.readText(former.configuration.dataDirectory + "/postmaster.pid")
            let copy = ours.configuration.dataDirectory + "/postmaster.pid"
            try Files.replace(copy, with: text.utf8, mode: 0o644)
            let late = try TestServer.controller(ours.configuration)
            for controller in [ours.controller, late] {
                let status = await controller.observe(deadline: BootClock.now() + .seconds(5))
                #expect(status.postmaster == nil)
                #expect(status.facts == nil)
            }
            _ = try await late.perform(.stop(.immediate, timeout: .seconds(5)))
            #expect(await former.observe().isPrimary)
        }
    }

    @Test("A data directory behind a symbolic link is the same one")
    func symbolicLink() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            #expect(symlink(server.configuration.dataDirectory, root + "/link") == 0)
            var configuration = server.configuration
            configuration.dataDirectory = root + "/link"
            let linked = try TestServer.controller(configuration)
            #expect(await linked.observe(deadline: BootClock.now() + .seconds(5)).isPrimary)
            #expect(try await linked.restart() == .done)
            #expect(await linked.observe(deadline: BootClock.now() + .seconds(5)).isPrimary)
        }
    }

    /// Two directories and one port: a server runs in the first.
    private func pair(in root: String, letsIn: Bool) async throws -> (former: TestServer, ours: TestServer) {
        let former = try TestServer("n1", in: root)
        _ = try await former.bootstrap()
        _ = try await former.controller.perform(.stop(.fast, timeout: .seconds(20)))
        let port = former.configuration.port
        let ours = try TestServer("n2", in: root) { configuration in
            configuration.port = port
            configuration.parameters["port"] = String(port)
            configuration.connectAddress = HostPort(host: "127.0.0.1", port: port)
            if !letsIn { configuration.superuser = .init(["username": "postgres", "password": "another"]) }
        }
        _ = try await ours.bootstrap()
        _ = try await ours.controller.perform(.stop(.fast, timeout: .seconds(20)))
        #expect(try await former.startPrimary() == .done)
        return (former, ours)
    }
}
