import HighAvailability
import Synchronization

/// Those who want every snapshot. One that does not keep up misses the oldest.
final class Subscribers: Sendable {
    private static let bufferedMax = 32

    private struct State {
        var next = 0
        var streams: [Int: AsyncStream<NodeSnapshot>.Continuation] = [:]
        var hasFinished = false
    }

    private let state = Mutex(State())

    /// A stream that begins with `first` and ends with the node or with its reader.
    func add(first: NodeSnapshot) -> AsyncStream<NodeSnapshot> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: NodeSnapshot.self, bufferingPolicy: .bufferingNewest(Self.bufferedMax))
        continuation.yield(first)
        let number = state.withLock { state -> Int? in
            if state.hasFinished { return nil }
            state.next += 1
            state.streams[state.next] = continuation
            return state.next
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            // Taken out of the lock before it is let go: its end may call back here.
            _ = self?.state.withLock { $0.streams.removeValue(forKey: number) }
        }
        return stream
    }

    func tell(_ snapshot: NodeSnapshot) {
        let streams = state.withLock { Array($0.streams.values) }
        for stream in streams { stream.yield(snapshot) }
    }

    func finish() {
        let streams = state.withLock { state in
            state.hasFinished = true
            return Array(state.streams.values)
        }
        for stream in streams { stream.finish() }
    }
}
