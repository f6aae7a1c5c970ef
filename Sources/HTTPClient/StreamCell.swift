import Synchronization

/// The pipe between the client's thread and the reader of one stream, bounded by bytes.
final class StreamCell: Sendable {
    typealias Outcome = Result<[UInt8]?, HTTPClientError>

    /// What became of bytes that the thread brought.
    enum Delivery {
        case taken
        /// The pipe is full: hold the bytes back until the reader asks.
        case full
        /// Nobody reads any more.
        case abandoned
    }

    private struct State {
        var status: Int?
        var chunks: [[UInt8]] = []
        var buffered = 0
        var isPaused = false
        /// Set once; what is buffered is still read before it.
        var end: HTTPClientError??
        var reader: CheckedContinuation<Outcome, Never>?
        var opener: CheckedContinuation<Result<Int, HTTPClientError>, Never>?
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var hasEnded: Bool { state.withLock { $0.end != nil } }

    // MARK: The thread's side

    func deliver(_ bytes: [UInt8], status: Int) -> Delivery {
        let (delivery, opener, reader) = state.withLock { state in
            if state.end != nil { return (Delivery.abandoned, nil, nil) as Handover }
            if state.reader == nil, !state.chunks.isEmpty, state.buffered + bytes.count > limit {
                state.isPaused = true
                return (.full, nil, nil)
            }
            state.status = status
            let handover: Handover = (.taken, state.opener, state.reader)
            if state.reader == nil {
                state.chunks.append(bytes)
                state.buffered += bytes.count
            }
            state.opener = nil
            state.reader = nil
            return handover
        }
        opener?.resume(returning: .success(status))
        reader?.resume(returning: .success(bytes))
        return delivery
    }

    /// Ends the stream; nil where the server ended it in good order.
    func finish(_ error: HTTPClientError?, status: Int? = nil) {
        let (opener, reader) = state.withLock { state in
            if state.end != nil { return (nil, nil) as (Opener?, Reader?) }
            state.end = .some(error)
            if error == nil { state.status = state.status ?? status }
            defer { (state.opener, state.reader) = (nil, nil) }
            return (state.opener, state.reader)
        }
        let opened: Result<Int, HTTPClientError> =
            if let error { .failure(error) } else { .success(status ?? 0) }
        opener?.resume(returning: opened)
        if let error { reader?.resume(returning: .failure(error)) } else { reader?.resume(returning: .success(nil)) }
    }

    // MARK: The reader's side

    func waitForStatus(_ continuation: Opener) {
        let known: Result<Int, HTTPClientError>? = state.withLock { state in
            if let status = state.status { return .success(status) }
            if let end = state.end { return end.map { .failure($0) } ?? .success(0) }
            state.opener = continuation
            return nil
        }
        if let known { continuation.resume(returning: known) }
    }

    /// Hands over the next bytes, now or later. True if the thread held bytes back and may go on.
    func take(_ continuation: Reader) -> Bool {
        let (outcome, wasPaused): (Outcome?, Bool) = state.withLock { state in
            if !state.chunks.isEmpty {
                let chunk = state.chunks.removeFirst()
                state.buffered -= chunk.count
                defer { state.isPaused = false }
                return (.success(chunk), state.isPaused)
            }
            if let end = state.end { return (end.map { .failure($0) } ?? .success(nil), false) }
            state.reader = continuation
            defer { state.isPaused = false }
            return (nil, state.isPaused)
        }
        if let outcome { continuation.resume(returning: outcome) }
        return wasPaused
    }

    typealias Reader = CheckedContinuation<Outcome, Never>
    typealias Opener = CheckedContinuation<Result<Int, HTTPClientError>, Never>
    private typealias Handover = (delivery: Delivery, opener: Opener?, reader: Reader?)
}
