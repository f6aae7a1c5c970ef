import ClusterModel
import Glibc
import Posix
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct ThreadTests {
    /// Names of this process's threads, from the kernel.
    private static func threadNames() -> [String] {
        ((try? Files.list("/proc/self/task")) ?? []).compactMap { id in
            (try? Files.readText("/proc/self/task/\(id)/comm")).map { String($0.dropLast()) }
        }
    }

    private func until(_ condition: () -> Bool) async {
        // Bounded by the suite's time limit.
        while !condition(), !Task.isCancelled { await Task.yield() }
    }

    @Test func aThreadHasItsNameCutToFit() async throws {
        let name: String = await withCheckedContinuation { continuation in
            do {
                try NamedThread.start("a-rather-long-name") {
                    let name = try? Files.readText("/proc/thread-self/comm")
                    continuation.resume(returning: String(name?.dropLast() ?? ""))
                }
            } catch { continuation.resume(returning: "\(error)") }
        }
        #expect(name == "a-rather-long-n")
    }

    private actor Blocking {
        private let executor: ThreadExecutor
        nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
        private var order: [Int] = []

        init(_ executor: ThreadExecutor) { self.executor = executor }

        func append(_ number: Int) -> pthread_t {
            order.append(number)
            return pthread_self()
        }

        func numbers() -> [Int] { order }

        func waitFor(_ condition: Condition) { condition.wait() }
    }

    @Test func anActorOnAnExecutorRunsOnItsThreadOnly() async throws {
        let actor = Blocking(try ThreadExecutor(name: "test-actor"))
        var threads: Set<pthread_t> = []
        for number in 0..<100 { threads.insert(await actor.append(number)) }
        #expect(threads.count == 1)
        #expect(threads.first != pthread_self())
        #expect(await actor.numbers() == Array(0..<100))
    }

    /// Eight actors block at once while the pool has two threads: with executors of their own nobody starves.
    @Test func blockedExecutorsDoNotStarveThePool() async throws {
        let gate = Condition()
        let actors = try (0..<8).map { _ in Blocking(try ThreadExecutor(name: "test-block")) }
        await withTaskGroup { group in
            for actor in actors { group.addTask { await actor.waitFor(gate) } }
            for _ in 0..<100 { await Task.yield() }
            for _ in actors { gate.signal() }
        }
    }

    @Test func anExecutorWithoutUsersEndsItsThread() async throws {
        let name = "test-ending"
        do {
            let actor = Blocking(try ThreadExecutor(name: name))
            _ = await actor.append(1)
            #expect(Self.threadNames().contains(name))
        }
        await until { !Self.threadNames().contains(name) }
        #expect(!Self.threadNames().contains(name))
    }

    @Test func waitingHasADeadline() async {
        let condition = Condition()
        #expect(!condition.wait(until: BootClock.now()))
        condition.signal()
        #expect(condition.wait(until: BootClock.now()))
        let start = BootClock.now()
        #expect(!condition.wait(until: start + .milliseconds(20)))
        #expect(BootClock.now() - start >= .milliseconds(20))
    }
}
