import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes
import TestSupport
import Testing

@testable import PostgreSQL

/// How callbacks are run, without a server.
@Suite("Callbacks", .timeLimit(.minutes(1)))
struct CallbackTests {
    private func call(_ event: CallbackEvent, _ words: [String], role: CallbackRole = .primary) -> Callbacks.Call {
        Callbacks.Call(event: event, role: role, scope: "demo", words: words)
    }

    private func callbacks() -> Callbacks {
        Callbacks(ToolRunner.forTests, Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func wait(for path: String, _ condition: (String) -> Bool = { !$0.isEmpty }) async throws -> String {
        let deadline = BootClock.now() + .seconds(120)
        while true {
            let text = (try? Files.readText(path)) ?? ""
            if condition(text) { return text }
            guard BootClock.now() < deadline else { throw Late(what: "\(path): \(text)") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    struct Late: Error { var what: String }

    @Test("Event, role and scope come after the command's own words; no shell, no descriptor, no secret")
    func arguments() async throws {
        let root = try makeTemporaryDirectory("callbacks")
        defer { try? Files.removeTree(root) }
        setenv("PATRONI_TEST_PASSWORD", "secret", 1)
        setenv("PATRONI_TEST_URL", "http://user:secret@host/", 1)
        setenv("PATRONI_TEST_NAME", "plain", 1)
        let script = """
            printf '%s|' "$@"; ls /proc/self/fd | tr '\\n' ' '; env | grep ^PATRONI_TEST | tr '\\n' ' '
            """
        callbacks().run(
            call(
                .roleChange,
                ["/bin/sh", "-c", "{ \(script); } > \(root)/out.new; mv \(root)/out.new \(root)/out", "x", "$a b"]))
        let text = try await wait(for: "\(root)/out")
        #expect(text.hasPrefix("$a b|on_role_change|primary|demo|"))
        // What `ls` opens itself is one more, and the redirection none.
        #expect(text.utf8.firstRange(of: "|0 1 2 3 ".utf8) != nil, "\(text)")
        #expect(text.utf8.firstRange(of: "PATRONI_TEST_NAME=plain".utf8) != nil)
        #expect(text.utf8.firstRange(of: "secret".utf8) == nil)
    }

    @Test("The next one kills the one that runs, with all that it has started; of those that wait the last counts")
    func next() async throws {
        let root = try makeTemporaryDirectory("callbacks")
        defer { try? Files.removeTree(root) }
        let callbacks = callbacks()
        let stubborn =
            "trap '' TERM; sleep 1000 & echo $! > \(root)/child.new; mv \(root)/child.new \(root)/child; wait; wait"
        callbacks.run(call(.start, ["/bin/sh", "-c", stubborn, "x"]))
        let child = try #require(Int32((try await wait(for: "\(root)/child")).trimmed))
        // Reloads do not get in the way.
        callbacks.run(call(.reload, ["/bin/sh", "-c", "echo reload > \(root)/reload", "x"]))
        #expect(try await wait(for: "\(root)/reload") == "reload\n")
        #expect(ProcessTable.isAlive(child))
        callbacks.run(call(.stop, ["/bin/sh", "-c", "echo stop >> \(root)/told; sleep 1000", "x"]))
        callbacks.run(call(.roleChange, ["/bin/sh", "-c", "echo role >> \(root)/told", "x"]))
        let told = try await wait(for: "\(root)/told") { $0.hasSuffix("role\n") }
        #expect(!ProcessTable.isAlive(child))
        // It was killed before it began, or as soon as it had.
        #expect(["role\n", "stop\nrole\n"].contains(told))
        await callbacks.finish(deadline: BootClock.now() + .seconds(20))
        #expect(try Files.readText("\(root)/told") == told)
    }

    @Test("The end of the daemon waits for callbacks for a while, and leaves none behind")
    func finish() async throws {
        let callbacks = callbacks()
        let began = BootClock.now()
        callbacks.run(call(.stop, ["/bin/sh", "-c", "exec sleep 1000", "x"]))
        await callbacks.finish(deadline: began + .milliseconds(300))
        #expect(BootClock.now() >= began + .milliseconds(300))
        callbacks.run(call(.stop, ["/bin/true"]))
        await callbacks.finish(deadline: began + .seconds(1000))
        // It did not wait for its own deadline, nor for the sleep.
        #expect(BootClock.now() < began + .seconds(900))
    }

    @Test("Two hundred lines of a command go to the log, and what it says further is left out")
    func tale() async throws {
        let lines = LogLines()
        let status = try await UserCommand.run(
            "on_start", ["/bin/sh", "-c", "for i in $(seq 1000); do echo line $i; done; exit 3"],
            with: ToolRunner.forTests, deadline: BootClock.now() + .seconds(50),
            log: Logger(label: "test") { _ in LineRecorder(lines: lines) })
        #expect(status == 3)
        let told = lines.lines.filter { $0.hasPrefix("info: on_start: line ") }
        #expect(told.count == 200 && told.last == "info: on_start: line 200")
        #expect(lines.lines.last == "warning: on_start: what it says further is left out")
    }

    @Test("What is a secret in the environment")
    func environment() {
        let changes = UserCommand.environment([
            "PATH=/bin", "PATRONI_SCOPE=demo", "PATRONI_SUPERUSER_PASSWORD=x", "PATRONI_SUPERUSER_SSLPASSWORD=x",
            "PATRONI_CONSUL_TOKEN=x", "PATRONI_ETCD3_URL=https://a:b@c", "PATRONI_ETCD3_HOSTS=c:1",
            "PATRONI_CONFIGURATION={}", "PGPASSWORD=x", "NOTIFY_SOCKET=/run/x", "AWS_SECRET_ACCESS_KEY=x",
        ])
        #expect(
            changes.keys.sorted() == [
                "NOTIFY_SOCKET", "PATRONI_CONFIGURATION", "PATRONI_CONSUL_TOKEN", "PATRONI_ETCD3_URL",
                "PATRONI_SUPERUSER_PASSWORD", "PATRONI_SUPERUSER_SSLPASSWORD", "PGPASSWORD",
            ])
        #expect(changes.values.allSatisfy { $0 == nil })
    }

    @Test("What the server would not have given to its command does not come from us either")
    func environmentOfServer() {
        let changes = UserCommand.environmentOfServer([
            "PATH=/bin", "PATRONI_SCOPE=demo", "PATRONI_SUPERUSER_PASSWORD=x", "NOTIFY_SOCKET=/run/x",
            "PGPASSWORD=x", "MALLOC_ARENA_MAX=1", "PG_MALLOC_ARENA_MAX=4",
        ])
        let gone = changes.filter { $0.value == nil }.keys.sorted()
        #expect(gone == ["NOTIFY_SOCKET", "PATRONI_SCOPE", "PATRONI_SUPERUSER_PASSWORD", "PG_MALLOC_ARENA_MAX"])
        #expect(changes.compactMapValues(\.self) == ["MALLOC_ARENA_MAX": "4"])
    }
}
