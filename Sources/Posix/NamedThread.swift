import CPlatform
import Glibc
public import Instants
import Synchronization

/// A thread of ours with a name, for work that blocks or that must not depend on the cooperative pool.
public enum NamedThread {
    /// Starts `body` on a new detached thread. The name is cut to the 15 bytes that the kernel keeps.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let box = Unmanaged.passRetained(ThreadBody(name: name, body: body))
        var thread = pthread_t()
        let code = pthread_create(&thread, &attributes, runThread, box.toOpaque())
        if code != 0 {
            box.release()
            throw SystemError(call: "pthread_create", subject: name, code: code)
        }
    }
}

private final class ThreadBody: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

private func runThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    let box = Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue()
    ms_name_thread(String(box.name.utf8.prefix(15)) ?? "matriarch")
    box.body()
    return nil
}

/// A serial executor on a thread of its own: an actor upon it may block without starving the cooperative pool.
public final class ThreadExecutor: SerialExecutor {
    private let queue = Mutex<Queue>(Queue())
    private let condition = Condition()

    private struct Queue: ~Copyable {
        var jobs: [UnownedJob] = []
        var stopped = false
    }

    /// Starts the thread. Without a thread the process cannot work, so a failure is the caller's to report.
    public init(name: String) throws(SystemError) {
        let runner = WeakRunner()
        runner.executor = self
        try NamedThread.start(name) { runner.run() }
    }

    deinit { condition.signal() }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.withLock { $0.jobs.append(job) }
        condition.signal()
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    fileprivate func drain() {
        while true {
            let jobs = queue.withLock { queue in
                let jobs = queue.jobs
                queue.jobs = []
                return jobs
            }
            if jobs.isEmpty { return }
            for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
        }
    }

    /// The thread holds the executor weakly while it waits, so that an executor without users ends its thread.
    private final class WeakRunner: @unchecked Sendable {
        // Sendable by hand: `executor` is set once before the thread starts and is only read afterwards.
        weak var executor: ThreadExecutor?
        func run() {
            while true {
                guard let condition = executor?.condition else { return }
                condition.wait()
                guard let executor else { return }
                executor.drain()
            }
        }
    }
}

/// A counting semaphore for threads of ours; never waited for on the cooperative pool.
public final class Condition: @unchecked Sendable {
    // Sendable by hand: sem_t is made to be shared between threads; the pointer itself never changes.
    private let semaphore: UnsafeMutablePointer<sem_t>

    public init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    /// Lets one waiter go, now or when it comes.
    public func signal() { sem_post(semaphore) }

    /// Waits for a signal.
    public func wait() { _ = retryingInterrupts { sem_wait(semaphore) } }

    /// Waits for a signal until `deadline`; false when it passed. The semaphore counts on the wall clock, which may
    /// step: so it is asked for a second at most, and the deadline is judged by our own clock.
    public func wait(until deadline: BootInstant) -> Bool {
        while true {
            let rest = deadline - BootClock.now()
            let slice = min(max(rest, .zero), .seconds(1))
            let wake = WallClock.nanosecondsSinceEpoch() + slice.nanoseconds
            var time = timespec(tv_sec: Int(wake / 1_000_000_000), tv_nsec: Int(wake % 1_000_000_000))
            if retryingInterrupts({ sem_timedwait(semaphore, &time) }) == 0 { return true }
            if rest <= .zero { return false }
        }
    }
}
