import Synchronization

/// Reloads, one at a time: what is asked for while one runs is one more after it, however often it was asked for. So
/// the last one reads what holds at last, an older one never overtakes it, and no flood of requests adds up.
final class Reloads: Sendable {
    private enum State {
        case idle
        case running
        /// Somebody has asked since the present one began.
        case runningAndAsked
    }

    private let state = Mutex(State.idle)

    /// Has `reload` run after this call, without waiting for it. Where one waits already, that one counts for this call,
    /// too.
    func ask(_ reload: @escaping @Sendable () async -> Void) {
        let begins = state.withLock { state in
            defer { state = state == .idle ? .running : .runningAndAsked }
            return state == .idle
        }
        guard begins else { return }
        Task { repeat { await reload() } while isAskedAgain() }
    }

    private func isAskedAgain() -> Bool {
        state.withLock { state in
            defer { state = state == .runningAndAsked ? .running : .idle }
            return state == .runningAndAsked
        }
    }
}
