import CGuardian
import Glibc
import Guardian

/// Starts a daemon again that died, where it has asked for that: with growing pauses, and not without end.
struct DaemonKeeper {
    /// The pidfd of the daemon that runs; -2, which no descriptor ever is, for none.
    private(set) var descriptor: Int32 = -2
    private var launch: GuardianRequest.Launch?
    private var startAt: Int64?
    private var began: Int64 = 0
    private var failures = 0

    private static let firstPause: Int64 = 500_000_000
    private static let longestPause: Int64 = 60_000_000_000
    /// One that ran for this long was a good one.
    private static let goodRun: Int64 = 300_000_000_000
    private static let maximumFailures = 20

    /// A daemon will be started.
    var isWaiting: Bool { startAt != nil }

    /// The daemon at the other end is to be kept alive from now on.
    mutating func keep(_ launch: GuardianRequest.Launch, _ connection: Int32, _ poll: Int32) throws(Failure) {
        var user: uid_t = 0
        var pid: pid_t = 0
        guard gd_peer(connection, &user, &pid) == 0 else { throw Failure("SO_PEERCRED") }
        let process = gd_pidfd_open(pid)
        guard process >= 0, watchForInput(process, poll) else { throw Failure("watching the daemon \(pid)") }
        forget(poll)
        descriptor = process
        self.launch = launch
        began = bootTime()
    }

    /// The daemon is not started again.
    mutating func forget(_ poll: Int32) {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -2
        launch = nil
        startAt = nil
    }

    /// The daemon has died.
    mutating func daemonEnded(_ now: Int64, _ poll: Int32) {
        close(descriptor)
        descriptor = -2
        failures = now - began > Self.goodRun ? 0 : failures
        guard failures < Self.maximumFailures else { return Log.line("the daemon dies too often: given up") }
        let pause = min(Self.longestPause, Self.firstPause << Int64(min(failures, 20)))
        failures += 1
        startAt = now + pause
        Log.line("the daemon has died: it is started again in \(pause / 1_000_000) ms")
    }

    /// Starts it when the time has come; when to ask again.
    mutating func act(_ now: Int64) -> Int64? {
        guard let startAt, let launch else { return nil }
        if now < startAt { return startAt }
        self.startAt = nil
        do throws(Failure) {
            let pid = try Processes.spawn(launch, deathSignal: 0)
            Log.line("started the daemon as \(pid)")
        } catch {
            Log.line(error.description)
        }
        return nil
    }
}
