/// The versions that the server speaks.
public enum HTTPVersion: Sendable, Hashable {
    case http10, http11

    /// As it stands in a start line.
    public var text: String {
        switch self {
        case .http10: "HTTP/1.0"
        case .http11: "HTTP/1.1"
        }
    }
}

/// One whole request, body included.
public struct HTTPRequest: Sendable, Hashable {
    /// The method as sent; any token, so that routing decides which ones it knows (rest-api.md §2).
    public let method: String
    /// The target as sent.
    public let target: String
    /// The path as sent, escapes and all, with one leading slash however many came; `*` for `OPTIONS *`.
    public let path: String
    /// The query as sent, without the question mark; empty when there is none. At most `HTTPLimits.queryItemsMax` pairs
    /// are in it.
    public let query: String
    /// What the client speaks.
    public let version: HTTPVersion
    /// The header fields.
    public let headers: HTTPHeaders
    /// The body, chunks joined; empty when there is none.
    public let body: [UInt8]
    /// The client's IP address as text; an IPv4 client of a dual-stack listener appears in plain IPv4 form.
    public let peer: String
    /// How the connection is protected.
    public internal(set) var security = Security.plain
    /// Whether the client wants the connection kept after the answer.
    public let keepsAlive: Bool

    /// How a connection is protected.
    public enum Security: Sendable, Hashable {
        case plain, encrypted
        /// Encrypted, and the client has shown a certificate that was verified.
        case verified
    }

    /// A request made by hand, for callers and tests without a socket. `target` is in origin form: `/path?query`.
    public init(
        method: String, target: String, version: HTTPVersion = .http11, headers: HTTPHeaders = [:], body: [UInt8] = [],
        peer: String = "127.0.0.1", security: Security = .plain
    ) throws(HTTPParseError) {
        let parsed = try RequestTarget(Array(target.utf8).span, method: method)
        self.init(
            method: method, target: parsed, version: version, headers: headers, body: body, peer: peer,
            keepsAlive: version == .http11)
        self.security = security
    }

    init(
        method: String, target: RequestTarget, version: HTTPVersion, headers: HTTPHeaders, body: [UInt8], peer: String,
        keepsAlive: Bool
    ) {
        self.method = method
        self.target = target.raw
        self.path = target.path
        self.query = target.query
        self.version = version
        self.headers = headers
        self.body = body
        self.peer = peer
        self.keepsAlive = keepsAlive
    }

    /// The pairs of the query, form-decoded, in order, also those with an empty value.
    public var queryItems: [QueryItem] { FormDecoding.items(query) }

    /// The first value of `name` that is not empty: an empty value counts as absent (rest-api.md §2).
    public func queryValue(_ name: String) -> String? {
        if query.isEmpty { return nil }
        return queryItems.first { $0.name == name && !$0.value.isEmpty }?.value
    }
}
