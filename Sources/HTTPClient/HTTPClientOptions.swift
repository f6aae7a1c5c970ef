/// What holds for every connection of a client. No client follows a redirect: whoever answers would choose whom we ask
/// next, and what we show there.
public struct HTTPClientOptions: Sendable, Hashable {
    /// A kept connection that has been idle for longer is not used again.
    public static let idleConnectionLimit = Duration.seconds(60)

    public var userAgent: String
    public var tls: TLSOptions
    public var keepalive: KeepaliveOptions

    public init(
        userAgent: String = "Matriarch", tls: TLSOptions = TLSOptions(),
        keepalive: KeepaliveOptions = KeepaliveOptions()
    ) {
        self.userAgent = userAgent
        self.tls = tls
        self.keepalive = keepalive
    }
}

/// How servers are verified and what we show them. Paths of PEM files.
public struct TLSOptions: Sendable, Hashable {
    /// The trust anchors; the system's where nil.
    public var cacert: String?
    /// The client certificate, with its key in the same file where `key` is nil.
    public var cert: String?
    public var key: String?
    public var keyPassword: String?
    /// Whether the server's chain must lead to a trust anchor.
    public var verifiesPeer: Bool
    /// Whether the server's certificate must name the host.
    public var verifiesHost: Bool

    public init(
        cacert: String? = nil, cert: String? = nil, key: String? = nil, keyPassword: String? = nil,
        verifiesPeer: Bool = true, verifiesHost: Bool = true
    ) {
        self.cacert = cacert
        self.cert = cert
        self.key = key
        self.keyPassword = keyPassword
        self.verifiesPeer = verifiesPeer
        self.verifiesHost = verifiesHost
    }
}

/// How a dead connection is found out. Holds for connections made after it was set.
public struct KeepaliveOptions: Sendable, Hashable {
    /// Silence after which the first probe is sent (TCP_KEEPIDLE).
    public var idle: Duration
    /// The time between probes (TCP_KEEPINTVL).
    public var interval: Duration
    /// Probes without an answer that end the connection (TCP_KEEPCNT).
    public var count: Int
    /// How long data that was sent may stay unacknowledged (TCP_USER_TIMEOUT).
    public var userTimeout: Duration

    public init(
        idle: Duration = .seconds(20), interval: Duration = .seconds(3), count: Int = 3,
        userTimeout: Duration = .seconds(30)
    ) {
        self.idle = idle
        self.interval = interval
        self.count = count
        self.userTimeout = userTimeout
    }
}
