import Synchronization

/// Where one request's outcome goes: the first one counts, be it the answer, the deadline or the caller's cancellation.
final class ReplyCell: Sendable {
    typealias Outcome = Result<HTTPClientResponse, HTTPClientError>

    private enum State {
        /// Nobody waits yet. Goes to `waiting` or `early`.
        case idle
        /// Goes to `done`.
        case waiting(CheckedContinuation<Outcome, Never>)
        /// The outcome came before the caller waited for it. Goes to `done`.
        case early(Outcome)
        case done
    }

    private let state = Mutex(State.idle)

    var isDecided: Bool {
        state.withLock { state in
            switch state {
            case .idle, .waiting: false
            case .early, .done: true
            }
        }
    }

    func wait(_ continuation: CheckedContinuation<Outcome, Never>) {
        let outcome: Outcome? = state.withLock { state in
            if case .early(let outcome) = state {
                state = .done
                return outcome
            }
            state = .waiting(continuation)
            return nil
        }
        if let outcome { continuation.resume(returning: outcome) }
    }

    func finish(_ outcome: Outcome) {
        let continuation: CheckedContinuation<Outcome, Never>? = state.withLock { state in
            switch state {
            case .idle:
                state = .early(outcome)
                return nil
            case .waiting(let continuation):
                state = .done
                return continuation
            case .early, .done: return nil
            }
        }
        continuation?.resume(returning: outcome)
    }
}
