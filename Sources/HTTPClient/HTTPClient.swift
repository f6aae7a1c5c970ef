public import ClusterModel
public import Posix
import Synchronization

/// An HTTP/1.1 client: many requests at once, on one thread of its own. Connections are kept and used again.
///
/// Every request ends by its deadline and when its task is cancelled. A client must be shut down by its owner.
public final class HTTPClient: Sendable {
    private let loop: TransferLoop
    private let options: Mutex<HTTPClientOptions>
    private let lastID = Mutex<UInt64>(0)

    /// Starts the thread; `name` is its name, of at most 15 bytes.
    public init(name: String = "http-client", options: HTTPClientOptions = HTTPClientOptions()) throws(SystemError) {
        self.options = Mutex(options)
        loop = try TransferLoop(name: name)
    }

    deinit { loop.stop() }

    /// Ends every request with `.closed`, and the thread.
    public func shutdown() { loop.stop() }

    /// Takes over timings for the connections that are made from now on.
    public func adopt(_ keepalive: KeepaliveOptions) { options.withLock { $0.keepalive = keepalive } }

    /// Sends one request and reads the whole answer.
    public func send(_ request: HTTPClientRequest, deadline: BootInstant) async throws(HTTPClientError)
        -> HTTPClientResponse
    {
        let cell = ReplyCell()
        let id = nextID()
        let order = order(id, request, deadline, .reply(cell))
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                cell.wait(continuation)
                if !loop.post(.start(order)) { cell.finish(.failure(.closed)) }
            }
        } onCancel: {
            cell.finish(.failure(.cancelled))
            loop.post(.cancel(id))
        }
        return try outcome.get()
    }

    /// Sends one request and returns at the first byte of the answer's body, or at its end where it is empty.
    ///
    /// `deadline` is for that first byte; afterwards the stream lives until either side ends it, or until it was silent
    /// for `idleLimit`. At most the request's `bodyLimit` bytes are kept for a slow reader.
    public func stream(_ request: HTTPClientRequest, deadline: BootInstant, idleLimit: Duration? = nil)
        async throws(HTTPClientError) -> HTTPClientStream
    {
        let cell = StreamCell(limit: request.bodyLimit)
        let id = nextID()
        let order = order(id, request, deadline, .stream(cell, idleLimit: idleLimit))
        let loop = loop
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                cell.waitForStatus(continuation)
                if !loop.post(.start(order)) { cell.finish(.closed) }
            }
        } onCancel: {
            cell.finish(.cancelled)
            loop.post(.cancel(id))
        }
        return HTTPClientStream(id: id, status: try outcome.get(), cell: cell, loop: loop)
    }

    private func nextID() -> UInt64 {
        lastID.withLock { last in
            last += 1
            return last
        }
    }

    private func order(
        _ id: UInt64, _ request: HTTPClientRequest, _ deadline: BootInstant, _ sink: TransferOrder.Sink
    ) -> TransferOrder {
        TransferOrder(
            id: id, request: request, options: options.withLock { $0 }, deadline: deadline, sink: sink)
    }
}

/// The body of an answer as it comes. One reader; letting go of it ends the request.
public final class HTTPClientStream: Sendable {
    /// The answer's status.
    public let status: Int
    private let id: UInt64
    private let cell: StreamCell
    private let loop: TransferLoop

    init(id: UInt64, status: Int, cell: StreamCell, loop: TransferLoop) {
        self.id = id
        self.status = status
        self.cell = cell
        self.loop = loop
    }

    deinit { cancel() }

    /// The next bytes; nil at the end.
    public func next() async throws(HTTPClientError) -> [UInt8]? {
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if cell.take(continuation) { loop.post(.resume(id)) }
            }
        } onCancel: {
            cancel()
        }
        return try outcome.get()
    }

    /// Ends the request; the reader gets what is buffered and then `.cancelled`.
    public func cancel() {
        cell.finish(.cancelled)
        loop.post(.cancel(id))
    }
}
