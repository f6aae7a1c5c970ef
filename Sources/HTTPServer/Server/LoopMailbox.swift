import CPlatform
import Glibc
import Posix
import Synchronization

/// What other threads tell an event loop.
enum LoopMessage: Sendable {
    /// A connection that the accepting loop hands over. The socket is owned by whoever takes the message.
    case connection(socket: Int32, peer: Peer)
    /// The answer of a task.
    case answered(EventToken, HTTPResponse)
    /// More of a stream; nil ends it.
    case streamed(EventToken, [UInt8]?)
    /// Work with these settings from now on.
    case settings(HTTPServerSettings)
    /// Accept from these sockets from now on, and no more from those before. The latch is told when it is so, also by a
    /// loop that ends instead and closes them.
    case listeners([Listener], EndLatch)
    /// End; answers under way may finish until `deadline`, in nanoseconds of `LoopClock`.
    case stop(deadline: Int64)
}

/// The way into an event loop: a queue and the eventfd that wakes it. What is sent after the loop's end is dropped.
final class LoopMailbox: Sendable {
    /// The eventfd, for epoll; valid until `close`.
    let wakeNumber: Int32
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var messages: [LoopMessage] = []
        /// Nil once the loop has ended.
        var wake: FileDescriptor?
    }

    init() throws(SystemError) {
        let number = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard number >= 0 else { throw SystemError(call: "eventfd") }
        wakeNumber = number
        state = Mutex(State(wake: FileDescriptor(owning: number)))
    }

    /// Leaves a message and wakes the loop; false when the loop has ended and the message is dropped.
    @discardableResult
    func post(_ message: LoopMessage) -> Bool {
        state.withLock { state in
            guard let number = state.wake?.number else { return false }
            state.messages.append(message)
            // Only the first message wakes: the loop takes all of them at once.
            if state.messages.count == 1 { _ = eventfd_write(number, 1) }
            return true
        }
    }

    /// All messages so far, in order.
    func takeAll() -> [LoopMessage] {
        state.withLock { state in
            if let number = state.wake?.number {
                var value: eventfd_t = 0
                _ = eventfd_read(number, &value)
            }
            let messages = state.messages
            state.messages = []
            return messages
        }
    }

    /// Ends the mailbox and gives back what nobody read.
    func close() -> [LoopMessage] {
        state.withLock { state in
            state.wake = nil
            let messages = state.messages
            state.messages = []
            return messages
        }
    }
}

/// The clock of the loop's timeouts: monotonic. Nothing here is a lease, so that a suspended host may stop it.
enum LoopClock {
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Whole seconds since the epoch, for the `Date` header.
    static func wallSeconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &time)
        return time.tv_sec
    }

    /// A duration in nanoseconds, never negative and at most a year, so that adding it to `now` cannot overflow.
    static func nanoseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        let bounded = min(max(seconds, 0), 31_536_000)
        return bounded * 1_000_000_000 + max(0, attoseconds / 1_000_000_000)
    }
}
