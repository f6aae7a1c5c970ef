import COpenSSL
import CTLSShims
import Glibc
import Posix

/// A connection under TLS. OpenSSL does the handshake within the first reads and writes; what it waits for may be the
/// other direction than the one that was asked for, and the loop watches for that.
final class TLSTransport: Transport {
    let socket: Int32
    private var descriptor: FileDescriptor?
    private let session: OpaquePointer
    /// What the last call waits for beside its own direction.
    private(set) var awaits: Readiness = []
    private(set) var isClientVerified = false
    private var hasFailed = false
    private(set) var isHandshaking = true

    /// Nil when memory is out.
    init?(_ descriptor: consuming FileDescriptor, _ context: TLSContext) {
        guard let session = SSL_new(context.context) else { return nil }
        self.session = session
        socket = descriptor.number
        self.descriptor = consume descriptor
        guard ms_tls_set_socket(session, socket) == 1 else { return nil }
        SSL_set_accept_state(session)
    }

    deinit { SSL_free(session) }

    var security: HTTPRequest.Security { isClientVerified ? .verified : .encrypted }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> TransportResult {
        ms_tls_begin_turn(session)
        let first = perform { SSL_read(session, buffer.baseAddress, Int32(clamping: buffer.count)) }
        guard case .moved(var count) = first else { return first }
        // What was read ahead must not stay inside the session, where epoll would not see it. It is no more than a
        // record, for which the buffer has room; a part of one is whole only after the socket has told of the rest.
        while SSL_has_pending(session) == 1, count < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
            guard case .moved(let more) = perform({ SSL_read(session, rest.baseAddress, Int32(clamping: rest.count)) })
            else { break }
            count += more
        }
        awaits = []
        return .moved(count)
    }

    func send(_ bytes: UnsafeRawBufferPointer) -> TransportResult {
        perform { SSL_write(session, bytes.baseAddress, Int32(clamping: bytes.count)) }
    }

    private func perform(_ call: () -> Int32) -> TransportResult {
        awaits = []
        let count = call()
        // SSL_get_error looks into the thread's queue, which must tell of no other call. It is emptied after what may
        // have left something there: before each call that would be a fiftieth of an answer's cost.
        let mayHaveErred = count <= 0 || isHandshaking
        defer { if mayHaveErred { ERR_clear_error() } }
        if isHandshaking, SSL_is_init_finished(session) == 1 {
            isHandshaking = false
            noteClient()
        }
        if count > 0 { return .moved(Int(count)) }
        switch SSL_get_error(session, count) {
        case SSL_ERROR_WANT_READ:
            awaits = .input
            return .blocked
        case SSL_ERROR_WANT_WRITE:
            awaits = .output
            return .blocked
        case SSL_ERROR_ZERO_RETURN: return .ended
        default:
            hasFailed = true
            return .failed(errno)
        }
    }

    private func noteClient() {
        guard SSL_get_verify_result(session) == Int(X509_V_OK), let certificate = SSL_get1_peer_certificate(session)
        else { return }
        X509_free(certificate)
        isClientVerified = true
    }

    func endSending() {
        sayGoodbye()
        _ = shutdown(socket, Int32(SHUT_WR))
    }

    func close() {
        sayGoodbye()
        descriptor = nil
    }

    /// Tells the client that this is the end and nobody cut it off, if the socket takes it at once.
    private func sayGoodbye() {
        guard descriptor != nil, !hasFailed, !isHandshaking else { return }
        _ = SSL_shutdown(session)
        ERR_clear_error()
        hasFailed = true
    }
}
