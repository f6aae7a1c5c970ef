import CGuardian
import CPlatform
import Glibc
import Guardian
import Processes

/// The one loop: requests, ends of processes, and the deadline.
struct Server {
    private var listener: Int32
    private let poll: Int32
    private let timer: Int32
    private let signals: Int32
    private let dataDirectory: String
    private var connections: Set<Int32> = []
    var postmaster: Postmaster?
    private var rule = DeadlineRule()
    private var watchdog = WatchdogKeeper()
    private var standby = StandbyKeeper()
    var stop: GuardianReply.Stop?
    /// Servers of a postmaster that is gone may be left.
    private var mayHaveOrphans = false
    var programs: Set<String> = ["postgres", "postmaster"]
    var pace = KillPace()
    /// Where the postmaster worked when it began.
    private var place: String?
    private var keeper = DaemonKeeper()
    /// When to end unless somebody comes.
    private var lingerUntil: Int64
    private var isEnding = false
    /// When the last order was sent.
    private var lastOrder: Int64 = 0

    private static let linger: Int64 = 10_000_000_000
    /// Between two looks whether it is time to end, where something is still there.
    private static let endInterval: Int64 = 1_000_000_000
    /// Between two looks at a process without a pidfd.
    private static let lookInterval: Int64 = 50_000_000
    /// No daemon waits longer for an answer.
    private static let freshness: Int64 = 5_000_000_000
    private static let maximumConnections = 16

    init(listener: Int32, dataDirectory: String) throws(Failure) {
        self.listener = listener
        self.dataDirectory = dataDirectory
        lingerUntil = bootTime() + Self.linger
        var mask = sigset_t()
        sigemptyset(&mask)
        for signal in [SIGCHLD, SIGTERM, SIGINT, SIGHUP] { sigaddset(&mask, signal) }
        sigprocmask(SIG_BLOCK, &mask, nil)
        poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        timer = timerfd_create(CLOCK_BOOTTIME, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
        signals = signalfd(-1, &mask, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard poll >= 0, timer >= 0, signals >= 0 else { throw Failure("epoll, timerfd or signalfd") }
        for descriptor in [listener, timer, signals] where !add(descriptor) { throw Failure("epoll_ctl") }
    }

    /// Runs to the end; the exit code.
    mutating func run() throws(Failure) -> Int32 {
        while true {
            // What came while we did not run comes first, within bounds: a renewal may be among it.
            for _ in 0..<Self.maximumConnections where try !handleNext(wait: 0) { break }
            let wake = actOnTime(bootTime())
            if isDone { return 0 }
            try arm(wake)
            _ = try handleNext(wait: -1)
        }
    }

    /// Handles one event, which may make those after it meaningless; false where none came.
    private mutating func handleNext(wait: Int32) throws(Failure) -> Bool {
        var event = epoll_event()
        let count = epoll_wait(poll, &event, 1, wait)
        if count < 0 && errno != EINTR { throw Failure("epoll_wait") }
        if count == 1 { handle(Int32(truncatingIfNeeded: event.data.u64)) }
        return count == 1
    }

    private var isDone: Bool {
        guard postmaster == nil, !mayHaveOrphans, !keeper.isWaiting else { return false }
        return isEnding || connections.isEmpty && bootTime() >= lingerUntil
    }

    // MARK: Time

    /// Does what is due; when it must be called again.
    private mutating func actOnTime(_ now: Int64) -> Int64 {
        var wake = Int64.max
        if let postmaster, postmaster.isPolled {
            if kill(postmaster.pid, 0) != 0 && errno == ESRCH {
                postmasterEnded()
            } else {
                wake = now + Self.lookInterval
            }
        }
        if mayHaveOrphans && postmaster == nil {
            mayHaveOrphans = killOrphans()
            if mayHaveOrphans { wake = min(wake, now + pace.pause(now)) } else { allHaveEnded(now) }
        }
        if connections.isEmpty { wake = min(wake, max(lingerUntil, now + Self.endInterval)) }
        if let restart = keeper.act(now, poll) { wake = min(wake, restart) }
        let look = standby.look(now, postmaster, isAlone: connections.isEmpty)
        if look.isPrimary { wake = min(wake, killAll(now, "a standby has become a primary by itself")) }
        return min(wake, look.wake, enforce(now), watchdog.act(now))
    }

    private mutating func enforce(_ now: Int64) -> Int64 {
        switch rule.next(now: now, isRunning: postmaster != nil) {
        case .wait(let until): return until ?? .max
        case .quit:
            guard let postmaster else { return .max }
            signal(SIGQUIT)
            stop = GuardianReply.Stop(at: now, postmaster: postmaster.pid)
            Log.line("the lease ends: SIGQUIT to postmaster \(postmaster.pid)")
            return enforce(now)
        case .kill: return killAll(now, "the lease ends")
        }
    }

    private mutating func allHaveEnded(_ now: Int64) {
        watchdog.rest()
        pace.end()
        guard let begun = stop, begun.over == 0 else { return }
        stop?.over = now
        Log.line("postmaster \(begun.postmaster) and its processes ended \((now - begun.at) / 1_000_000) ms later")
    }

    private func arm(_ wake: Int64) throws(Failure) {
        // Whatever holds us up from here on (a call that hangs, SIGSTOP): past the instant of SIGKILL and a quarter of
        // the margin the kernel ends us, and with us, by the death signal and the watcher, our child.
        if let lease = rule.lease, let postmaster, postmaster.isChild {
            gd_set_dead_man(max(lease.deadline - lease.margin / 2, bootTime()) + max(1, lease.margin / 4))
        } else {
            gd_set_dead_man(0)
        }
        var value = itimerspec()
        if wake != .max {
            // Zero would disarm.
            value.it_value = timespec(tv_sec: Int(wake / 1_000_000_000), tv_nsec: Int(max(1, wake % 1_000_000_000)))
        }
        guard timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &value, nil) == 0 else {
            throw Failure("timerfd_settime")
        }
    }

    // MARK: Events

    private mutating func handle(_ descriptor: Int32) {
        switch descriptor {
        case timer:
            var count: UInt64 = 0
            _ = read(timer, &count, 8)
        case signals: takeSignals()
        case listener: accept()
        case keeper.descriptor: keeper.daemonEnded(bootTime())
        case postmaster?.descriptor: postmasterEnded()
        case let connection: answer(connection)
        }
    }

    private mutating func takeSignals() {
        var info = signalfd_siginfo()
        while read(signals, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
            switch Int32(info.ssi_signo) {
            case SIGTERM, SIGINT:
                Log.line("signal \(info.ssi_signo): ending, with PostgreSQL")
                isEnding = true
                keeper.forget()
                signal(SIGINT)
            case SIGHUP: restoreSocket()
            default: break
            }
        }
        reap()
    }

    private mutating func reap() {
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            if pid <= 0 { return }
            if pid == postmaster?.pid { postmasterEnded() }
        }
    }

    private mutating func postmasterEnded() {
        guard let ended = postmaster else { return }
        if ended.descriptor >= 0 { close(ended.descriptor) }
        // At once: its processes are not told of its end while they are busy.
        if ended.isChild { mayHaveOrphans = killOrphans() }
        postmaster = nil
        rule.postmasterChanged()
        lingerUntil = bootTime() + Self.linger
        if !mayHaveOrphans { allHaveEnded(bootTime()) }
        Log.line("postmaster \(ended.pid) has ended")
    }

    /// A daemon that finds us, but no socket: somebody has tidied up.
    private mutating func restoreSocket() {
        if access("socket", F_OK) == 0 { return }
        do throws(Failure) {
            let directory = try Listener.makeDirectory()
            guard let fresh = try Listener.open(directory, isFresh: true), add(fresh) else {
                throw Failure("listening again")
            }
            close(listener)
            listener = fresh
            Log.line("the socket was gone: listening in \(directory)")
        } catch {
            Log.line(error.description)
        }
    }

    private mutating func accept() {
        let socket = gd_accept(listener)
        guard socket >= 0 else { return }
        let isWelcome = connections.count < Self.maximumConnections && Listener.mayConnect(socket) && add(socket)
        if isWelcome { connections.insert(socket) } else { close(socket) }
    }

    // MARK: Requests

    private mutating func answer(_ connection: Int32) {
        guard connections.contains(connection) else { return }
        var bytes = [UInt8](repeating: 0, count: GuardianMessage.maximumLength + 1)
        let count = recv(connection, &bytes, bytes.count, 0)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        guard count > 0 else { return end(connection) }
        var refusal: String?
        do throws(GuardianMessage.Malformed) {
            let message = try GuardianMessage(bytes[..<count])
            let request = try GuardianRequest(message)
            let sent = try message.number("sent")
            let data = try message.text("data")
            do throws(Failure) {
                try refuseForeign(data)
                try refuseStale(request, sent)
                try carryOut(request, from: connection)
            } catch {
                refusal = error.description
            }
        } catch {
            refusal = error.description
        }
        if let refusal { Log.line("refused: \(refusal)") }
        let reply = reply(refusal).message.bytes
        // A daemon that takes no answers is no daemon that we could serve.
        if send(connection, reply, reply.count, Int32(MSG_NOSIGNAL)) != reply.count { end(connection) }
    }

    /// A daemon that was led to the wrong socket must not disarm another one's guardian.
    private func refuseForeign(_ data: String) throws(Failure) {
        if data == dataDirectory || place != nil && data == place { return }
        throw Failure(text: "this is the guardian of \(dataDirectory), not of \(data)")
    }

    /// A guardian that was frozen finds what a daemon has long given up, perhaps behind what came later.
    private mutating func refuseStale(_ request: GuardianRequest, _ sent: Int64) throws(Failure) {
        if bootTime() - sent > Self.freshness { throw Failure(text: "a request that nobody waits for any more") }
        switch request {
        case .enforce, .disarm:
            if sent < lastOrder { throw Failure(text: "an order that is older than the last") }
            lastOrder = sent
        case .status, .launch, .keepAlive, .takeOver, .goodbye: break
        }
    }

    private func reply(_ refusal: String?) -> GuardianReply {
        var reply = GuardianReply(
            refusal: refusal, guardian: getpid(), postmaster: postmaster?.pid ?? 0,
            isParent: postmaster?.isChild ?? false, lease: rule.lease, stop: stop)
        (reply.watchdog, reply.watchdogFailure) = (watchdog.timeout, watchdog.failure)
        return reply
    }

    private mutating func end(_ connection: Int32) {
        close(connection)
        connections.remove(connection)
        lingerUntil = bootTime() + Self.linger
    }

    private mutating func carryOut(_ request: GuardianRequest, from connection: Int32) throws(Failure) {
        switch request {
        case .status: break
        case .launch(let launch): try self.launch(launch)
        case .enforce(let lease, let pid, let wanted):
            rule.enforce(lease)
            standby.rest()
            watchdog.guards(lease, with: wanted, bootTime())
            // One of our own is guarded, even if the daemon has not heard of it yet.
            if pid > 0 && postmaster == nil { try watch(pid) }
        case .disarm:
            rule.disarm()
            watchdog.rest()
        case .keepAlive(let launch): try keeper.keep(launch, connection, poll)
        case .takeOver: try keeper.giveWay(to: connection)
        case .goodbye:
            keeper.forget()
            standby.rest()
            isEnding = postmaster == nil
        }
    }

    private mutating func launch(_ launch: GuardianRequest.Launch) throws(Failure) {
        reap()
        if let postmaster { throw Failure(text: "postmaster \(postmaster.pid) runs already") }
        if mayHaveOrphans, killOrphans() {
            throw Failure(text: "processes of the last postmaster are still ending")
        }
        mayHaveOrphans = false
        pace.end()
        if launch.isStandby { rule.disarm() }
        if case .quit = rule.nextWithoutMemory(now: bootTime()) { throw Failure(text: "the lease has ended") }
        if !launch.isStandby { watchdog.resume(rule.lease, bootTime()) }
        let pid = try Children.spawn(launch, deathSignal: SIGQUIT)
        if let name = launch.executable.split(separator: "/").last { programs.insert(String(name)) }
        place = ProcessTable.workingDirectory(pid)
        postmaster = Postmaster(pid: pid, descriptor: -1)
        rule.postmasterChanged()
        standby.launched(isStandby: launch.isStandby)
        isEnding = false
        Log.line("started postmaster \(pid)")
    }

    /// A postmaster that runs without us: its end is told by a pidfd, and it falls under the same deadline.
    private mutating func watch(_ pid: Int32) throws(Failure) {
        let found = ProcessTable.workingDirectory(pid)
        guard let found, ProcessTable.isServer(pid, programs),
            found == dataDirectory || isSame("/proc/\(pid)/cwd", dataDirectory)
        else { throw Failure(text: "process \(pid) is no server in \(dataDirectory)") }
        place = found
        var descriptor = ms_pidfd_open(pid)
        if descriptor < 0 {
            if errno == ESRCH { throw Failure("watching process \(pid)") }
            // No descriptor left, or none for us: it runs nevertheless.
            descriptor = -3
        } else if !add(descriptor) {
            close(descriptor)
            descriptor = -3
        }
        postmaster = Postmaster(pid: pid, descriptor: descriptor)
        rule.postmasterChanged()
        Log.line("watching postmaster \(pid), which somebody else has started")
    }

    private func add(_ descriptor: Int32) -> Bool { watchForInput(descriptor, poll) }
}
