import Synchronization

/// What a stream has given for its client and the loop has not taken yet: bounded, since the loop may be slower than
/// the stream.
final class StreamBacklog: Sendable {
    /// What may wait for a client of a stream, in bytes, here and again at the socket; one that is further behind is
    /// let go.
    static let bytesMax = 256 << 10

    private let waiting = Mutex(0)

    /// False where it would become too much: the stream ends.
    func add(_ count: Int) -> Bool {
        waiting.withLock { waiting in
            if waiting + count > StreamBacklog.bytesMax { return false }
            waiting += count
            return true
        }
    }

    func take(_ count: Int) { waiting.withLock { $0 -= count } }
}
