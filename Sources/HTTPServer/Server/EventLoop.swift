import Glibc
import Logging
import Posix

/// One thread's worth of the server: its connections, its epoll, its timeouts. Everything in it belongs to that thread;
/// others speak to it through the mailbox.
final class EventLoop {
    /// What a loop is made from, on the thread that starts the server.
    struct Setup: Sendable {
        let epoll: SharedDescriptor
        /// Watches the listeners and those connections of which nothing was answered yet; the other watches it.
        let newcomers: SharedDescriptor
        let mailbox: LoopMailbox
        /// The sockets to accept from: all of them in the first loop, none in the others.
        let listeners: [Listener]
        /// Every loop's mailbox, this one's included: accepted connections go round.
        let mailboxes: [LoopMailbox]
        let connectionsMax: Int
        let slots: AnswerSlotsByKind
        let streamSlots: AnswerSlots
        let configuration: HTTPServerConfiguration
        let handler: any HTTPHandler
        let logger: Logger
    }

    let setup: Setup
    let epoll: Epoll
    let newcomers: Epoll
    var table = ConnectionTable()
    var waits = TimeoutQueues()
    var sources: Sources
    /// Connections with more to be answered than fits into a turn, and those whose handshake is due.
    var unfinished = TokenQueue()
    var handshakes = HandshakeTurns()
    var debt: SignatureDebt
    /// Connections with a stream, the oldest first, and some that have none any more.
    var streams: [EventToken] = []
    /// When the newcomers were last looked after.
    private var newcomersSince = LoopClock.now()
    let timeouts: [Int64]
    /// Where received bytes land before the parser takes them; shared, because one connection is read at a time.
    let scratch: UnsafeMutableRawBufferPointer
    /// What is to be sent on the connection being served.
    var outgoing: [UInt8] = []
    /// What all parsers hold of requests that are not yet whole.
    var gatheredBytes = 0
    var stamp: ResponseStamp
    var settings: HTTPServerSettings
    /// The instant of this round, read once for all its events.
    var now = LoopClock.now()
    var acceptor: AcceptorState
    /// Once stopping: until when answers may finish.
    private var stopDeadline: Int64?

    var isStopping: Bool { stopDeadline != nil }
    var configuration: HTTPServerConfiguration { setup.configuration }

    static let scratchBytes = 64 << 10
    /// How long one connection is served before others are, and how long those that were served before are before the
    /// newcomers are; in nanoseconds.
    static let turn: Int64 = 1_000_000
    /// How many requests of one connection are answered in a turn.
    static let requestsPerTurnMax = 64
    /// With so many handshakes due beside it, and more signatures owed than is bearable, a first message is looked at
    /// warily.
    static let handshakesAtEase = 4
    /// Answers to pipelined requests are gathered up to here before they are sent.
    static let outgoingBytesMax = 64 << 10
    /// What a request may hold however much the others do.
    static let smallRequestBytes = 16 << 10

    init(_ setup: Setup) {
        self.setup = setup
        epoll = Epoll(setup.epoll)
        newcomers = Epoll(setup.newcomers)
        debt = SignatureDebt(bearable: setup.configuration.unpaidSignaturesMax)
        sources = Sources(connectionsMax: setup.connectionsMax)
        scratch = .allocate(byteCount: EventLoop.scratchBytes, alignment: 16)
        settings = setup.configuration.settings
        stamp = ResponseStamp(server: settings.serverName, extraHeaders: settings.extraHeaders)
        acceptor = AcceptorState(listeners: setup.listeners)
        let configuration = setup.configuration
        timeouts = TimeoutQueues.Wait.allCases.map { wait in
            switch wait {
            case .silent, .idle, .idleInShare: LoopClock.nanoseconds(configuration.idleTimeout)
            case .handshaking: LoopClock.nanoseconds(configuration.handshakeTimeout)
            case .reading: LoopClock.nanoseconds(configuration.requestTimeout)
            case .writing: LoopClock.nanoseconds(configuration.writeTimeout)
            case .lingering: LoopClock.nanoseconds(configuration.lingerTimeout)
            }
        }
    }

    deinit { scratch.deallocate() }

    /// Serves until told to stop. The thread ends with it.
    func run() {
        _ = epoll.add(setup.mailbox.wakeNumber, .input, .mailbox)
        _ = epoll.add(setup.newcomers.number, .input, .newcomers)
        listen()
        while !isFinished {
            let hasTurns = !unfinished.isEmpty || !handshakes.isEmpty
            let count = epoll.wait(milliseconds: hasTurns ? 0 : millisecondsToWait())
            now = LoopClock.now()
            newcomersSince = now
            stamp.refresh(secondsSinceEpoch: LoopClock.wallSeconds())
            for index in 0..<count {
                dispatch(epoll.event(index))
                lookAfterNewcomers()
            }
            giveTurns()
            expireWaits()
            resumeAccepting()
        }
        end()
    }

    /// However many connections have something to be answered, who has had no answer yet waits no longer than a turn.
    private func lookAfterNewcomers() {
        guard LoopClock.now() - newcomersSince >= EventLoop.turn else { return }
        now = LoopClock.now()
        serveNewcomers()
        newcomersSince = LoopClock.now()
    }

    private func serveNewcomers() {
        for index in 0..<newcomers.wait(milliseconds: 0) { dispatch(newcomers.event(index)) }
    }

    /// What waits for a turn has one in each round: first what is left of pipelined requests, then handshakes, of each
    /// step at least one, and of first messages as many as a turn has room for.
    private func giveTurns() {
        let begun = LoopClock.now()
        while LoopClock.now() - begun < EventLoop.turn, let token = unfinished.popFirst() {
            if let connection = table[token] { resume(connection) }
        }
        if handshakes.isEmpty { return }
        lookAfterNewcomers()
        greet(at: .proven, during: 0)
        lookAfterNewcomers()
        greet(at: .first, during: EventLoop.turn)
        lookAfterNewcomers()
        greet(at: .unproven, during: 0)
    }

    /// Goes on with handshakes that are at `step`, with one at least where there is one.
    private func greet(at step: Greeting, during nanoseconds: Int64) {
        let begun = LoopClock.now()
        while let token = handshakes.popFirst(at: step) {
            guard let connection = table[token] else { continue }
            let isCrowded = step == .first && handshakes.count >= EventLoop.handshakesAtEase
            greet(connection, warily: isCrowded && debt.isUnbearable(now: now))
            if LoopClock.now() - begun >= nanoseconds { return }
        }
    }

    private func adopt(_ settings: HTTPServerSettings) {
        let changesTrust = settings.tls?.trust != self.settings.tls?.trust
        self.settings = settings
        stamp = ResponseStamp(server: settings.serverName, extraHeaders: settings.extraHeaders)
        stamp.refresh(secondsSinceEpoch: LoopClock.wallSeconds())
        guard changesTrust else { return }
        for connection in table.all where !isTrusted(connection) { endWhenDone(connection) }
    }

    private var isFinished: Bool {
        guard let stopDeadline else { return false }
        return table.count == 0 || now >= stopDeadline
    }

    private func dispatch(_ event: (token: EventToken, readiness: Readiness)) {
        if event.token == .newcomers {
            serveNewcomers()
        } else if event.token == .mailbox {
            setup.mailbox.takeAll().forEach(receive)
        } else if let index = event.token.listenerIndex {
            accept(listener: index)
        } else if let connection = table[event.token] {
            advance(connection, event.readiness)
        }
    }

    private func receive(_ message: LoopMessage) {
        switch message {
        case .connection(let socket, let peer): register(FileDescriptor(owning: socket), peer: peer)
        case .answered(let token, let response): finishPending(token, response)
        case .streamed(let token, let bytes): continueStream(token, bytes)
        case .settings(let settings): adopt(settings)
        case .listeners(let listeners, let latch): replaceListeners(listeners, latch)
        case .stop(let deadline): stop(deadline: deadline)
        }
    }

    /// Accepts no more; what has an answer under way or unsent may finish, everything else ends now.
    private func stop(deadline: Int64) {
        stopDeadline = min(stopDeadline ?? deadline, deadline)
        closeListeners()
        for connection in table.all { endWhenDone(connection) }
    }

    /// An answer that is under way or unsent may finish; a stream, which has no end, ends now.
    private func endWhenDone(_ connection: Connection) {
        connection.isEnding = true
        if connection.stream != nil || connection.pending == nil && connection.unsent.isEmpty { close(connection) }
    }

    private func end() {
        let unfinished = table.count
        if unfinished > 0 {
            setup.logger.debug("HTTP answers were cut off by the stop", metadata: ["count": "\(unfinished)"])
        }
        for connection in table.all { close(connection) }
        for message in setup.mailbox.close() {
            switch message {
            case .connection(let socket, _): _ = FileDescriptor(owning: socket)
            case .listeners(let listeners, let latch):
                for listener in listeners { listener.descriptor.close() }
                latch.arrive()
            case .answered, .streamed, .settings, .stop: break
            }
        }
        acceptor.spare = nil
        epoll.close()
        newcomers.close()
    }

    /// Ends a connection at once, and the task that works on its answer.
    func close(_ connection: Connection) {
        guard connection.isOpen else { return }
        connection.isOpen = false
        connection.pending?.task.cancel()
        connection.pending = nil
        gatheredBytes -= connection.gathered
        waits.move(connection.slot, of: connection.source, to: nil, now: now)
        sources.leave(connection.source)
        // Closing the socket takes it out of epoll: no other descriptor refers to it.
        connection.transport.close()
        table.remove(connection.token)
    }

    private func millisecondsToWait() -> Int32 {
        var next = stopDeadline ?? .max
        if let resume = acceptor.resumesAt { next = min(next, resume) }
        for wait in TimeoutQueues.Wait.allCases {
            if let oldest = waits.oldest(wait) { next = min(next, oldest.since + timeouts[wait.rawValue]) }
        }
        if next == .max { return -1 }
        // Rounded up: waking a moment early would only mean to wait again.
        return Int32(clamping: max(0, (next - LoopClock.now() + 999_999) / 1_000_000))
    }

    private func expireWaits() {
        for wait in TimeoutQueues.Wait.allCases {
            while let oldest = waits.oldest(wait), oldest.since + timeouts[wait.rawValue] <= now {
                guard let connection = table.inSlot(oldest.slot) else {
                    waits.move(oldest.slot, to: nil, now: now)
                    continue
                }
                expire(connection, wait)
            }
        }
    }

    private func expire(_ connection: Connection, _ wait: TimeoutQueues.Wait) {
        switch wait {
        case .silent, .idle, .idleInShare, .handshaking, .writing, .lingering: close(connection)
        case .reading:
            let allowed = configuration.requestTimeout
            turnAway(connection, HTTPParseError(408, "a request must arrive whole within \(allowed)"))
        }
    }
}
