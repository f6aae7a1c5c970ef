import Glibc
import Posix

/// What one call on a transport came to.
enum TransportResult: Equatable {
    /// So many bytes were moved, at least one.
    case moved(Int)
    /// Nothing can be moved until the socket is ready.
    case blocked
    /// The other side has ended.
    case ended
    /// The connection is broken; an errno value.
    case failed(Int32)
    /// The client speaks HTTP without TLS where TLS is meant; an answer in clear can still be sent.
    case unencrypted
}

/// The steps of a handshake that cost the server more than they cost the client, each of which waits for a turn.
enum Greeting: Int, CaseIterable {
    /// A first message, which a wary server looks at without a signature.
    case first
    /// The client has begun again, as it was asked to: it has listened at least, and what comes costs a signature.
    case proven
    /// A first message that cannot be asked for again, as of TLS 1.2: it costs a signature, and anybody may send it.
    case unproven
}

/// What carries the bytes of a connection: the seam at which TLS comes in. Never blocks.
protocol Transport: AnyObject {
    /// The socket, for epoll.
    var socket: Int32 { get }
    /// What the last call that was blocked waits for, where that is not its own direction.
    var awaits: Readiness { get }
    /// The two sides have not agreed on keys yet.
    var isHandshaking: Bool { get }
    /// The step of the handshake that the next read takes, where it is one that waits for a turn.
    var greeting: Greeting? { get }
    /// Whether the client's first message is there as a whole, so that it is worth a turn (nil); else what stands
    /// against it.
    func awaitGreeting() -> TransportResult?
    /// Whether the next read of a handshake does only what is cheap.
    var isWary: Bool { get set }
    var isEncrypted: Bool { get }
    /// The certificate that the client has shown, if it was verified.
    var client: VerifiedClient? { get }
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> TransportResult
    func send(_ bytes: UnsafeRawBufferPointer) -> TransportResult
    /// Tells the other side that nothing more comes.
    func endSending()
    /// Closes the socket at once.
    func close()
}

/// Bytes as they are.
final class PlainTransport: Transport {
    let socket: Int32
    let awaits: Readiness = []
    let isHandshaking = false
    let greeting: Greeting? = nil
    var isWary = false
    let isEncrypted = false
    let client: VerifiedClient? = nil
    private var descriptor: FileDescriptor?

    init(_ descriptor: consuming FileDescriptor) {
        socket = descriptor.number
        self.descriptor = consume descriptor
    }

    func awaitGreeting() -> TransportResult? { nil }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> TransportResult { Self.receive(socket, into: buffer) }

    func send(_ bytes: UnsafeRawBufferPointer) -> TransportResult { Self.send(socket, bytes) }

    func endSending() { _ = shutdown(socket, Int32(SHUT_WR)) }

    func close() { descriptor = nil }

    static func receive(_ socket: Int32, into buffer: UnsafeMutableRawBufferPointer) -> TransportResult {
        let count = retryingInterrupts { recv(socket, buffer.baseAddress, buffer.count, 0) }
        return count == 0 ? .ended : result(count)
    }

    static func send(_ socket: Int32, _ bytes: UnsafeRawBufferPointer) -> TransportResult {
        // A client that is gone must be an error here, not a signal to the process.
        result(retryingInterrupts { Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) })
    }

    private static func result(_ count: Int) -> TransportResult {
        if count > 0 { return .moved(count) }
        let code = errno
        return code == EAGAIN || code == EWOULDBLOCK ? .blocked : .failed(code)
    }
}
