/// One request and the bounds under which it is made.
public struct HTTPClientRequest: Sendable {
    /// `GET`, `POST`, … as it stands on the wire.
    public var method: String
    /// `http://` or `https://`.
    public var url: String
    public var headers: [(name: String, value: String)]
    /// Nil for none. A body has no content type unless `headers` names one.
    public var body: [UInt8]?
    /// HTTP basic authentication; nil for none.
    public var credentials: BasicCredentials?
    /// How long connecting and the TLS handshake may take, within the deadline.
    public var connectTimeout: Duration
    /// The largest body that is taken, in bytes; a larger one is `.tooLarge`. Of a stream: the most that is kept for a
    /// slow reader before the connection is no longer read.
    public var bodyLimit: Int
    /// Over a connection of its own, which nothing else is sent over: what answers on a kept one may not be what
    /// listens at the address now.
    public var usesOwnConnection = false
    /// The header of the answer that is wanted; nil for none.
    public var wantedHeader: String?

    public init(
        method: String = "GET", url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil,
        credentials: BasicCredentials? = nil, connectTimeout: Duration = .seconds(5), bodyLimit: Int = 1 << 20
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.credentials = credentials
        self.connectTimeout = connectTimeout
        self.bodyLimit = bodyLimit
    }
}

/// User and password of HTTP basic authentication.
public struct BasicCredentials: Sendable, Hashable {
    public let username: String
    public let password: String

    public init(username: String, password: String) {
        self.username = username
        self.password = password
    }
}

/// A whole answer; any status is one.
public struct HTTPClientResponse: Sendable, Hashable {
    public let status: Int
    public let body: [UInt8]
    /// Whether the request went out twice, because a kept connection turned out to be dead: the server may have acted
    /// upon the first one as well.
    public let wasResent: Bool
    /// The value of the request's `wantedHeader`; nil where the answer has none.
    public let header: String?

    public init(status: Int, body: [UInt8], wasResent: Bool = false, header: String? = nil) {
        self.status = status
        self.body = body
        self.wasResent = wasResent
        self.header = header
    }
}
