import Ports
import Synchronization

/// Events on their way to their one reader. Bounded: where the reader falls behind by more than that, the events give
/// way to one `.resynchronized`.
final class EventQueue: Sendable {
    private struct State {
        var events: [DCSEvent] = []
        var reader: CheckedContinuation<DCSEvent?, Never>?
        var isFinished = false
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int = 4096) { self.limit = limit }

    func push(_ event: DCSEvent) {
        let reader: CheckedContinuation<DCSEvent?, Never>? = state.withLock { state in
            if state.isFinished { return nil }
            if let reader = state.reader {
                state.reader = nil
                return reader
            }
            if state.events.count >= limit { state.events = [.resynchronized] } else { state.events.append(event) }
            return nil
        }
        reader?.resume(returning: event)
    }

    /// The reader gets what is left, and then the end.
    func finish() {
        let reader: CheckedContinuation<DCSEvent?, Never>? = state.withLock { state in
            state.isFinished = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }

    /// The queue as a sequence; cancelling its reader ends it.
    var stream: AsyncStream<DCSEvent> {
        AsyncStream {
            await self.next()
        } onCancel: {
            self.finish()
        }
    }

    private func next() async -> DCSEvent? {
        await withCheckedContinuation { continuation in
            let known: DCSEvent?? = state.withLock { state in
                if !state.events.isEmpty { return .some(state.events.removeFirst()) }
                if state.isFinished { return .some(nil) }
                state.reader = continuation
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}
