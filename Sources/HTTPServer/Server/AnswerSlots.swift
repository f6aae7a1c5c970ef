import Synchronization

/// How many requests tasks may work on at once, over all loops.
final class AnswerSlots: Sendable {
    private let free: Mutex<Int>

    init(_ count: Int) { free = Mutex(max(1, count)) }

    /// Takes one; false when none is free.
    func take() -> Bool {
        free.withLock { free in
            if free == 0 { return false }
            free -= 1
            return true
        }
    }

    func giveBack() { free.withLock { $0 += 1 } }
}

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
