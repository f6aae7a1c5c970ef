import CGuardian
import Glibc
import Guardian

/// The one loop: requests, ends of processes, and the deadline.
struct Server {
    private let listener: Int32
    private let poll: Int32
    private let timer: Int32
    private let signals: Int32
    private let dataDirectory: String
    private var connections: Set<Int32> = []
    private var postmaster: Postmaster?
    private var rule = DeadlineRule()
    private var stop: GuardianReply.Stop?
    /// Servers of a postmaster that is gone may be left.
    private var mayHaveOrphans = false
    private var programs: Set<String> = ["postgres", "postmaster"]
    private var place: Processes.Place?
    private var keeper = DaemonKeeper()
    /// When to end unless somebody comes.
    private var lingerUntil: Int64
    private var isEnding = false
    /// When the last order was sent.
    private var lastOrder: Int64 = 0

    private struct Postmaster {
        var pid: Int32
        /// Of one that is not our child; -1 for a child, whose end SIGCHLD tells.
        var descriptor: Int32
    }

    private static let linger: Int64 = 10_000_000_000
    /// Between two rounds of SIGKILL, and of looking for what is left.
    private static let killInterval: Int64 = 20_000_000
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
        if mayHaveOrphans && postmaster == nil {
            mayHaveOrphans = signalServers(SIGKILL, parent: getpid())
            if mayHaveOrphans { wake = now + Self.killInterval } else { noteEnd(now) }
        }
        if connections.isEmpty { wake = min(wake, max(lingerUntil, now + Self.killInterval)) }
        if let restart = keeper.act(now, poll) { wake = min(wake, restart) }
        return min(wake, enforce(now))
    }

    private mutating func enforce(_ now: Int64) -> Int64 {
        switch rule.next(now: now, isRunning: postmaster != nil) {
        case .wait(let until): return until ?? .max
        case .quit:
            guard let postmaster else { return .max }
            Log.line("the lease ends: SIGQUIT to postmaster \(postmaster.pid)")
            stop = GuardianReply.Stop(at: now, postmaster: postmaster.pid)
            signal(SIGQUIT)
            return enforce(now)
        case .kill:
            guard let postmaster else { return .max }
            if stop?.wasKilled != true || stop?.postmaster != postmaster.pid {
                Log.line("the lease ends: SIGKILL to postmaster \(postmaster.pid) and all its processes")
                let at = stop?.postmaster == postmaster.pid ? stop?.at : nil
                stop = GuardianReply.Stop(at: at ?? now, postmaster: postmaster.pid, wasKilled: true)
            }
            signal(SIGKILL)
            _ = signalServers(SIGKILL, parent: nil)
            return now + Self.killInterval
        }
    }

    private mutating func noteEnd(_ now: Int64) {
        guard let begun = stop, begun.over == 0 else { return }
        stop?.over = now
        Log.line("postmaster \(begun.postmaster) and its processes ended \((now - begun.at) / 1_000_000) ms later")
    }

    private func arm(_ wake: Int64) throws(Failure) {
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
        case timer: drain(timer)
        case signals: takeSignals()
        case listener: accept()
        case keeper.descriptor: keeper.daemonEnded(bootTime())
        case postmaster?.descriptor: postmasterEnded()
        case let connection: answer(connection)
        }
    }

    private func drain(_ descriptor: Int32) {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
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
        if ended.descriptor >= 0 {
            close(ended.descriptor)
        } else {
            mayHaveOrphans = true
        }
        Log.line("postmaster \(ended.pid) has ended")
        postmaster = nil
        rule.postmasterChanged()
        lingerUntil = bootTime() + Self.linger
        if ended.descriptor >= 0 { noteEnd(bootTime()) }
    }

    private mutating func accept() {
        let socket = gd_accept(listener)
        guard socket >= 0 else { return }
        guard connections.count < Self.maximumConnections, Listener.mayConnect(socket), add(socket) else {
            close(socket)
            return
        }
        connections.insert(socket)
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
            do throws(Failure) {
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
        GuardianReply(
            refusal: refusal, guardian: getpid(), postmaster: postmaster?.pid ?? 0,
            isParent: postmaster?.descriptor == -1, lease: rule.lease, stop: stop)
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
        case .enforce(let lease, let pid):
            rule.enforce(lease)
            // One of our own is guarded, even if the daemon has not heard of it yet.
            if pid > 0 && postmaster == nil { try watch(pid) }
        case .disarm: rule.disarm()
        case .keepAlive(let launch): try keeper.keep(launch, connection, poll)
        case .takeOver: try keeper.giveWay(to: connection)
        case .goodbye:
            keeper.forget()
            isEnding = postmaster == nil
        }
    }

    private mutating func launch(_ launch: GuardianRequest.Launch) throws(Failure) {
        reap()
        if let postmaster { throw Failure(text: "postmaster \(postmaster.pid) runs already") }
        if mayHaveOrphans, signalServers(SIGKILL, parent: getpid()) {
            throw Failure(text: "processes of the last postmaster are still ending")
        }
        mayHaveOrphans = false
        if launch.isStandby { rule.disarm() }
        if case .quit = rule.nextWithoutMemory(now: bootTime()) { throw Failure(text: "the lease has ended") }
        let pid = try Processes.spawn(launch, deathSignal: SIGQUIT)
        programs.insert(lastComponent(launch.executable))
        place = Processes.Place(dataDirectory)
        postmaster = Postmaster(pid: pid, descriptor: -1)
        rule.postmasterChanged()
        isEnding = false
        Log.line("started postmaster \(pid)")
    }

    /// A postmaster that runs without us: its end is told by a pidfd, and it falls under the same deadline.
    private mutating func watch(_ pid: Int32) throws(Failure) {
        place = Processes.Place(dataDirectory)
        guard let place, Processes.isServer(pid, in: place, programs: programs) else {
            throw Failure(text: "process \(pid) is no server in \(dataDirectory)")
        }
        let descriptor = gd_pidfd_open(pid)
        guard descriptor >= 0, add(descriptor) else { throw Failure("watching process \(pid)") }
        postmaster = Postmaster(pid: pid, descriptor: descriptor)
        rule.postmasterChanged()
        Log.line("watching postmaster \(pid), which somebody else has started")
    }

    // MARK: Signals

    private func signal(_ signal: Int32) {
        guard let postmaster else { return }
        // A child keeps its number until we collect it, and a watched process that ended is not signalled twice.
        if kill(postmaster.pid, signal) != 0 && errno != ESRCH {
            Log.line("signal \(signal) to \(postmaster.pid): \(Failure.reason())")
        }
    }

    /// Signals PostgreSQL's processes in the data directory; true where there were any.
    private func signalServers(_ signal: Int32, parent: Int32?) -> Bool {
        guard let place else { return false }
        let servers = Processes.servers(in: place, programs: programs, parent: parent)
        for pid in servers { kill(pid, signal) }
        return !servers.isEmpty
    }

    private func add(_ descriptor: Int32) -> Bool { watchForInput(descriptor, poll) }
}

/// Tells of input on `descriptor`, with its number as the mark.
func watchForInput(_ descriptor: Int32, _ poll: Int32) -> Bool {
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.u64 = UInt64(descriptor)
    return epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) == 0
}
