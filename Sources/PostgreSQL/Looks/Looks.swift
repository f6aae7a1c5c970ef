import ClusterModel
import Posix
import Synchronization

/// Keeps the promise of `observe` that it never waits longer than its deadline, also where the thread that looks hangs
/// in the kernel (a dead disk, a file system of the network that does not answer): then the last answer comes once more,
/// as old as it is. Before the first, or where an operation has ended since, there is what is known without the disk,
/// as old as the first question or as the end of that operation.
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

    /// `unseen` gives what is known while nothing has been seen since the given instant. It must not block. An answer
    /// from before `since` is none any more.
    func look(
        since: BootInstant = BootInstant(nanoseconds: 0), until deadline: BootInstant,
        unseen: @escaping @Sendable (BootInstant) -> PostgreSQLStatus,
        by body: @escaping @Sendable () async -> PostgreSQLStatus
    ) async -> PostgreSQLStatus {
        let (mayLook, blindSince) = state.withLock { state in
            let first = state.firstAsked ?? BootClock.now()
            state.firstAsked = first
            guard state.waiting < Self.maximum else { return (false, max(first, since)) }
            state.waiting += 1
            return (true, max(first, since))
        }
        let answer = FirstAnswer<PostgreSQLStatus>()
        let timeout = Task {
            try? await Task.sleep(for: max(.zero, deadline - BootClock.now()) + Self.grace)
            if Task.isCancelled { return }
            let last = state.withLock { $0.last }.flatMap { $0.observedAt >= since ? $0 : nil }
            answer.give(last ?? unseen(blindSince))
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
