import Synchronization

/// Tells when the last of several threads has ended.
final class EndLatch: Sendable {
    private let state: Mutex<State>

    private struct State {
        var running: Int
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    init(running: Int) { state = Mutex(State(running: running)) }

    /// One has ended.
    func arrive() {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.running -= 1
            guard state.running == 0 else { return [] }
            let waiters = state.waiters
            state.waiters = []
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns once all have ended.
    func wait() async {
        await withCheckedContinuation { continuation in
            let ended = state.withLock { state in
                if state.running > 0 { state.waiters.append(continuation) }
                return state.running == 0
            }
            if ended { continuation.resume() }
        }
    }
}
