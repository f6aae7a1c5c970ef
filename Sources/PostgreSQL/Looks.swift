import ClusterModel
import Posix
import Synchronization

/// Keeps the promise of `observe` that it never waits longer than its deadline, also where the thread that looks hangs
/// in the kernel (a dead disk, a file system of the network that does not answer): then the last answer comes once more,
/// as old as it is. Before the first there is what is known without the disk, as old as the first question.
final class Looks: Sendable {
    /// How long after its deadline a look may still come back by itself.
    static let grace = Duration.seconds(1)
    /// Looks that wait for the thread; more would only make it late for longer.
    static let maximum = 8

    private let state = Mutex(State())

    private struct State {
        var last: PostgreSQLStatus?
        var firstAsked: BootInstant?
        var waiting = 0
    }

    /// `unseen` gives what is known while nothing has been seen since the given instant. It must not block.
    func look(
        until deadline: BootInstant, unseen: @escaping @Sendable (BootInstant) -> PostgreSQLStatus,
        by body: @escaping @Sendable () async -> PostgreSQLStatus
    ) async -> PostgreSQLStatus {
        let (mayLook, since) = state.withLock { state in
            let since = state.firstAsked ?? BootClock.now()
            state.firstAsked = since
            guard state.waiting < Self.maximum else { return (false, since) }
            state.waiting += 1
            return (true, since)
        }
        let answer = FirstAnswer<PostgreSQLStatus>()
        let timeout = Task {
            try? await Task.sleep(for: max(.zero, deadline - BootClock.now()) + Self.grace)
            if !Task.isCancelled { answer.give(state.withLock { $0.last } ?? unseen(since)) }
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
