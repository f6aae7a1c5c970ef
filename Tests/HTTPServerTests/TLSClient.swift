import COpenSSL
import Glibc
import Posix

/// A client under TLS, on a blocking socket whose waits end after 20 s. Used by one thread.
final class TLSClient {
    private let socket: FileDescriptor
    private let context: OpaquePointer
    private let session: OpaquePointer

    struct Options: Sendable {
        var certificate: String?
        var key: String?
        var maximumVersion: Int = 0
        var ciphers: String?
        var session: SavedSession?
    }

    /// A session to resume.
    final class SavedSession: @unchecked Sendable {
        // Made by one thread, then used by one other.
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { self.pointer = pointer }
        deinit { SSL_SESSION_free(pointer) }
    }

    init(port: UInt16, _ options: Options = Options()) throws {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let number = Glibc.socket(AF_INET, type, 0)
        guard number >= 0 else { throw SystemError(call: "socket") }
        socket = FileDescriptor(owning: number)
        guard let context = SSL_CTX_new(TLS_client_method()), let session = SSL_new(context) else {
            throw ClientError("no TLS")
        }
        self.context = context
        self.session = session
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw SystemError(call: "connect") }
        try handshake(options)
    }

    private func handshake(_ options: Options) throws {
        if let certificate = options.certificate, let key = options.key {
            guard SSL_use_certificate_file(session, certificate, SSL_FILETYPE_PEM) == 1,
                SSL_use_PrivateKey_file(session, key, SSL_FILETYPE_PEM) == 1
            else { throw ClientError("the client's certificate cannot be used") }
        }
        if options.maximumVersion != 0 {
            // SSL_set_max_proto_version is a macro.
            SSL_ctrl(session, SSL_CTRL_SET_MAX_PROTO_VERSION, options.maximumVersion, nil)
        }
        if let ciphers = options.ciphers { SSL_set_cipher_list(session, ciphers) }
        if let saved = options.session { SSL_set_session(session, saved.pointer) }
        SSL_set_fd(session, socket.number)
        guard SSL_connect(session) == 1 else { throw ClientError("the handshake failed") }
    }

    deinit {
        SSL_free(session)
        SSL_CTX_free(context)
    }

    /// What a client says first, as any number of them may send it who compute nothing.
    static func hello() throws -> [UInt8] {
        guard let context = SSL_CTX_new(TLS_client_method()), let session = SSL_new(context),
            let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem())
        else { throw ClientError("no TLS") }
        defer {
            SSL_free(session)
            SSL_CTX_free(context)
        }
        SSL_set_bio(session, input, output)
        _ = SSL_connect(session)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = BIO_read(output, &bytes, Int32(bytes.count))
        guard count > 0 else { throw ClientError("no hello") }
        return Array(bytes.prefix(Int(count)))
    }

    /// The name of the cipher that was agreed on.
    var cipher: String { SSL_get_current_cipher(session).map { String(cString: SSL_CIPHER_get_name($0)) } ?? "" }

    /// The subject of the server's certificate.
    var server: String {
        guard let certificate = SSL_get1_peer_certificate(session) else { return "" }
        defer { X509_free(certificate) }
        var text = [CChar](repeating: 0, count: 200)
        X509_NAME_oneline(X509_get_subject_name(certificate), &text, Int32(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    var isResumed: Bool { SSL_session_reused(session) == 1 }

    /// The session as it can be resumed; with TLS 1.3 only after something was received.
    func saved() throws -> SavedSession {
        guard let pointer = SSL_get1_session(session) else { throw ClientError("no session") }
        return SavedSession(pointer)
    }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard SSL_write(session, bytes, Int32(bytes.count)) == Int32(bytes.count) else {
            throw ClientError("the server does not take a request")
        }
    }

    /// The next response, by its length.
    func response() throws -> ClientResponse {
        var bytes: [UInt8] = []
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let range = bytes.firstRange(of: end) {
                let head = String(decoding: bytes[..<range.upperBound], as: UTF8.self)
                let length = Int(ClientResponse(head: head, body: "").header("Content-Length") ?? "0") ?? 0
                if bytes.count - range.upperBound >= length {
                    return ClientResponse(
                        head: head, body: String(decoding: bytes[range.upperBound...], as: UTF8.self))
                }
            }
            guard try receive(&bytes) else { throw ClientError("the server ended within a response") }
        }
    }

    func untilEnd() throws -> String {
        var bytes: [UInt8] = []
        while try receive(&bytes) {}
        return String(decoding: bytes, as: UTF8.self)
    }

    private func receive(_ bytes: inout [UInt8]) throws -> Bool {
        var scratch = [UInt8](repeating: 0, count: 32 << 10)
        let count = SSL_read(session, &scratch, Int32(scratch.count))
        if count > 0 { bytes += scratch[..<Int(count)] }
        if count <= 0, SSL_get_error(session, count) == SSL_ERROR_WANT_READ {
            throw ClientError("the server was silent")
        }
        return count > 0
    }
}
