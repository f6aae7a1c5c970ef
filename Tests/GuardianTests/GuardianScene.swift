import ClusterModel
import Glibc
import HighAvailability
import Logging
import Ports
import Posix
import Processes
import TestSupport

@testable import GuardianClient

/// A directory with a data directory, a guardian's directory and a program named `postgres` that is a shell: to the
/// guardian a server is what has that name and works in the data directory.
struct GuardianScene: Sendable {
    let root: String
    var client: GuardianClient

    var data: String { root + "/data" }
    var directory: String { root + "/run/guardian" }

    init(root: String) throws {
        self.root = root
        client = try Self.client(root)
        mkdir(root + "/data", 0o700)
        try makeProgram(root + "/postgres", try Files.read("/bin/sh"))
    }

    static func client(
        _ root: String, data: String = "data", change: (inout GuardianClient.Options) -> Void = { _ in }
    ) throws -> GuardianClient {
        var logger = Logger(label: "test") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .critical
        var options = GuardianClient.Options(
            executable: program, dataDirectory: "\(root)/\(data)", directory: root + "/run/guardian")
        change(&options)
        return try GuardianClient(options, logger: logger)
    }

    static var program: String { lastSlashCut(realPath("/proc/self/exe")) + "/matriarch-guardian" }

    private static func lastSlashCut(_ path: String) -> String {
        String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }

    /// Ends by SIGQUIT.
    static let obedient = "sleep 600 & wait"
    /// Ends by SIGKILL only.
    static let stubborn = "trap '' QUIT INT TERM; while :; do sleep 600; done"

    func command(_ script: String) -> PostmasterCommand {
        PostmasterCommand(
            executable: root + "/postgres", arguments: ["-c", script], environment: ["PATH=/usr/bin:/bin"],
            workingDirectory: data)
    }

    func launch(_ script: String = obedient) async throws -> Int32 { try await client.launch(command(script)) }

    /// A lease that ends `ttl` from now.
    static func lease(_ ttl: Duration, margin: Duration = .seconds(1)) -> Lease {
        Lease(since: BootClock.now(), ttl: ttl, session: "s", safetyMargin: margin)
    }

    @discardableResult
    func enforce(_ ttl: Duration, margin: Duration = .seconds(1), postmaster: Int32? = nil) async throws
        -> GuardianStatus
    {
        try await client.tell(
            .enforce(Self.lease(ttl, margin: margin), postmaster: postmaster),
            deadline: BootClock.now() + .seconds(10))
    }

    /// A lease after which the guardian is to tell what it has done. On a machine that is slow the kernel ends it, as
    /// it should, where it is late by a quarter of the margin: this one leaves it a second.
    @discardableResult
    func enforceAtEase(postmaster: Int32) async throws -> GuardianStatus {
        try await enforce(.seconds(16), margin: .seconds(4), postmaster: postmaster)
    }

    var mayMount: Bool {
        let place = root + "/mount"
        guard mkdir(place, 0o700) == 0, mount("tmpfs", place, "tmpfs", 0, nil) == 0 else { return false }
        return umount(place) == 0
    }

    func status() async throws -> GuardianStatus {
        // Disarming is an order; adopting only asks.
        try await client.inherit(postmaster: nil)?.status ?? GuardianStatus(pid: 0)
    }

    /// Waits for the end of a process; false after a minute.
    static func hasEnded(_ pid: Int32, by deadline: BootInstant = BootClock.now() + .seconds(60)) async -> Bool {
        while ProcessTable.isAlive(pid) {
            if BootClock.now() > deadline { return false }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return true
    }
}

/// Gives `body` a scene, and ends every process in it afterwards, guardian and servers.
func withGuardian(_ body: (GuardianScene) async throws -> Void) async throws {
    let root = try makeTemporaryDirectory("gd")
    let outcome: Result<Void, any Error>
    do { outcome = .success(try await body(GuardianScene(root: root))) } catch { outcome = .failure(error) }
    // A shell may have started another process before its turn came: until none is left.
    for _ in 0..<100 {
        let left = ProcessTable.all().map(\.pid).filter { pid in
            ProcessTable.workingDirectory(pid)?.hasPrefix(root + "/") == true
                || ProcessTable.commandLine(pid)?.contains { $0.hasPrefix(root + "/") } == true
        }
        if left.isEmpty { break }
        for pid in left { kill(pid, SIGKILL) }
        try? await Task.sleep(for: .milliseconds(5))
    }
    try? Files.removeTree(root)
    try outcome.get()
}
