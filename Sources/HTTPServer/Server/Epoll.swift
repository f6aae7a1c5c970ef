import CPlatform
import Glibc
import Posix

/// What an event is about: the slot of a connection, and the generation of its use. An event that was queued for a
/// connection whose slot was since given to another carries an old generation and is discarded.
struct EventToken: Equatable, Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32

    /// The mailbox has news.
    static let mailbox = EventToken(slot: .max, generation: 0)
    /// Among the newcomers something happened.
    static let newcomers = EventToken(slot: .max - 1, generation: 0)
    private static let listenerGeneration = UInt32.max

    /// The listening socket with this index.
    static func listener(_ index: Int) -> EventToken {
        EventToken(slot: UInt32(index), generation: listenerGeneration)
    }

    /// The index, when this is about a listening socket.
    var listenerIndex: Int? { generation == EventToken.listenerGeneration && self != .mailbox ? Int(slot) : nil }

    init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }

    init(packed: UInt64) {
        slot = UInt32(truncatingIfNeeded: packed)
        generation = UInt32(truncatingIfNeeded: packed >> 32)
    }

    var packed: UInt64 { UInt64(generation) << 32 | UInt64(slot) }

    /// The generation for the slot's next use; never the one that listeners have.
    var nextGeneration: UInt32 { generation + 1 == EventToken.listenerGeneration ? 1 : generation + 1 }
}

/// What a socket is watched for, and what happened to it. Errors and hang-ups are always told.
struct Readiness: OptionSet {
    let rawValue: UInt32

    static let input = Readiness(rawValue: EPOLLIN.rawValue)
    static let output = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The other side has ended sending.
    static let peerEnded = Readiness(rawValue: EPOLLRDHUP.rawValue)
    static let broken = Readiness(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)

    /// What to watch the socket for, where the connection's own needs are these, and TLS waits for `awaits` before it
    /// can go on. What would be ready without being of use is left out: it would wake the loop again and again.
    func watched(awaits: Readiness, hasUnsent: Bool) -> Readiness {
        if hasUnsent && awaits.contains(.input) { return subtracting(.output).union(.input) }
        if !hasUnsent && contains(.input) && awaits.contains(.output) { return subtracting(.input).union(.output) }
        return self
    }
}

/// One epoll instance with its batch of events, level-triggered. Used by one thread.
final class Epoll {
    private let descriptor: SharedDescriptor
    private let events: UnsafeMutableBufferPointer<epoll_event>
    private static let batchMax = 256

    init(_ descriptor: SharedDescriptor) {
        self.descriptor = descriptor
        events = .allocate(capacity: Epoll.batchMax)
        events.initialize(repeating: epoll_event())
    }

    deinit { events.deallocate() }

    /// A new epoll descriptor.
    static func open() throws(SystemError) -> FileDescriptor {
        let number = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard number >= 0 else { throw SystemError(call: "epoll_create1") }
        return FileDescriptor(owning: number)
    }

    /// Begins to watch `socket`; false when the system refuses.
    func add(_ socket: Int32, _ interest: Readiness, _ token: EventToken) -> Bool {
        control(EPOLL_CTL_ADD, socket, interest, token)
    }

    /// Watches `socket` for something else from now on.
    func change(_ socket: Int32, _ interest: Readiness, _ token: EventToken) -> Bool {
        control(EPOLL_CTL_MOD, socket, interest, token)
    }

    func remove(_ socket: Int32) { _ = control(EPOLL_CTL_DEL, socket, [], .mailbox) }

    /// Waits until something happens or `milliseconds` passed, -1 for ever; how many events there are.
    func wait(milliseconds: Int32) -> Int {
        let count = epoll_wait(descriptor.number, events.baseAddress, Int32(events.count), milliseconds)
        return max(0, Int(count))
    }

    /// The event at `index` of the last batch.
    func event(_ index: Int) -> (token: EventToken, readiness: Readiness) {
        let event = events[index]
        return (EventToken(packed: event.data.u64), Readiness(rawValue: event.events))
    }

    private func control(_ operation: Int32, _ socket: Int32, _ interest: Readiness, _ token: EventToken) -> Bool {
        var event = epoll_event()
        event.events = interest.rawValue
        event.data.u64 = token.packed
        return epoll_ctl(descriptor.number, operation, socket, &event) == 0
    }

    func close() { descriptor.close() }
}
