import ClusterModel
import Glibc
import Ports
import Posix
import Processes
import Testing

@testable import PostgreSQL

/// What the operator's commands are told of a real server (docs/callbacks.md).
@Suite("Commands of the operator", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3)))
struct CallbackServerTests {
    /// Writes `event role scope` into a file, a line for each call.
    private func told(_ root: String, _ name: String) -> [CallbackEvent: [String]] {
        let words = ["/bin/sh", "-c", "echo \"$@\" >> \(root)/\(name).told", "x"]
        return Dictionary(uniqueKeysWithValues: CallbackEvent.allCases.map { ($0, words) })
    }

    private func lines(_ root: String, _ name: String) -> [String] {
        ((try? Files.readText("\(root)/\(name).told")) ?? "").split(separator: "\n").map(String.init)
    }

    /// Waits until the calls are these, reloads left out: those have a line of their own.
    private func expect(
        _ server: TestServer, _ wanted: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        let name = server.configuration.name
        var found: [String] = []
        let deadline = BootClock.now() + .seconds(20)
        while BootClock.now() < deadline {
            found = lines(server.root, name).filter { !$0.hasPrefix("on_reload") }
            if found == wanted { return }
            try? await Task.sleep(for: .milliseconds(10))
        }
        #expect(found == wanted, sourceLocation: sourceLocation)
    }

    @Test("A server's life is told: start, restart, stop, and changes of its role alone")
    func life() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root) { $0.callbacks = told(root, "n1") }
            let second = try TestServer("n2", in: root) { $0.callbacks = told(root, "n2") }
            _ = try await first.controller.perform(.bootstrap)
            // Nothing is told of a cluster that nobody knows yet.
            #expect(lines(root, "n1") == [])
            _ = try await first.controller.perform(.finishBootstrap)
            var calls = ["on_start primary test"]
            await expect(first, calls)
            // A look at the new cluster has nothing more to tell. (A whole copy comes before the next reading.)
            _ = await first.controller.observe(deadline: BootClock.now() + .seconds(5))

            try await second.join(first)
            await expect(second, ["on_start replica test"])
            #expect(lines(root, "n1").filter { !$0.hasPrefix("on_reload") } == calls)
            _ = try await second.restart(of: first.upstream)
            await expect(second, ["on_start replica test", "on_restart replica test"])
            _ = try await second.controller.perform(.promote)
            await expect(
                second, ["on_start replica test", "on_restart replica test", "on_role_change primary test"])

            _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
            calls += ["on_stop primary test"]
            await expect(first, calls)
            // It is not running: nothing is stopped, and nothing told.
            _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
            _ = try await first.controller.perform(.rewind(from: second.upstream))
            _ = try await first.startStandby(of: second.upstream)
            calls += ["on_role_change replica test"]
            await expect(first, calls)

            try await first.controller.adopt(configuration: ["parameters": ["work_mem": "9MB"]])
            let deadline = BootClock.now() + .seconds(20)
            while !lines(root, "n1").contains("on_reload replica test"), BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(lines(root, "n1").contains("on_reload replica test"))
        }
    }

    @Test("A daemon that starts beside a running server tells of it once; a halt is a stop; a start in vain a demotion")
    func attachAndHalt() async throws {
        try await withServers { root in
            let plain = try TestServer("n1", in: root)
            _ = try await plain.bootstrap()
            var configuration = plain.configuration
            configuration.callbacks = told(root, "n1")
            let again = try TestServer.controller(configuration)
            for _ in 0..<2 { _ = await again.observe(deadline: BootClock.now() + .seconds(5)) }
            var calls = ["on_start primary test"]
            await expect(plain, calls)
            await again.halt(deadline: BootClock.now() + .seconds(10))
            calls += ["on_stop primary test"]
            await expect(plain, calls)
            // Something in the way of every start.
            _ = rename(configuration.dataDirectory + "/pg_xact", configuration.dataDirectory + "/pg_xact.gone")
            await #expect(throws: PostgreSQLError.self) {
                try await again.perform(.startPrimary(timeout: .seconds(20)))
            }
            calls += ["on_role_change demoted test"]
            await expect(plain, calls)
        }
    }

    @Test("pre_promote says no, or nothing: nobody is promoted; it says yes: the standby is")
    func prePromote() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            let second = try TestServer("n2", in: root) { configuration in
                configuration.prePromote = ["/bin/sh", "-c", "exec /bin/sh \(root)/question"]
                configuration.startTimeout = .seconds(2)
            }
            try await second.join(first)
            #expect(await second.observe().hasPrePromote)
            func answer(_ script: String) throws {
                try Files.replace("\(root)/question", with: script.utf8, mode: 0o644)
            }

            try answer("exit 3")
            await #expect(throws: PostgreSQLError.failed("it ended with status 3")) {
                try await second.controller.perform(.prePromote)
            }
            try answer("sleep 1000")
            await #expect(throws: PostgreSQLError.timedOut("sh")) {
                try await second.controller.perform(.prePromote)
            }
            #expect(await second.observe().facts?.inRecovery == true)
            try answer("exit 0")
            #expect(try await second.controller.perform(.prePromote) == .done)
            #expect(try await second.controller.perform(.promote) == .done)
        }
    }

    @Test(
        "before_stop runs before a clean stop, within its bound, whatever it says; a stop at once does not wait for it")
    func beforeStop() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root) { configuration in
                configuration.beforeStop = [
                    "/bin/sh", "-c",
                    "kill -0 $(head -1 \(root)/n1/postmaster.pid) && echo alive >> \(root)/before; "
                        + "sleep 1000",
                ]
            }
            _ = try await server.bootstrap()
            let began = BootClock.now()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(8)))
            #expect(BootClock.now() - began < .seconds(100), "the command would take 1,000")
            #expect(try Files.readText("\(root)/before") == "alive\n")
            #expect(await server.observe().control?.state == .shutDown)
            _ = try await server.startPrimary()
            _ = try await server.controller.perform(.stop(.immediate, timeout: .seconds(60)))
            #expect(try Files.readText("\(root)/before") == "alive\n")
        }
    }
}
