import Glibc
public import Logging
import Posix
import Synchronization

/// An HTTP/1.1 server on POSIX sockets and epoll: event-loop threads that answer at once what can be, and tasks for
/// what takes longer (rest-api.md §1). It knows nothing of what it serves.
public final class HTTPServer: Sendable {
    private let configuration: HTTPServerConfiguration
    private let handler: any HTTPHandler
    private let logger: Logger
    private let state = Mutex<State>(.new)

    /// The life of a server.
    private enum State {
        /// To `starting`, or to `ended` by a stop.
        case new
        /// To `running`, to `ended` when it failed or was stopped meanwhile.
        case starting
        /// To `ended`.
        case running(Loops)
        /// For ever; the loops, if there were any, may still be finishing.
        case ended(Loops?)
    }

    private struct Loops: Sendable {
        let mailboxes: [LoopMailbox]
        let latch: EndLatch
        /// The sockets that are accepted from.
        var listeners: [Listener]

        func stop(deadline: Int64) {
            for mailbox in mailboxes { mailbox.post(.stop(deadline: deadline)) }
        }
    }

    /// A server that does nothing yet.
    public init(configuration: HTTPServerConfiguration, handler: any HTTPHandler, logger: Logger) {
        self.configuration = configuration
        self.handler = handler
        self.logger = logger
    }

    deinit {
        state.withLock { state in
            switch state {
            case .running(let loops): loops.stop(deadline: LoopClock.now())
            case .new, .starting, .ended: break
            }
        }
    }

    /// Listens and serves. Returns the addresses it is bound to, in the order of the configuration, with the ports that
    /// the system chose where 0 was asked for. A server starts once.
    @discardableResult
    public func start() async throws(HTTPServerError) -> [ListenAddress] {
        let isNew = state.withLock { state in
            guard case .new = state else { return false }
            state = .starting
            return true
        }
        guard isNew else { throw .alreadyStarted }
        let result = await onThread { () throws(HTTPServerError) in try self.open() }
        let started = state.withLock { state -> (addresses: [ListenAddress]?, refused: Loops?) in
            guard case .success(let opened) = result else {
                state = .ended(nil)
                return (nil, nil)
            }
            guard case .starting = state else { return (nil, opened.loops) }
            state = .running(opened.loops)
            return (opened.addresses, nil)
        }
        started.refused?.stop(deadline: LoopClock.now())
        let opened = try result.get()
        guard let addresses = started.addresses else { throw .alreadyStarted }
        logger.debug("HTTP server listens", metadata: ["addresses": "\(opened.addresses)"])
        return addresses
    }

    /// Stops: accepts no more, lets answers under way finish for at most `drain`, then cancels them and closes every
    /// connection. Returns once the threads have ended. May be called again, also with a shorter time.
    public func stop(drain: Duration = .seconds(5)) async {
        let loops = state.withLock { state -> Loops? in
            switch state {
            case .new, .starting:
                state = .ended(nil)
                return nil
            case .running(let loops):
                state = .ended(loops)
                return loops
            case .ended(let loops):
                return loops
            }
        }
        guard let loops else { return }
        loops.stop(deadline: LoopClock.now() + LoopClock.nanoseconds(drain))
        await loops.latch.wait()
    }

    /// Has the server work with `settings` from now on. Connections that are open go on undisturbed.
    public func adopt(_ settings: HTTPServerSettings) {
        state.withLock { state in
            switch state {
            case .running(let loops):
                for mailbox in loops.mailboxes { mailbox.post(.settings(settings)) }
            case .new, .starting, .ended: break
            }
        }
    }

    /// Listens at `addresses` from now on, and no more where it did; returns the addresses it is bound to.
    ///
    /// The new sockets are open before the old ones close, and connections go on undisturbed, also those that wait to
    /// be accepted. Where a socket cannot be opened it throws, and everything stays. One move at a time; only while the
    /// server runs.
    @discardableResult
    public func move(to addresses: [ListenAddress]) async throws(HTTPServerError) -> [ListenAddress] {
        guard let present = running?.listeners else { throw .notRunning }
        let configuration = configuration
        let fresh = try await onThread { () throws(HTTPServerError) in
            try Listener.open(
                addresses, beside: present, backlog: configuration.backlog, sharesPort: configuration.sharesPort)
        }.get()
        let latch = EndLatch(running: 1)
        let isTaken = state.withLock { state in
            guard case .running(var loops) = state else { return false }
            loops.listeners = fresh
            state = .running(loops)
            return loops.mailboxes[0].post(.listeners(fresh, latch))
        }
        guard isTaken else {
            for listener in fresh { listener.descriptor.close() }
            throw .notRunning
        }
        await latch.wait()
        return fresh.map(\.address)
    }

    private var running: Loops? {
        state.withLock { state in
            switch state {
            case .running(let loops): loops
            case .new, .starting, .ended: nil
            }
        }
    }

    private struct Opened: Sendable {
        let loops: Loops
        let addresses: [ListenAddress]
    }

    /// Runs `body` on a thread of its own: a host name may have to be resolved, which blocks.
    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws(HTTPServerError) -> Value
    ) async -> Result<Value, HTTPServerError> {
        await withCheckedContinuation { continuation in
            do throws(SystemError) {
                try NamedThread.start("http-start") {
                    do throws(HTTPServerError) {
                        continuation.resume(returning: .success(try body()))
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            } catch {
                continuation.resume(returning: .failure(HTTPServerError(error)))
            }
        }
    }

    private func open() throws(HTTPServerError) -> Opened {
        let listeners = try Listener.open(
            configuration.listen, beside: [], backlog: configuration.backlog, sharesPort: configuration.sharesPort)
        do throws(HTTPServerError) {
            return Opened(loops: try startLoops(listeners), addresses: listeners.map(\.address))
        } catch {
            for listener in listeners { listener.descriptor.close() }
            throw error
        }
    }

    private func startLoops(_ listeners: [Listener]) throws(HTTPServerError) -> Loops {
        let count = max(1, configuration.loops)
        do throws(SystemError) {
            var mailboxes: [LoopMailbox] = []
            for _ in 0..<count { mailboxes.append(try LoopMailbox()) }
            var epolls: [SharedDescriptor] = []
            for _ in 0..<(2 * count) { epolls.append(SharedDescriptor(try Epoll.open())) }
            let loops = Loops(mailboxes: mailboxes, latch: EndLatch(running: count), listeners: listeners)
            let slots = AnswerSlotsByKind(configuration)
            let streamSlots = AnswerSlots(configuration.streamsMax)
            let connectionsMax = max(1, (configuration.connectionsMax ?? HTTPServer.connectionsMax()) / count)
            for index in 0..<count {
                let setup = EventLoop.Setup(
                    epoll: epolls[index], newcomers: epolls[count + index], mailbox: mailboxes[index],
                    listeners: index == 0 ? listeners : [],
                    mailboxes: mailboxes, connectionsMax: connectionsMax, slots: slots,
                    streamSlots: streamSlots, configuration: configuration, handler: handler, logger: logger)
                try start(setup, loops, index)
            }
            return loops
        } catch {
            throw HTTPServerError(error)
        }
    }

    private func start(_ setup: EventLoop.Setup, _ loops: Loops, _ index: Int) throws(SystemError) {
        let latch = loops.latch
        do throws(SystemError) {
            try NamedThread.start("http-\(index)") {
                EventLoop(setup).run()
                latch.arrive()
            }
        } catch {
            loops.stop(deadline: LoopClock.now())
            throw error
        }
    }

    /// 4096, or half of what the process may open: the other half is for PostgreSQL, the DCS and files.
    private static func connectionsMax() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else { return 512 }
        return max(16, Int(min(4096, limit.rlim_cur / 2)))
    }
}

extension HTTPServerError {
    init(_ error: SystemError) {
        self = .system(call: error.call, subject: error.subject, reason: SystemError.message(error.code))
    }
}
