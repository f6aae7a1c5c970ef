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

    var isWary = false
    /// How much has to be there before the socket tells of input, in bytes.
    private var awaitedBytes = 1
    /// The client's first message was found whole: it is not looked at once more in its turn.
    private var hasGreeted = false

    var greeting: Greeting? {
        guard isHandshaking else { return nil }
        guard let session else { return .first }
        switch ms_tls_stage(session) {
        case MS_TLS_FIRST: return .first
        case MS_TLS_ASKED_AGAIN: return .proven
        case MS_TLS_PUT_OFF: return .unproven
        default: return nil
        }
    }

    /// The first byte of a handshake record, and those of methods.
    private static let handshakeRecord: UInt8 = 0x16
    private static let letters = UInt8(ascii: "A")...UInt8(ascii: "Z")
    /// Type, version and length of a record; and the longest one (RFC 8446 §5.1).
    private static let headerBytes = 5
    private static let recordBytesMax = 1 << 14

    /// The socket tells of input once this much is there: whoever sends a part of a message and leaves it at that costs
    /// no more than a silent one.
    private func awaitBytes(_ count: Int) {
        if count == awaitedBytes { return }
        awaitedBytes = count
        var low = Int32(count)
        setsockopt(socket, SOL_SOCKET, SO_RCVLOWAT, &low, socklen_t(MemoryLayout<Int32>.size))
    }

    func awaitGreeting() -> TransportResult? {
        guard !hasGreeted, !isUnencrypted else { return nil }
        var header = [UInt8](repeating: 0, count: Self.headerBytes)
        let count = retryingInterrupts { recv(socket, &header, header.count, Int32(MSG_PEEK)) }
        if count == 0 { return .ended }
        if count < 0 { return errno == EAGAIN || errno == EWOULDBLOCK ? .blocked : .failed(errno) }
        if Self.letters.contains(header[0]) {
            isUnencrypted = true
            isHandshaking = false
            return .unencrypted
        }
        guard header[0] == Self.handshakeRecord else { return .failed(EPROTO) }
        let length = Int(header[3]) << 8 | Int(header[4])
        guard length <= Self.recordBytesMax else { return .failed(EPROTO) }
        let needed = Self.headerBytes + (count == Self.headerBytes ? length : 0)
        var present: Int32 = 0
        guard ms_pending_input(socket, &present) == 0 else { return .failed(errno) }
        hasGreeted = count == Self.headerBytes && Int(present) >= needed
        awaitBytes(hasGreeted ? 1 : needed)
        return hasGreeted ? nil : .blocked
    }

    /// Makes a session for a client whose first message is there; nil where it has.
    private func begin() -> TransportResult? {
        if let result = awaitGreeting() { return result }
        guard let session = SSL_new(context.context) else { return .failed(ENOMEM) }
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
        if isHandshaking { ms_tls_be_wary(session, isWary ? 1 : 0) }
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
        // The answer to the client's first message is put off: nothing is waited for but a turn.
        case SSL_ERROR_WANT_CLIENT_HELLO_CB: return .blocked
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
