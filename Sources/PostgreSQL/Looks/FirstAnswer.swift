import Synchronization

/// The first of several answers, for the one who waits for it; the others are dropped. Whoever waits is not cancelled
/// here: the ones who answer see to it that one comes.
package final class FirstAnswer<Answer: Sendable>: Sendable {
    private let state = Mutex(State())

    private struct State {
        var answer: Answer?
        var isGiven = false
        var waiting: CheckedContinuation<Answer, Never>?
    }

    package init() {}

    package func give(_ answer: Answer) {
        let waiting = state.withLock { state in
            if state.isGiven { return nil as CheckedContinuation<Answer, Never>? }
            state.isGiven = true
            state.answer = answer
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(returning: answer)
    }

    /// Called once.
    package func wait() async -> Answer {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state in
                if state.answer == nil { state.waiting = continuation }
                return state.answer
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}
