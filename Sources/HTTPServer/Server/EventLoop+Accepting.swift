import CPlatform
import Glibc
import Logging
import Posix

/// What the accepting loop remembers between two connections.
struct AcceptorState: ~Copyable {
    var listeners: [Listener]
    /// The mailbox that gets the next connection.
    var nextLoop = 0
    /// A descriptor held in reserve: given up for a moment when there is no other, to take a client off the queue and
    /// turn it away.
    var spare: FileDescriptor?
    /// The listeners rest until then, because nothing could be accepted.
    var resumesAt: Int64?
    /// Before this instant no further warning is logged.
    var warnsAt: Int64 = 0

    init(listeners: [Listener]) {
        self.listeners = listeners
        if !listeners.isEmpty { openSpare() }
    }

    mutating func openSpare() {
        // It is a reserve: without it the listeners rest a little instead.
        do throws(SystemError) { spare = try FileDescriptor.open("/dev/null", O_RDONLY) } catch { spare = nil }
    }
}

extension EventLoop {
    /// Connections taken from one listener in one round, so that clients already there have their turn.
    private static let acceptedPerRoundMax = 64
    /// Connections taken from one listener before it closes: the longest queue that there is.
    private static let acceptedAtCloseMax = Int(Listener.backlogMax)
    /// How long the listeners rest when not even the reserve helped.
    private static let rest: Int64 = 100_000_000
    /// Between two warnings of one kind.
    private static let warningInterval: Int64 = 10_000_000_000

    func listen() {
        for (index, listener) in acceptor.listeners.enumerated() {
            _ = newcomers.add(listener.descriptor.number, .input, .listener(index))
        }
    }

    func closeListeners() {
        for listener in acceptor.listeners {
            newcomers.remove(listener.descriptor.number)
            listener.descriptor.close()
        }
        acceptor.listeners = []
        acceptor.resumesAt = nil
    }

    /// Whoever has connected to the sockets before is taken in, then they close.
    func replaceListeners(_ fresh: [Listener], _ latch: EndLatch) {
        defer { latch.arrive() }
        if isStopping {
            for listener in fresh { listener.descriptor.close() }
            return
        }
        for index in acceptor.listeners.indices { accept(listener: index, atMost: EventLoop.acceptedAtCloseMax) }
        closeListeners()
        acceptor.listeners = fresh
        listen()
    }

    func accept(listener index: Int, atMost limit: Int = EventLoop.acceptedPerRoundMax) {
        guard index < acceptor.listeners.count else { return }
        let number = acceptor.listeners[index].descriptor.number
        for _ in 0..<limit {
            var address = sockaddr_storage()
            let socket = acceptOne(number, &address)
            if socket >= 0 {
                admit(FileDescriptor(owning: socket), peer: Peer(address))
                continue
            }
            switch errno {
            case EAGAIN: return
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                if !makeRoom(number) { return }
            default:
                // The client was gone before it was accepted, or the network told of an error that is its own.
                continue
            }
        }
    }

    private func acceptOne(_ listener: Int32, _ address: inout sockaddr_storage) -> Int32 {
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        return withSocketAddress(&address) { address in
            retryingInterrupts { ms_accept4(listener, address, &length, flags) }
        }
    }

    /// Connections go round the loops.
    private func admit(_ descriptor: consuming FileDescriptor, peer: Peer) {
        let mailbox = setup.mailboxes[acceptor.nextLoop]
        acceptor.nextLoop = (acceptor.nextLoop + 1) % setup.mailboxes.count
        if mailbox === setup.mailbox { return register(descriptor, peer: peer) }
        let socket = descriptor.release()
        if !mailbox.post(.connection(socket: socket, peer: peer)) { _ = FileDescriptor(owning: socket) }
    }

    /// Takes a new connection in.
    func register(_ descriptor: consuming FileDescriptor, peer: Peer) {
        // Dropping the descriptor closes it.
        if isStopping { return }
        if table.count >= setup.connectionsMax && !endOne() { return }
        let token = table.reserve()
        let transport = transport(descriptor)
        let source = sources.enter(peer.source)
        let connection = Connection(
            transport: transport, token: token, limits: configuration.limits, peer: peer.text, source: source)
        table.insert(connection)
        waits.move(connection.slot, of: source, to: transport.isHandshaking ? .handshaking : .silent, now: now)
        // Most clients have sent their request by now; who asks once is answered without having been watched. What a
        // handshake costs is paid in its turn, when there is something to read.
        if transport.isHandshaking { settle(connection) } else { receive(connection) }
    }

    private func transport(_ descriptor: consuming FileDescriptor) -> any Transport {
        guard let tls = settings.tls else { return PlainTransport(descriptor) }
        return TLSTransport(descriptor, tls)
    }

    /// Of the connections, the part kept for health checks and members: so many of theirs stay however many others
    /// come.
    private static let share = 4
    /// Before one is ended, so many are looked at once more.
    private static let lastLooksMax = 4

    /// Ends one connection, so that whoever comes new is let in, and a health check always is. False when every
    /// connection has an answer under way. Whoever has sent a request that was not looked at yet is answered first.
    private func endOne() -> Bool {
        let before = table.count
        for look in 0...EventLoop.lastLooksMax {
            let eviction = Eviction(
                waits: waits, heaviest: sources.heaviest, shareMax: setup.connectionsMax / EventLoop.share, now: now)
            guard let slot = eviction.victim, let connection = table.inSlot(slot) else { return false }
            if look < EventLoop.lastLooksMax, waits.wait(of: slot) == .silent {
                receive(connection)
                if table.count < before { return true }
                if waits.wait(of: slot) != .silent { continue }
            }
            close(connection)
            return true
        }
        return false
    }

    /// There is no descriptor left. Frees one of ours, or uses the reserve to turn the client away, or has the
    /// listeners rest: the queue stays readable meanwhile, and the loop must not spin on it.
    /// True when accepting may go on at once.
    private func makeRoom(_ listener: Int32) -> Bool {
        warnOfShortage(SystemError.message(errno))
        if endOne() { return true }
        if acceptor.spare != nil {
            acceptor.spare = nil
            var address = sockaddr_storage()
            let socket = acceptOne(listener, &address)
            if socket >= 0 { _ = FileDescriptor(owning: socket) }
            acceptor.openSpare()
        }
        restListeners()
        return false
    }

    /// Says it, and then not again for a while: a flood of clients must not become a flood of lines.
    private func warnOfShortage(_ reason: String) {
        guard now >= acceptor.warnsAt else { return }
        acceptor.warnsAt = now + EventLoop.warningInterval
        setup.logger.warning("no descriptor for a new HTTP connection", metadata: ["reason": "\(reason)"])
    }

    private func restListeners() {
        acceptor.resumesAt = now + EventLoop.rest
        watchListeners([])
    }

    func resumeAccepting() {
        guard let resumesAt = acceptor.resumesAt, now >= resumesAt else { return }
        acceptor.resumesAt = nil
        if acceptor.spare == nil { acceptor.openSpare() }
        watchListeners(.input)
    }

    private func watchListeners(_ interest: Readiness) {
        for (index, listener) in acceptor.listeners.enumerated() {
            _ = newcomers.change(listener.descriptor.number, interest, .listener(index))
        }
    }
}
