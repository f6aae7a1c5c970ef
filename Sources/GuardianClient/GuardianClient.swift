import CPlatform
public import ClusterModel
import Glibc
import Guardian
public import HighAvailability
public import Logging
public import Ports
public import Posix
import Processes

/// The daemon's end of the guardian (architecture.md §4): starts it where none runs, tells it the lease, and has it
/// start the postmaster. It blocks, on a thread of its own; every exchange has a deadline.
public actor GuardianClient: GuardianPort, PostmasterLauncher {
    /// How the guardian of one data directory is reached and started.
    public struct Options: Sendable {
        /// Of `matriarch-guardian`.
        public var executable: String
        public var dataDirectory: String
        /// Where its socket is, or will be; closed to other users. Nil: in a directory that it makes itself.
        public var directory: String?
        /// The daemon is started again when it dies.
        public var restartsDaemon = false
        /// Petted by the guardian; nil for none.
        public var watchdog: WatchdogPlan?
        /// Where its log goes, and the postmaster's; another descriptor in tests.
        var standardError = STDERR_FILENO
        /// Stands before its command line; for tests that run as root.
        public var commandPrefix: [String] = []

        public init(executable: String, dataDirectory: String, directory: String? = nil) {
            self.executable = executable
            self.dataDirectory = GuardianPlace.canonical(dataDirectory)
            self.directory = directory ?? GuardianPlace.configured(for: self.dataDirectory)
        }
    }

    /// What a daemon that begins learns from the guardian of an earlier one.
    public struct Inheritance: Sendable {
        public var status: GuardianStatus
        /// What the daemon before had: PostgreSQL may go on under it.
        public var lease: Lease?
    }

    let options: Options
    let log: Logger
    private let executor: ThreadExecutor
    var connection: Connection?
    /// Where the guardian that we have started listens, if not where it was told to.
    var ownDirectory: String?
    var attempts = GuardianAttempts()
    /// The order that stands: a new guardian hears it before it starts anything.
    private var order: GuardOrder?
    /// The order that the guardian at the other end has acknowledged.
    var heard: GuardOrder?
    private var watchdog: WatchdogPlan?
    /// What the log knows of it.
    private var toldOfWatchdog = GuardianStatus.Watchdog.off

    /// The guardian that we were connected with last.
    var asked: Int32?

    struct Connection {
        var socket: Int32
        /// The guardian's.
        var pid: Int32
    }

    /// How long a guardian may be silent before it counts as frozen.
    private static let patience = Duration.seconds(2)

    nonisolated public var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    public init(_ options: Options, logger: Logger) throws(SystemError) {
        self.options = options
        log = logger
        watchdog = options.watchdog
        executor = try ThreadExecutor(name: "guardian")
    }

    deinit { if let connection { close(connection.socket) } }

    /// The configuration was read again; it holds from the next renewal on.
    public func adopt(watchdog: WatchdogPlan?) { self.watchdog = watchdog }

    // MARK: The port

    public func tell(_ order: GuardOrder, deadline: BootInstant) async throws(GuardianError) -> GuardianStatus {
        self.order = order
        switch order {
        case .enforce(let lease, _):
            let reply = try ask(request(order), deadline)
            heard = order
            var status = status(reply)
            if let watchdog {
                status.watchdog = watchdog.status(
                    ttl: lease.ttl, actual: reply.watchdog, failure: reply.watchdogFailure)
            }
            note(status.watchdog)
            return status
        case .disarm:
            // Where no guardian runs there is nothing to disarm, and no need for one.
            if connection == nil, try !connect(starting: false, deadline) {
                letGoOfWatchdog()
                return GuardianStatus(pid: 0)
            }
            let reply = try ask(.disarm, deadline)
            note(.off)
            heard = order
            return status(reply)
        }
    }

    private func note(_ state: GuardianStatus.Watchdog) {
        if state != toldOfWatchdog { log.watchdog(state) }
        toldOfWatchdog = state
    }

    /// A guardian that was killed has left it on, and its PostgreSQL has ended with it: nothing is to be reset.
    private func letGoOfWatchdog() {
        guard case .on(let timeout) = toldOfWatchdog, let watchdog else { return }
        var device = Watchdog()
        device.activate(
            .init(
                device: watchdog.device, timeout: Int32(clamping: timeout.components.seconds), minimum: 0,
                isTesting: watchdog.isTesting))
        device.disable()
        note(.off)
    }

    /// Finds the guardian of an earlier daemon; one is started where `postmaster` runs without.
    public func inherit(postmaster: Int32?) async throws(GuardianError) -> Inheritance? {
        let deadline = BootClock.now() + .seconds(5)
        guard try connect(starting: postmaster != nil, deadline) else { return nil }
        chooseAmongSeveral(postmaster, deadline)
        let reply = try ask(.status, deadline)
        var lease: Lease?
        // A postmaster that could not be seen is the guardian's.
        if let found = reply.lease, postmaster == nil || reply.postmaster == postmaster {
            lease = Lease(
                since: BootInstant(nanoseconds: found.since), ttl: .nanoseconds(found.ttl), session: found.session,
                safetyMargin: .nanoseconds(found.margin))
        }
        return Inheritance(status: status(reply), lease: lease)
    }

    /// Before anything else of a daemon that begins: one that a guardian has started by itself gives way. True where a
    /// guardian was told.
    @discardableResult
    public func takeOver() async throws(GuardianError) -> Bool {
        let deadline = BootClock.now() + .seconds(5)
        guard try connect(starting: false, deadline, keepsAlive: false) else { return false }
        _ = try ask(.takeOver, deadline)
        try keepAlive(deadline)
        return true
    }

    /// The daemon ends in order.
    public func goodbye() async {
        guard connection != nil else { return }
        _ = try? ask(.goodbye, BootClock.now() + .seconds(1))
        disconnect()
    }

    // MARK: The launcher

    public func launch(_ command: PostmasterCommand) async throws(PostgreSQLError) -> Int32 {
        let launch = GuardianRequest.launch(
            .init(
                executable: command.executable, arguments: [command.executable] + command.arguments,
                environment: command.environment, workingDirectory: command.workingDirectory,
                isStandby: command.isStandby))
        let failure: GuardianError
        do throws(GuardianError) { return try pid(of: launch) } catch { failure = error }
        guard endSilent(failure, "and another one is asked") else { throw .failed("the guardian: \(failure)") }
        do throws(GuardianError) {
            return try pid(of: launch)
        } catch {
            _ = endSilent(error, "and nothing is started")
            throw .failed("the guardian: \(error)")
        }
    }

    /// Ends a guardian that was asked for a postmaster and is silent. No postmaster runs, so nothing is lost with it;
    /// but what it was asked for must not come when this node has given its key away. False where it has refused, or
    /// none is found.
    private func endSilent(_ failure: GuardianError, _ sequel: String) -> Bool {
        guard !failure.isRefusal, let silent = lastAsked() else { return false }
        log.warning("guardian \(silent) does not answer (\(failure)): SIGKILL, \(sequel)")
        disconnect()
        Self.kill(silent)
        return true
    }

    private func pid(of launch: GuardianRequest) throws(GuardianError) -> Int32 {
        try ask(launch, BootClock.now() + Self.patience * 2).postmaster
    }

    /// SIGKILL, and the wait until its socket is gone: the next one must not be sought there.
    private static func kill(_ guardian: Int32) {
        let process = ms_pidfd_open(guardian)
        if process < 0 && errno == ESRCH { return }
        guard Glibc.kill(guardian, SIGKILL) == 0 else { return }
        if process >= 0 {
            defer { close(process) }
            var end = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
            _ = poll(&end, 1, 2000)
        } else {
            for _ in 0..<200 where ProcessTable.isAlive(guardian) { _ = poll(nil, 0, 10) }
        }
    }

    public nonisolated func signal(_ signal: Int32, to pid: Int32) async -> Bool { Glibc.kill(pid, signal) == 0 }

    // MARK: Requests

    private static func patience(of order: GuardOrder) -> Duration {
        switch order {
        case .disarm: patience
        case .enforce(let lease, _): LeaseArithmetic.guardianPatience(ttl: lease.ttl)
        }
    }

    private func request(_ order: GuardOrder, isRunning: Bool = true) -> GuardianRequest {
        switch order {
        case .disarm: return .disarm
        case .enforce(let lease, let postmaster):
            return .enforce(
                GuardedLease(lease), postmaster: isRunning ? postmaster ?? 0 : 0,
                watchdog: watchdog?.guarded(ttl: lease.ttl))
        }
    }

    /// One request and its answer; a guardian is started where none runs.
    private func ask(_ request: GuardianRequest, _ deadline: BootInstant) throws(GuardianError) -> GuardianReply {
        if connection == nil {
            guard try connect(starting: true, deadline) else { throw GuardianError("no guardian runs") }
        }
        if case .launch = request, let order, heard != order {
            // The postmaster of the order is gone, or nothing would be launched. A guardian that does not take it
            // starts nothing: it would be unguarded.
            let reply = try exchange(
                self.request(order, isRunning: false), min(deadline, BootClock.now() + Self.patience(of: order)))
            if let refusal = reply.refusal { throw GuardianError("refused: \(refusal)", isRefusal: true) }
            heard = order
        }
        let reply = try exchange(request, deadline)
        if let refusal = reply.refusal { throw GuardianError("refused: \(refusal)", isRefusal: true) }
        return reply
    }

    func exchange(_ request: GuardianRequest, _ deadline: BootInstant) throws(GuardianError) -> GuardianReply {
        guard let connection else { throw GuardianError("no guardian runs") }
        do throws(GuardianError) {
            var message = request.message
            message.add("sent", BootClock.now().nanoseconds)
            message.add("data", options.dataDirectory)
            let bytes = message.bytes
            guard bytes.count <= GuardianMessage.maximumLength else {
                throw GuardianError("arguments and environment are too long: \(bytes.count) bytes")
            }
            guard send(connection.socket, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)) == bytes.count
            else { throw GuardianError("\(SystemError(call: "send"))") }
            return try receive(connection.socket, deadline)
        } catch {
            // An answer that comes later must not be taken for that of the next request.
            disconnect()
            throw error
        }
    }

    private func receive(_ socket: Int32, _ deadline: BootInstant) throws(GuardianError) -> GuardianReply {
        let until = min(deadline, BootClock.now() + Self.patience)
        while true {
            var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            let left = max(.zero, until - BootClock.now()).nanoseconds / 1_000_000
            let ready = poll(&waiting, 1, Int32(clamping: left + 1))
            if ready < 0 && errno == EINTR { continue }
            guard ready > 0 else { throw GuardianError("it does not answer") }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = recv(socket, &bytes, bytes.count, 0)
            guard count > 0 else { throw GuardianError("it has ended") }
            do throws(GuardianMessage.Malformed) {
                return try GuardianReply(GuardianMessage(bytes[..<count]))
            } catch {
                throw GuardianError(error.description)
            }
        }
    }

    private func status(_ reply: GuardianReply) -> GuardianStatus {
        GuardianStatus(
            pid: reply.guardian, postmaster: reply.postmaster > 0 ? reply.postmaster : nil, isParent: reply.isParent,
            leaseEnd: reply.lease.map { BootInstant(nanoseconds: $0.deadline) },
            lastStop: reply.stop.map { .init(at: BootInstant(nanoseconds: $0.at), wasKilled: $0.wasKilled) })
    }
}

extension GuardedLease {
    init(_ lease: Lease) {
        self.init(
            since: lease.since.nanoseconds, ttl: lease.ttl.nanoseconds, margin: lease.margin.nanoseconds,
            session: lease.session)
    }
}
