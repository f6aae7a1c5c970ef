import CGuardian
import CPlatform
import Glibc
import Guardian

/// Starts a daemon again that died, where it has asked for that: with growing pauses, and not without end.
struct DaemonKeeper {
    /// The pidfd of the daemon that runs; -2, which no descriptor ever is, for none.
    private(set) var descriptor: Int32 = -2
    private var launch: GuardianRequest.Launch?
    /// The pid of a daemon that we have started; 0 for none.
    private var started: Int32 = 0
    private var rule = RestartRule()

    /// A daemon will be started.
    var isWaiting: Bool { rule.startAt != nil }

    /// The daemon at the other end is to be kept alive from now on.
    mutating func keep(_ launch: GuardianRequest.Launch, _ connection: Int32, _ poll: Int32) throws(Failure) {
        let pid = try Self.peer(connection)
        try watch(pid, poll)
        self.launch = launch
        if pid != started { started = 0 }
    }

    /// A daemon that was started by hand takes the place of ours. SIGKILL leaves PostgreSQL as it is.
    mutating func giveWay(to connection: Int32) throws(Failure) {
        let pid = try Self.peer(connection)
        if pid == started { return }
        if started > 0, gd_pidfd_kill(descriptor) == 0 {
            Log.line("daemon \(pid) takes over from \(started)")
            // Its port and its name should be free when we answer; a deadline of PostgreSQL's waits no longer.
            var end = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&end, 1, 100)
        }
        forget()
    }

    /// The daemon is not started again.
    mutating func forget() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -2
        launch = nil
        started = 0
        rule.cancel()
    }

    /// The daemon has died.
    mutating func daemonEnded(_ now: Int64) {
        close(descriptor)
        descriptor = -2
        started = 0
        guard let pause = rule.ended(now) else { return Log.line("the daemon dies too often: given up") }
        Log.line("the daemon has died: it is started again in \(pause / 1_000_000) ms")
    }

    /// Starts it when the time has come; when to ask again.
    mutating func act(_ now: Int64, _ poll: Int32) -> Int64? {
        guard let startAt = rule.startAt, let launch else { return nil }
        if now < startAt { return startAt }
        rule.cancel()
        do throws(Failure) {
            started = try Children.spawn(launch, deathSignal: 0)
            Log.line("started the daemon as \(started)")
            // It may die before it has spoken with us.
            try watch(started, poll)
        } catch {
            Log.line(error.description)
        }
        return nil
    }

    private mutating func watch(_ pid: Int32, _ poll: Int32) throws(Failure) {
        let process = ms_pidfd_open(pid)
        guard process >= 0, watchForInput(process, poll) else { throw Failure("watching the daemon \(pid)") }
        if descriptor >= 0 { close(descriptor) }
        descriptor = process
        rule.began(bootTime())
    }

    private static func peer(_ connection: Int32) throws(Failure) -> Int32 {
        var user: uid_t = 0
        var pid: pid_t = 0
        guard gd_peer(connection, &user, &pid) == 0 else { throw Failure("SO_PEERCRED") }
        return pid
    }
}
