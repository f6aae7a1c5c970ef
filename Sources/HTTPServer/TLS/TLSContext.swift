import COpenSSL
import CTLSShims
import Posix

/// Where the parts of a TLS server are, and what it asks of clients (rest-api.md §4).
public struct TLSConfiguration: Sendable, Hashable {
    /// PEM; the certificate first, then those between it and the root.
    public var certificateFile: String
    /// PEM; nil where the key stands in the certificate file.
    public var keyFile: String?
    public var keyFilePassword: String?
    /// PEM: who signs clients' certificates. Without it none can be verified.
    public var authorityFile: String?
    /// OpenSSL's list for TLS 1.2; nil for those whose keys are forgotten with the connection.
    public var ciphers: String?
    public var clientVerification: ClientVerification

    /// What is asked of clients.
    public enum ClientVerification: Sendable, Hashable {
        case none
        /// A certificate that is shown must be good.
        case optional
        case required
    }

    public init(
        certificateFile: String, keyFile: String? = nil, keyFilePassword: String? = nil, authorityFile: String? = nil,
        ciphers: String? = nil, clientVerification: ClientVerification = .none
    ) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.keyFilePassword = keyFilePassword
        self.authorityFile = authorityFile
        self.ciphers = ciphers
        self.clientVerification = clientVerification
    }

    /// Every file that a change may be noticed by.
    public var files: [String] { [certificateFile] + [keyFile, authorityFile].compactMap { $0 } }
}

/// Why there is no TLS: what could not be used, and what OpenSSL says.
public struct TLSError: Error, Sendable, Hashable, CustomStringConvertible {
    public let subject: String
    public let reason: String

    public var description: String { "\(subject): \(reason)" }

    init(_ subject: String) {
        self.subject = subject
        reason = TLSError.queued() ?? "not usable"
    }

    /// The oldest entry of OpenSSL's queue for this thread, which is emptied: the cause, not its consequences.
    static func queued() -> String? {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return nil }
        // A file that is missing or closed to us: OpenSSL has no words for what the system says.
        let system: UInt = 0x8000_0000
        if code & system != 0 { return SystemError.message(Int32(truncatingIfNeeded: code & ~system)) }
        return ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
    }
}

/// Whom a server trusts among clients: who was verified under the same trust would be verified now.
struct ClientTrust: Sendable, Hashable {
    var verification: TLSConfiguration.ClientVerification
    /// The authority file; empty where there is none, or where no certificate is asked for.
    var authority: [UInt8]
}

/// A client whose certificate was verified.
struct VerifiedClient {
    var trust: ClientTrust
    /// When the certificate ends, on `LoopClock`.
    var until: Int64
}

/// Certificate, key and rules, read once; connections made with it keep it. Loading reads files: off the event loop.
public final class TLSContext: @unchecked Sendable {
    // An SSL_CTX may be used by any number of threads once it is set up, and is only set up here.
    let context: OpaquePointer
    let trust: ClientTrust
    /// A digest of everything that was read, so that the same files need not begin another context.
    private let fingerprint: [UInt8]

    /// With TLS 1.2 the peer's certificate signs, and the keys are agreed on anew: who records a connection and finds
    /// the server's key later cannot read it.
    private static let defaultCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20"

    /// Reads the files. Throws naming the one that cannot be used.
    public init(_ configuration: TLSConfiguration) throws(TLSError) {
        // Before OpenSSL reads them: where a file is replaced between, the next reading finds a difference.
        let contents = configuration.files.map { path -> [UInt8] in
            // What cannot be read is named below.
            (try? Files.read(path)) ?? []
        }
        fingerprint = TLSContext.digest(configuration, contents)
        let asks = configuration.clientVerification != .none && configuration.authorityFile != nil
        trust = ClientTrust(
            verification: configuration.clientVerification, authority: asks ? contents.last ?? [] : [])
        ERR_clear_error()
        guard let context = SSL_CTX_new(TLS_server_method()) else { throw TLSError("TLS") }
        self.context = context
        ms_tls_prepare(context)
        guard SSL_CTX_use_certificate_chain_file(context, configuration.certificateFile) == 1 else {
            throw TLSError("certificate \(configuration.certificateFile)")
        }
        let key = configuration.keyFile ?? configuration.certificateFile
        guard ms_tls_use_key(context, key, configuration.keyFilePassword) == 1 else { throw TLSError("key \(key)") }
        guard SSL_CTX_check_private_key(context) == 1 else {
            throw TLSError("key \(key) of certificate \(configuration.certificateFile)")
        }
        let ciphers = configuration.ciphers ?? TLSContext.defaultCiphers
        guard SSL_CTX_set_cipher_list(context, ciphers) == 1 else { throw TLSError("ciphers \(ciphers)") }
        try verifyClients(configuration)
    }

    /// Whether the other was made from the same files and settings: one may stand for the other.
    public func isSame(as other: TLSContext) -> Bool { fingerprint == other.fingerprint }

    private static func digest(_ configuration: TLSConfiguration, _ contents: [[UInt8]]) -> [UInt8] {
        var bytes = Array("\(configuration)".utf8)
        for content in contents { bytes += Array("\n\(content.count)\n".utf8) + content }
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        // Without a digest no two are the same.
        guard EVP_Digest(bytes, bytes.count, &digest, &count, EVP_sha256(), nil) == 1 else { return bytes }
        return Array(digest.prefix(Int(count)))
    }

    private func verifyClients(_ configuration: TLSConfiguration) throws(TLSError) {
        // Sessions are resumed only by servers of the same kind: what was verified counts here alone.
        let name = Array("matriarch".utf8)
        SSL_CTX_set_session_id_context(context, name, UInt32(name.count))
        if let file = configuration.authorityFile {
            guard SSL_CTX_load_verify_locations(context, file, nil) == 1 else { throw TLSError("authority \(file)") }
            // Told to clients so that they can choose a certificate.
            if let names = SSL_load_client_CA_file(file) { SSL_CTX_set_client_CA_list(context, names) }
        }
        switch configuration.clientVerification {
        case .none: SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
        case .optional: SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        case .required: SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        }
    }

    deinit { SSL_CTX_free(context) }
}
