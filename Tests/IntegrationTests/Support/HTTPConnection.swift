import COpenSSL
import Glibc
import Posix

/// What a client shows to a server that asks for a certificate; the server's own is not verified.
struct ClientIdentity: Sendable {
    /// PEM: the certificate and its key.
    var file: String
    /// `user:password` in base64; sent with every request.
    var credentials: String?
}

/// A connection to loopback, plain or under TLS, on a blocking socket. Goes from one thread to another; only one uses
/// it at a time.
final class HTTPConnection: @unchecked Sendable {
    // Sendable by hand: see above.
    private let socket: FileDescriptor
    private var context: OpaquePointer?
    private var session: OpaquePointer?
    private let credentials: String?
    private let port: Int

    /// Nil when nobody listens, or when there is no agreement on keys. `identity` with an empty file shows nothing.
    init?(port: Int, seconds: Int = 5, identity: ClientIdentity? = nil) {
        let number = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        socket = FileDescriptor(owning: number)
        credentials = identity?.credentials
        self.port = port
        guard number >= 0 else { return nil }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(number, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        guard withLoopback(port, { connect(number, $0, $1) }) == 0 else { return nil }
        if let identity, !handshake(identity) { return nil }
    }

    deinit {
        if let session { SSL_free(session) }
        if let context { SSL_CTX_free(context) }
    }

    private func handshake(_ identity: ClientIdentity) -> Bool {
        guard let context = SSL_CTX_new(TLS_client_method()) else { return false }
        self.context = context
        if !identity.file.isEmpty {
            guard SSL_CTX_use_certificate_file(context, identity.file, SSL_FILETYPE_PEM) == 1,
                SSL_CTX_use_PrivateKey_file(context, identity.file, SSL_FILETYPE_PEM) == 1
            else { return false }
        }
        guard let session = SSL_new(context) else { return false }
        self.session = session
        SSL_set_fd(session, socket.number)
        return SSL_connect(session) == 1
    }

    /// The name in the server's certificate.
    var serverName: String {
        guard let session, let certificate = SSL_get1_peer_certificate(session) else { return "" }
        defer { X509_free(certificate) }
        var text = [CChar](repeating: 0, count: 200)
        X509_NAME_oneline(X509_get_subject_name(certificate), &text, Int32(text.count))
        let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return name.hasPrefix("/CN=") ? String(name.dropFirst(4)) : name
    }

    /// Sends a request; false where the server does not take it.
    func send(_ method: String, _ path: String, version: String, body: String?) -> Bool {
        var request = "\(method) \(path) \(version)\r\nHost: 127.0.0.1:\(port)\r\n"
        if let credentials { request += "Authorization: Basic \(credentials)\r\n" }
        if let body { request += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        let bytes = Array((request + "\r\n" + (body ?? "")).utf8)
        if let session { return SSL_write(session, bytes, Int32(bytes.count)) == bytes.count }
        return bytes.withUnsafeBytes { Glibc.send(socket.number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            == bytes.count
    }

    /// What comes next; empty at the end, and where nothing comes in time.
    func receive() -> [UInt8] {
        guard let session else { return (try? socket.read(count: 64 << 10)) ?? [] }
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        let count = SSL_read(session, &buffer, Int32(buffer.count))
        return count > 0 ? Array(buffer[..<Int(count)]) : []
    }

    /// One request over HTTP/1.1 that leaves the connection open; nil where there is no answer with a length.
    func ask(_ path: String) -> HTTPAnswer? {
        guard send("GET", path, version: "HTTP/1.1", body: nil) else { return nil }
        var received: [UInt8] = []
        while true {
            let part = receive()
            received += part
            if let answer = HTTPCall.parse(String(decoding: received, as: UTF8.self)), let length = answer.length,
                answer.body.utf8.count >= length
            {
                return answer
            }
            if part.isEmpty || received.count > 4 << 20 { return nil }
        }
    }
}

extension HTTPAnswer {
    /// The value of a header; nil where there is none.
    func header(_ name: String) -> String? {
        for line in headers.split(separator: "\r\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { continue }
            return String(parts[1].drop { $0 == " " })
        }
        return nil
    }

    fileprivate var length: Int? { header("Content-Length").flatMap { Int($0) } }
}
