import HTTPClient
import Synchronization

/// The watch's open stream, for those who find out that it must not be relied upon any longer.
final class WatchedStream: Sendable {
    private struct State {
        var stream: HTTPClientStream?
        var endpoint: EtcdEndpoint?
    }

    private let state = Mutex(State())

    func attach(_ stream: HTTPClientStream, to endpoint: EtcdEndpoint) {
        state.withLock { $0 = State(stream: stream, endpoint: endpoint) }
    }

    /// The endpoint that the stream comes from; empty where there is none.
    var source: String { state.withLock { $0.endpoint?.url ?? "" } }

    /// Ends the stream unless it comes from `endpoint`. Its reader opens another.
    func leave(allBut endpoint: EtcdEndpoint?) {
        let stream: HTTPClientStream? = state.withLock { state in
            guard endpoint == nil || state.endpoint != endpoint else { return nil }
            defer { state = State() }
            return state.stream
        }
        stream?.cancel()
    }
}
