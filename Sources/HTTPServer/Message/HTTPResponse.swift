/// An answer. The server adds `Server`, `Date`, `Content-Length` and `Connection`; none of them belongs in `headers`.
public struct HTTPResponse: Sendable, Hashable {
    /// The status code.
    public var status: Int { didSet { renderedHead = nil } }
    /// The reason phrase; nil is the standard one.
    public var reason: String? { didSet { renderedHead = nil } }
    /// The header fields, in the order they are sent.
    public var headers: HTTPHeaders { didSet { renderedHead = nil } }
    /// The body; never sent in answer to HEAD, though its length is told.
    public var body: [UInt8] { didSet { renderedHead = nil } }
    /// Patroni's bare answer (rest-api.md §1): a status line and nothing else. Where the connection stays open the
    /// client must be told where the answer ends, so that only then `Content-Length: 0` is added.
    public var isBare: Bool { didSet { renderedHead = nil } }
    /// Patroni's stock error, which carries no extra headers.
    var isStock = false
    /// Ends the connection after this answer whatever the client asked for.
    public var closesConnection: Bool
    /// What follows `body` as it comes; the connection ends with it. Nil for an answer that is whole.
    public var stream: HTTPStream? { didSet { renderedHead = nil } }

    /// What `prerendered()` laid up: the head from after the version to before what the server adds.
    private(set) var renderedHead: [UInt8]?

    public init(
        status: Int, reason: String? = nil, headers: HTTPHeaders = [:], body: [UInt8] = [],
        closesConnection: Bool = false
    ) {
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.isBare = false
        self.closesConnection = closesConnection
    }

    /// A body of text with its content type: `text/html`, `application/json`.
    public static func text(_ status: Int, _ text: String, type: String = "text/html") -> HTTPResponse {
        HTTPResponse(status: status, headers: ["Content-Type": type], body: Array(text.utf8))
    }

    /// Patroni's bare answer: a status line and nothing else.
    public static func bare(_ status: Int) -> HTTPResponse {
        var response = HTTPResponse(status: status)
        response.isBare = true
        return response
    }

    /// The same answer with its head rendered once, for one that is sent many times: a health check between two
    /// snapshots. Any later change of a field discards the rendering.
    public func prerendered() -> HTTPResponse {
        var copy = self
        var head: [UInt8] = []
        ResponseWriter.appendHead(self, to: &head)
        copy.renderedHead = head
        return copy
    }

    /// Whether a body may follow at all: 1xx, 204 and 304 never have one, nor a length.
    var allowsBody: Bool { status >= 200 && status != 204 && status != 304 }

    // The rendering is a cache: it never tells two answers apart.
    public static func == (left: HTTPResponse, right: HTTPResponse) -> Bool {
        left.status == right.status && left.reason == right.reason && left.headers == right.headers
            && left.body == right.body && left.isBare == right.isBare && left.closesConnection == right.closesConnection
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(status)
        hasher.combine(body)
    }
}

/// A body without a known end, such as server-sent events.
public struct HTTPStream: Sendable {
    /// Runs in a task that is cancelled when the client goes away or the server stops. `write` gives false once nobody
    /// reads any more; a client that does not keep up with what is written loses its connection.
    public let run: @Sendable (_ write: @escaping @Sendable ([UInt8]) -> Bool) async -> Void

    public init(_ run: @escaping @Sendable (_ write: @escaping @Sendable ([UInt8]) -> Bool) async -> Void) {
        self.run = run
    }
}
