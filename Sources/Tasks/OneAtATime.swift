import Synchronization

/// Work of one kind, one at a time: what is asked for while it runs is done once more after it, however often it was
/// asked for. So the last one reads what holds at last, an older one never overtakes it, and no flood of requests adds
/// up.
public final class OneAtATime: Sendable {
    private enum State {
        case idle
        case running
        /// Somebody has asked since the present one began.
        case runningAndAsked
    }

    private let state = Mutex(State.idle)

    /// Nothing is asked for yet.
    public init() {}

    /// Has `work` run after this call, without waiting for it. Where some waits already, that counts for this call,
    /// too.
    public func ask(_ work: @escaping @Sendable () async -> Void) {
        let begins = state.withLock { state in
            defer { state = state == .idle ? .running : .runningAndAsked }
            return state == .idle
        }
        guard begins else { return }
        Task { repeat { await work() } while isAskedAgain() }
    }

    private func isAskedAgain() -> Bool {
        state.withLock { state in
            defer { state = state == .runningAndAsked ? .running : .idle }
            return state == .runningAndAsked
        }
    }
}
