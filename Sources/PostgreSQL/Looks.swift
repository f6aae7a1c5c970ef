import ClusterModel
import Posix
import Synchronization

/// Keeps the promise of `observe` that it never waits longer than its deadline, also where the thread that looks hangs
/// in the kernel (a dead disk, a file system of the network that does not answer): then the last answer comes once more,
/// as old as it is.
final class Looks: Sendable {
    /// How long after its deadline a look may still come back by itself.
    static let grace = Duration.seconds(1)
    /// Looks that wait for the thread; more would only make it late for longer.
    static let maximum = 8

    private let state = Mutex(State())

    private struct State {
        var last: PostgreSQLStatus?
        var waiting = 0
    }

    func look(
        until deadline: BootInstant, _ body: @escaping @Sendable () async -> PostgreSQLStatus
    ) async -> PostgreSQLStatus {
        let mayLook = state.withLock { state in
            // Before the first answer there is none to give instead.
            guard state.last == nil || state.waiting < Self.maximum else { return false }
            state.waiting += 1
            return true
        }
        let answer = FirstAnswer<PostgreSQLStatus>()
        let timeout = Task {
            try? await Task.sleep(for: max(.zero, deadline - BootClock.now()) + Self.grace)
            if !Task.isCancelled, let last = state.withLock({ $0.last }) { answer.give(last) }
        }
        if mayLook {
            Task {
                let status = await body()
                state.withLock { state in
                    state.waiting -= 1
                    state.last = status
                }
                timeout.cancel()
                answer.give(status)
            }
        }
        return await answer.wait()
    }
}
