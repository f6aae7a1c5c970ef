import ClusterModel
import Glibc
import Ports
import Posix
import Processes
import Synchronization
import Testing

@testable import PostgreSQL

/// A disk that does not answer any more: here, a pid file that nobody comes back from.
@Suite("A disk that dies", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3)))
struct DeadDiskServerTests {
    /// A primary that is known, and whose pid file hangs from now on.
    private static func primary(in root: String) async throws -> (TestServer, Int32, String) {
        let server = try TestServer("n1", in: root)
        _ = try await server.bootstrap()
        let pid = try #require(await server.observe().postmaster)
        let file = server.configuration.dataDirectory + "/postmaster.pid"
        #expect(rename(file, file + ".away") == 0)
        #expect(mkfifo(file, 0o600) == 0)
        return (server, pid, file)
    }

    /// Whoever waits at the pid file goes on.
    private static func revive(_ file: String) {
        let writer = open(file, O_RDWR | O_NONBLOCK)
        unlink(file)
        close(writer)
    }

    @Test(arguments: [StopMode.immediate, .byForce]) func theServerIsEnded(_ mode: StopMode) async throws {
        try await withServers { root in
            let (server, pid, file) = try await Self.primary(in: root)
            _ = try await server.controller.perform(.stop(mode, timeout: .seconds(20)))
            #expect(!ProcessTable.isAlive(pid))
            Self.revive(file)
        }
    }

    @Test func haltingAsksNoDisk() async throws {
        try await withServers { root in
            let (server, pid, file) = try await Self.primary(in: root)
            await server.controller.halt(deadline: BootClock.now() + .seconds(20))
            #expect(!ProcessTable.isAlive(pid))
            Self.revive(file)
        }
    }

    /// The guardian has ended it. Nobody has to be signalled, and that none is left is known without the disk.
    @Test func thatNoneIsLeftIsKnownWithoutTheDisk() async throws {
        try await withServers { root in
            let (server, pid, file) = try await Self.primary(in: root)
            kill(pid, SIGKILL)
            while ProcessTable.isAlive(pid) { try await Task.sleep(for: .milliseconds(5)) }
            for _ in 0..<2 {
                let result = try await server.controller.perform(.stop(.byForce, timeout: .seconds(3)))
                #expect(result == .shutDown(nil))
            }
            await server.controller.halt(deadline: BootClock.now() + .seconds(1))
            Self.revive(file)
        }
    }

    /// Two operations on one directory never overlap: one that hangs, and was broken off, starts nothing once the disk
    /// is back, and one that was broken off while it waited for its turn does nothing at all.
    @Test func whatWasBrokenOffStartsNothing() async throws {
        try await withServers { root in
            let (server, pid, file) = try await Self.primary(in: root)
            kill(pid, SIGKILL)
            while ProcessTable.isAlive(pid) { try await Task.sleep(for: .milliseconds(5)) }
            let controller = server.controller
            let hanging = Task { try await controller.perform(.startPrimary(timeout: .seconds(30))) }
            let waiting = Task { try await controller.perform(.startPrimary(timeout: .seconds(30))) }
            // Both are under way once neither can be refused any more: a pid file that is read has a reader.
            var writer: Int32 = -1
            while writer < 0 {
                writer = open(file, O_WRONLY | O_NONBLOCK)
                if writer < 0 { try await Task.sleep(for: .milliseconds(5)) }
            }
            hanging.cancel()
            waiting.cancel()
            _ = try await controller.perform(.stop(.byForce, timeout: .seconds(3)))
            Self.revive(file)
            close(writer)
            await #expect(throws: PostgreSQLError.self) { try await hanging.value }
            await #expect(throws: PostgreSQLError.cancelled) { try await waiting.value }
            #expect(await server.observe().postmaster == nil)
        }
    }

    /// A start that nobody breaks off, but which a halt has overtaken while its launcher was at work.
    @Test func aPostmasterThatCameAfterTheHaltIsEnded() async throws {
        try await withServers { root in
            let launcher = HaltingLauncher()
            let server = try TestServer("n1", in: root, launcher: launcher)
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(30)))
            let controller = server.controller
            launcher.onLaunch { await controller.halt(deadline: BootClock.now() + .seconds(1)) }
            await #expect(throws: PostgreSQLError.failed("PostgreSQL was halted")) { try await server.startPrimary() }
            let status = await server.wait { $0.postmaster == nil }
            #expect(status.postmaster == nil && launcher.launched.allSatisfy { !ProcessTable.isAlive($0) })
        }
    }
}

/// Does something else between the order to launch and the launch.
private final class HaltingLauncher: PostmasterLauncher {
    private struct State {
        var before: (@Sendable () async -> Void)?
        var launched: [Int32] = []
    }

    private let state = Mutex(State())
    var launched: [Int32] { state.withLock { $0.launched } }

    func onLaunch(_ action: @escaping @Sendable () async -> Void) { state.withLock { $0.before = action } }

    func launch(_ command: PostmasterCommand) async throws(PostgreSQLError) -> Int32 {
        if let before = state.withLock({ $0.before }) { await before() }
        let pid = try await QuietLauncher().launch(command)
        state.withLock { $0.launched.append(pid) }
        return pid
    }

    func signal(_ signal: Int32, to pid: Int32) async -> Bool { await QuietLauncher().signal(signal, to: pid) }
}
