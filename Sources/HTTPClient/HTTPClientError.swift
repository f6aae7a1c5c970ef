import CCurl

/// Why there is no answer. An answer with a status of 400 and above is not an error.
public enum HTTPClientError: Error, Sendable, Hashable, CustomStringConvertible {
    /// No connection: the name does not resolve, or nobody listens. Nothing was sent.
    case notConnected(String)
    /// The TLS handshake or the check of the certificate failed. Nothing was sent.
    case tls(String)
    /// Not done by its deadline.
    case timedOut(String)
    /// The connection ended before the answer did.
    case interrupted(String)
    /// The body is larger than the request's `bodyLimit`.
    case tooLarge(limit: Int)
    case cancelled
    /// The client was shut down.
    case closed
    /// Anything else: a URL that is none, an answer that is not HTTP, a file of keys that cannot be read.
    case failed(String)

    /// Whether the server may have got the request and acted upon it.
    public var mayHaveBeenSent: Bool {
        switch self {
        case .notConnected, .tls, .closed: false
        case .timedOut, .interrupted, .tooLarge, .cancelled, .failed: true
        }
    }

    public var description: String {
        switch self {
        case .notConnected(let reason): "no connection: \(reason)"
        case .tls(let reason): "TLS failed: \(reason)"
        case .timedOut(let reason): "timed out: \(reason)"
        case .interrupted(let reason): "the connection broke: \(reason)"
        case .tooLarge(let limit): "the answer is larger than \(limit) bytes"
        case .cancelled: "cancelled"
        case .closed: "the HTTP client is closed"
        case .failed(let reason): reason
        }
    }

    init(_ code: CURLcode, text: String) {
        switch code {
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY:
            self = .notConnected(text)
        case CURLE_OPERATION_TIMEDOUT: self = .timedOut(text)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_ENGINE_NOTFOUND:
            self = .tls(text)
        case CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE:
            self = .interrupted(text)
        default: self = .failed(text)
        }
    }
}
