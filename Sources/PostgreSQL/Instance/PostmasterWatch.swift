import CPlatform
import ClusterModel
import Glibc
import Posix
import Processes
import Synchronization

/// Watches postmasters through pidfds on a thread of its own, so that the end of one is known at once, whoever its
/// parent is and whatever the rest of the daemon does.
final class PostmasterWatch: Sendable {
    /// Each pid that ended.
    let exits: AsyncStream<Int32>
    private let told: AsyncStream<Int32>.Continuation
    private let inner: Mutex<Inner>
    private let descriptors: Descriptors

    /// Opens a pidfd, or returns -1 with errno; another one in tests.
    typealias Opener = @Sendable (Int32) -> Int32

    private let open: Opener

    /// Between two looks at a process that the kernel gives no pidfd for.
    private static let lookInterval = Duration.milliseconds(50)

    private struct Inner {
        /// The pidfd of each pid; -1 for one that is looked at now and then.
        var watched: [Int32: Int32] = [:]
        var waiters: [Waiter] = []
        var nextWaiter: UInt64 = 0
        var stopped = false
    }

    private struct Waiter {
        var id: UInt64
        var pid: Int32
        var deadline: BootInstant
        var continuation: CheckedContinuation<Bool, Never>
    }

    init(open: @escaping Opener = { ms_pidfd_open($0) }) throws(SystemError) {
        self.open = open
        // More exits than this between two looks of the reader mean nothing new to it.
        (exits, told) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(16))
        inner = Mutex(Inner())
        descriptors = try Descriptors()
        add(descriptors.wake.number, tag: 0)
        let box = WeakBox(self)
        let descriptors = descriptors
        try NamedThread.start("postmaster-exit") {
            while let timeout = PostmasterWatch.timeout(of: box) {
                let tag = PostmasterWatch.waitForEvent(descriptors.epoll.number, timeout)
                if let tag { box.value?.handle(tag) }
            }
        }
    }

    deinit {
        told.finish()
        for (_, descriptor) in inner.withLock({ $0.watched }) where descriptor >= 0 { close(descriptor) }
        wakeUp()
    }

    /// Begins to watch `pid`, unless it is watched already. False where there is no such process. Whatever else keeps
    /// the kernel from giving us a pidfd (no descriptors left, a seccomp filter, an old kernel) tells nothing of it.
    @discardableResult
    func watch(_ pid: Int32) -> Bool {
        let (isThere, isPolled) = inner.withLock { inner in
            if inner.watched[pid] != nil { return (true, false) }
            let descriptor = open(pid)
            if descriptor < 0 && (errno == ESRCH || !ProcessTable.isAlive(pid)) { return (false, false) }
            inner.watched[pid] = max(-1, descriptor)
            if descriptor >= 0 { add(descriptor, tag: pid) }
            return (true, descriptor < 0)
        }
        if isPolled { wakeUp() }
        return isThere
    }

    /// Whether `pid` is watched and has not ended.
    func isWatching(_ pid: Int32) -> Bool { inner.withLock { $0.watched[pid] != nil } }

    /// Waits for the end of `pid`. False at the deadline, or at once where the task is cancelled.
    func waitForExit(of pid: Int32, deadline: BootInstant) async -> Bool {
        guard watch(pid) else { return true }
        let id = inner.withLock { inner in
            inner.nextWaiter += 1
            return inner.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let gone = inner.withLock { inner in
                    if inner.watched[pid] == nil { return true }
                    inner.waiters.append(Waiter(id: id, pid: pid, deadline: deadline, continuation: continuation))
                    return false
                }
                if gone { continuation.resume(returning: true) }
                if Task.isCancelled { resume(false) { $0.id == id } }
                wakeUp()
            }
        } onCancel: {
            resume(false) { $0.id == id }
        }
    }

    private func resume(_ ended: Bool, _ matches: (Waiter) -> Bool) {
        let found = inner.withLock { inner in
            let found = inner.waiters.filter(matches)
            inner.waiters.removeAll(where: matches)
            return found
        }
        for waiter in found { waiter.continuation.resume(returning: ended) }
    }

    /// Tag 0 is a mere wake-up; every other tag is the pid of a process that ended.
    private func handle(_ tag: Int32) {
        if tag == 0 {
            var count: UInt64 = 0
            _ = read(descriptors.wake.number, &count, 8)
        } else {
            ended(tag)
        }
    }

    private func ended(_ pid: Int32) {
        let descriptor = inner.withLock { $0.watched.removeValue(forKey: pid) }
        if let descriptor, descriptor >= 0 { close(descriptor) }
        resume(true) { $0.pid == pid }
        told.yield(pid)
    }

    /// Looks at those without a pidfd; when to look again, nil without any.
    private func look(_ now: BootInstant) -> BootInstant? {
        let polled = inner.withLock { $0.watched.filter { $0.value < 0 }.map(\.key) }
        let left = polled.filter(ProcessTable.isAlive)
        for pid in polled where !left.contains(pid) { ended(pid) }
        return left.isEmpty ? nil : now + Self.lookInterval
    }

    /// Until the next waiter's deadline, -1 without any; whoever is past it is told here.
    private func timeoutMilliseconds() -> Int32 {
        let now = BootClock.now()
        let look = look(now)
        resume(false) { $0.deadline <= now }
        let deadline = inner.withLock { $0.waiters.map(\.deadline).min() }
        guard let next = [look, deadline].compactMap({ $0 }).min() else { return -1 }
        return Int32(clamping: (next - now).nanoseconds / 1_000_000 + 1)
    }

    private func wakeUp() {
        var one: UInt64 = 1
        _ = write(descriptors.wake.number, &one, 8)
    }

    private func add(_ descriptor: Int32, tag: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = UInt64(UInt32(bitPattern: tag))
        epoll_ctl(descriptors.epoll.number, EPOLL_CTL_ADD, descriptor, &event)
    }

    /// Holds its owner only for the length of the call; nil once it is gone.
    private static func timeout(of box: WeakBox) -> Int32? { box.value?.timeoutMilliseconds() }

    private static func waitForEvent(_ epoll: Int32, _ timeout: Int32) -> Int32? {
        var event = epoll_event()
        let count = epoll_wait(epoll, &event, 1, timeout)
        return count > 0 ? Int32(bitPattern: UInt32(truncatingIfNeeded: event.data.u64)) : nil
    }
}

/// Shared with the thread, so that neither uses a number that the other has closed.
private final class Descriptors: Sendable {
    let epoll: FileDescriptor
    let wake: FileDescriptor

    init() throws(SystemError) {
        let poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poll >= 0 else { throw SystemError(call: "epoll_create1") }
        epoll = FileDescriptor(owning: poll)
        let event = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard event >= 0 else { throw SystemError(call: "eventfd") }
        wake = FileDescriptor(owning: event)
    }
}

/// The thread looks at its owner through this, so that an owner without users ends the thread.
private final class WeakBox: @unchecked Sendable {
    // Sendable by hand: set once before the thread starts; reading a weak reference is atomic.
    private weak var watch: PostmasterWatch?
    init(_ watch: PostmasterWatch) { self.watch = watch }
    var value: PostmasterWatch? { watch }
}
