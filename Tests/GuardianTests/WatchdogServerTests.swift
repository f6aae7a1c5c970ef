import ClusterModel
import Glibc
import HighAvailability
import Logging
import Ports
import Posix
import Processes
import Testing

@testable import GuardianClient

/// The reader's end of the pipe of `driver: testing` (observable-text.md §6).
final class WatchdogPipe: Sendable {
    let path: String
    private let end: FileDescriptor

    init(_ path: String) throws {
        self.path = path
        guard mkfifo(path, 0o600) == 0 else { throw SystemError(call: "mkfifo", subject: path) }
        end = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
    }

    /// What was written since the last look.
    func read() -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(end.number, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }

    /// Reads until the text ends so; what was read.
    func wait(for suffix: String) async -> String {
        var text = ""
        let deadline = BootClock.now() + .seconds(20)
        while !text.hasSuffix(suffix), BootClock.now() < deadline {
            text += read()
            try? await Task.sleep(for: .milliseconds(5))
        }
        return text
    }
}

@Suite("The watchdog of the host", .serialized, .timeLimit(.minutes(2)))
struct WatchdogServerTests {
    private func plan(_ device: String, required: Bool = true, margin: Int = -1) -> WatchdogPlan {
        WatchdogPlan(isRequired: required, device: device, safetyMargin: margin, isTesting: true)
    }

    private func enforce(
        _ port: any GuardianPort, _ ttl: Duration, postmaster: Int32? = nil
    ) async throws -> GuardianStatus.Watchdog {
        let order = GuardOrder.enforce(GuardianScene.lease(ttl), postmaster: postmaster)
        return try await port.tell(order, deadline: BootClock.now() + .seconds(10)).watchdog
    }

    @Test("The guardian pets it under the lease, and lets it go when PostgreSQL has ended with the lease")
    func guardian() async throws {
        try await withGuardian { scene in
            var scene = scene
            let pipe = try WatchdogPipe(scene.root + "/watchdog")
            scene.client = try GuardianScene.client(scene.root) { $0.watchdog = plan(pipe.path) }
            #expect(try await enforce(scene.client, .seconds(60)) == .on(timeout: .seconds(30)))
            #expect(await pipe.wait(for: "1") == "Ctimeout=30\n1")
            let pid = try await scene.launch()
            #expect(try await enforce(scene.client, .seconds(6), postmaster: pid) == .on(timeout: .seconds(3)))
            // Nobody renews: it is petted until the last moment that the lease allows, and then PostgreSQL ends.
            #expect(await GuardianScene.hasEnded(pid))
            let text = await pipe.wait(for: "V")
            #expect(text.contains("Ctimeout=3\n") && text.hasSuffix("1V"), "\(text)")
        }
    }

    @Test("A PostgreSQL that does not end keeps it on; one that is started under a lease has it on")
    func stubborn() async throws {
        try await withGuardian { scene in
            var scene = scene
            let pipe = try WatchdogPipe(scene.root + "/watchdog")
            scene.client = try GuardianScene.client(scene.root) { $0.watchdog = plan(pipe.path) }
            let first = try await scene.launch()
            _ = try await enforce(scene.client, .seconds(60), postmaster: first)
            #expect(await pipe.wait(for: "1").hasPrefix("Ctimeout=30\n"))
            kill(first, SIGKILL)
            #expect(await GuardianScene.hasEnded(first))
            #expect(await pipe.wait(for: "V").hasSuffix("V"))
            _ = try await scene.launch()
            #expect(await pipe.wait(for: "1").hasPrefix("Ctimeout=30\n"))
            _ = try await scene.client.tell(.disarm, deadline: BootClock.now() + .seconds(5))
            #expect(await pipe.wait(for: "V").hasSuffix("V"))
        }
    }

    @Test("What is required and cannot be used is told; where it is not required, it is told as that")
    func failures() async throws {
        try await withGuardian { scene in
            let missing = scene.root + "/missing"
            for isRequired in [true, false] {
                let client = try GuardianScene.client(scene.root) { $0.watchdog = plan(missing, required: isRequired) }
                guard case .failed(let why, isRequired: isRequired) = try await enforce(client, .seconds(30)) else {
                    Issue.record("it did not fail")
                    continue
                }
                #expect(why.hasPrefix("cannot open \(missing): "))
                #expect(plan(missing).obstacle?.hasPrefix("cannot open \(missing): ") == true)
            }
            // No room to pet it in: 30 s, and it would reset the host 28 s before they have passed.
            let client = try GuardianScene.client(scene.root) { $0.watchdog = plan(missing, margin: 28) }
            guard case .failed(let why, isRequired: true) = try await enforce(client, .seconds(30)) else {
                Issue.record("it did not fail")
                return
            }
            #expect(why == "watchdog.safety_margin 28 leaves 2 s of a ttl of 30")
            // A pipe that nobody reads keeps the guardian's one thread not for a moment.
            let unread = scene.root + "/unread"
            mkfifo(unread, 0o600)
            let began = BootClock.now()
            let other = try GuardianScene.client(scene.root) { $0.watchdog = plan(unread) }
            guard case .failed = try await enforce(other, .seconds(30)) else {
                Issue.record("it did not fail")
                return
            }
            #expect(BootClock.now() - began < .seconds(60))
        }
    }

    @Test("Without a guardian the daemon pets it itself, as long as the lease allows")
    func local() async throws {
        try await withGuardian { scene in
            let pipe = try WatchdogPipe(scene.root + "/watchdog")
            // Petted after 7 s, and for 37 s more: a thread that gets no turn for long is not late.
            let local = try LocalWatchdog(plan(pipe.path, margin: 45), logger: Logger(label: "test"))
            #expect(try await enforce(local, .seconds(60)) == .on(timeout: .seconds(15)))
            let petted = await pipe.wait(for: "11")
            #expect(petted.hasPrefix("Ctimeout=15\n11"), "\(petted)")
            _ = try await local.tell(.disarm, deadline: BootClock.now())
            #expect(await pipe.wait(for: "V").hasSuffix("V"))
        }
    }

    @Test("A guardian that is killed leaves it on, and the daemon lets it go")
    func guardianKilled() async throws {
        try await withGuardian { scene in
            var scene = scene
            let pipe = try WatchdogPipe(scene.root + "/watchdog")
            scene.client = try GuardianScene.client(scene.root) { $0.watchdog = plan(pipe.path) }
            let pid = try await scene.launch()
            _ = try await enforce(scene.client, .seconds(60), postmaster: pid)
            #expect(await pipe.wait(for: "1").hasSuffix("1"))
            kill(try await scene.status().pid, SIGKILL)
            #expect(await GuardianScene.hasEnded(pid))
            let deadline = BootClock.now() + .seconds(10)
            while (try? await scene.client.tell(.disarm, deadline: BootClock.now() + .seconds(2)))?.pid != 0,
                BootClock.now() < deadline
            { try await Task.sleep(for: .milliseconds(50)) }
            #expect(await pipe.wait(for: "V").hasSuffix("V"))
        }
    }
}
