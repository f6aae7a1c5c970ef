/// Where to listen.
public struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// A name or an address without brackets; `""` and `*` are all interfaces, IPv6 and IPv4 both.
    public var host: String
    /// The port; 0 lets the system choose.
    public var port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    var isWildcard: Bool { host.isEmpty || host == "*" }
}

/// How a server works. Every wait and every amount has its bound here.
public struct HTTPServerConfiguration: Sendable {
    /// Where to listen; at least one.
    public var listen: [ListenAddress]
    /// Event-loop threads, at least one.
    public var loops = 1
    /// Connections that the kernel completes before they are accepted (`request_queue_size`).
    public var backlog: Int32 = 4096
    /// Lets several processes listen on one port (SO_REUSEPORT).
    public var sharesPort = false
    /// What may change later.
    public var settings = HTTPServerSettings()
    /// The bounds of one request.
    public var limits = HTTPLimits()
    /// How long the two sides may take to agree on keys, under TLS.
    public var handshakeTimeout: Duration = .seconds(2)
    /// From the first byte of a request to its last; beyond it 408 and the end of the connection.
    public var requestTimeout: Duration = .seconds(5)
    /// How long a connection may stay open between requests.
    public var idleTimeout: Duration = .seconds(15)
    /// How long a client may take to receive an answer.
    public var writeTimeout: Duration = .seconds(10)
    /// How long a refused client may go on sending, so that it gets to read why.
    public var lingerTimeout: Duration = .seconds(2)
    /// Open connections, at most; beyond it one ends for each that comes (`Eviction`), but a quarter is kept for health
    /// checks and for those of which the handler says so (`hasShare`). Nil: 4096, or half of what the process may open
    /// if that is less.
    public var connectionsMax: Int?
    /// Requests that `answer` works on at once, of each kind: beyond it 503, unless the handler has an answer without
    /// work.
    public var urgentAnswersMax = 256
    public var readingAnswersMax = 64
    public var changingAnswersMax = 64
    /// Streams at once, counted apart: they last as long as their clients like. Beyond it the client with most of them
    /// loses its oldest.
    public var streamsMax = 32
    /// Signatures that a loop makes for clients that have not finished their handshakes; beyond it a crowd of clients
    /// is asked to begin again (`SignatureDebt`).
    public var unpaidSignaturesMax = 256
    /// What a loop holds of requests above 16 KiB that are not yet whole, in bytes; beyond it 503.
    public var gatheredBytesMax = 32 << 20
    /// Told of every answered request, on the event-loop thread: it must not block.
    public var accessLog: (@Sendable (HTTPAccess) -> Void)?

    public init(listen: [ListenAddress]) { self.listen = listen }
}

/// Why a server could not start.
public enum HTTPServerError: Error, Sendable, CustomStringConvertible {
    /// The name has no address.
    case unresolved(ListenAddress, String)
    /// The system refused: the call, the address, the reason.
    case system(call: String, subject: String, reason: String)
    /// The server is running already, or was stopped.
    case alreadyStarted
    /// The server does not run yet, or no more.
    case notRunning

    public var description: String {
        switch self {
        case .unresolved(let address, let reason): "cannot resolve the listen address \(address): \(reason)"
        case .system(let call, let subject, let reason): "\(call) \(subject): \(reason)"
        case .alreadyStarted: "the HTTP server was already started"
        case .notRunning: "the HTTP server does not run"
        }
    }
}
