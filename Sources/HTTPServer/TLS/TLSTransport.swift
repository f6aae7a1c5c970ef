import COpenSSL
import CTLSShims
import Glibc
import Posix

/// A connection under TLS. OpenSSL does the handshake within the first reads and writes; what it waits for may be the
/// other direction than the one that was asked for, and the loop watches for that. A session is made for who has said
/// something: the silent cost nothing.
final class TLSTransport: Transport {
    let socket: Int32
    private var descriptor: FileDescriptor?
    private let context: TLSContext
    private var session: OpaquePointer?
    /// The client turned out not to speak TLS: it is told so, and the connection ends.
    private var isUnencrypted = false
    /// What the last call waits for beside its own direction.
    private(set) var awaits: Readiness = []
    private(set) var client: VerifiedClient?
    private var hasFailed = false
    private(set) var isHandshaking = true

    init(_ descriptor: consuming FileDescriptor, _ context: TLSContext) {
        self.context = context
        socket = descriptor.number
        self.descriptor = consume descriptor
    }

    deinit { SSL_free(session) }

    var isEncrypted: Bool { !isUnencrypted }

    /// Until the client's first message is whole: what answers it costs most of the handshake.
    var isGreeting: Bool {
        guard isHandshaking else { return false }
        return session.map { SSL_get_state($0) == TLS_ST_BEFORE } ?? true
    }

    /// The first byte of a handshake record, and those of methods.
    private static let handshakeRecord: UInt8 = 0x16
    private static let letters = UInt8(ascii: "A")...UInt8(ascii: "Z")

    /// Looks at the first byte and makes a session for a client that speaks TLS; nil where it has.
    private func begin() -> TransportResult? {
        var first: UInt8 = 0
        let count = retryingInterrupts { recv(socket, &first, 1, Int32(MSG_PEEK)) }
        if count == 0 { return .ended }
        if count < 0 { return errno == EAGAIN || errno == EWOULDBLOCK ? .blocked : .failed(errno) }
        if Self.letters.contains(first) {
            isUnencrypted = true
            isHandshaking = false
            return .unencrypted
        }
        guard first == Self.handshakeRecord, let session = SSL_new(context.context) else { return .failed(EPROTO) }
        self.session = session
        guard ms_tls_set_socket(session, socket) == 1 else { return .failed(ENOMEM) }
        SSL_set_accept_state(session)
        return nil
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> TransportResult {
        if isUnencrypted { return PlainTransport.receive(socket, into: buffer) }
        if session == nil, let result = begin() { return result }
        guard let session else { return .failed(EPROTO) }
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
        guard let session else {
            return isUnencrypted ? PlainTransport.send(socket, bytes) : .failed(EPROTO)
        }
        return perform { SSL_write(session, bytes.baseAddress, Int32(clamping: bytes.count)) }
    }

    private func perform(_ call: () -> Int32) -> TransportResult {
        guard let session else { return .failed(EPROTO) }
        awaits = []
        let count = call()
        // SSL_get_error looks into the thread's queue, which must tell of no other call. It is emptied after what may
        // have left something there: before each call that would be a fiftieth of an answer's cost.
        let mayHaveErred = count <= 0 || isHandshaking
        defer { if mayHaveErred { ERR_clear_error() } }
        if isHandshaking, SSL_is_init_finished(session) == 1 {
            isHandshaking = false
            noteClient(session)
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

    private func noteClient(_ session: OpaquePointer) {
        guard SSL_get_verify_result(session) == Int(X509_V_OK), let certificate = SSL_get1_peer_certificate(session)
        else { return }
        defer { X509_free(certificate) }
        var (days, seconds): (Int32, Int32) = (0, 0)
        guard ASN1_TIME_diff(&days, &seconds, nil, X509_get0_notAfter(certificate)) == 1 else { return }
        let left = Duration.seconds(Int64(days) * 86400 + Int64(seconds))
        client = VerifiedClient(
            trust: context.trust, until: LoopClock.now() + LoopClock.nanoseconds(left))
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
        guard descriptor != nil, !hasFailed, !isHandshaking, let session else { return }
        _ = SSL_shutdown(session)
        ERR_clear_error()
        hasFailed = true
    }
}
