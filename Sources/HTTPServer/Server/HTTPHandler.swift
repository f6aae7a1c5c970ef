/// Answers requests. Two ways, so that a probe never waits behind a switchover.
public protocol HTTPHandler: Sendable {
    /// The answer that is ready without waiting, or nil. Runs on the event-loop thread: it must not block, and what it
    /// costs every other connection pays.
    func answerNow(_ request: HTTPRequest) -> HTTPResponse?

    /// The answer to a request for which `answerNow` had none; it may take minutes. Runs in a task that is cancelled
    /// when the client goes away or the server stops. A client that ends its side of the connection while it waits has
    /// gone away: whether it would still read cannot be told.
    func answer(_ request: HTTPRequest) async -> HTTPResponse

    /// What the request is counted with while it is worked on.
    func kind(of request: HTTPRequest) -> HTTPRequestKind

    /// The answer where too many of the kind are worked on, from what is known already; nil for a refusal with 503.
    /// Runs on the event-loop thread, as `answerNow`.
    func answerWithoutWork(_ request: HTTPRequest) -> HTTPResponse?

    /// Whether the connection on which the request came belongs to those that a share of all is kept for. Asked on the
    /// event-loop thread, until it says so, of each request whose connection stays.
    func hasShare(_ request: HTTPRequest) -> Bool
}

extension HTTPHandler {
    /// By the method.
    public func kind(of request: HTTPRequest) -> HTTPRequestKind {
        ["GET", "HEAD", "OPTIONS"].contains(request.method) ? .reading : .changing
    }

    /// There is none.
    public func answerWithoutWork(_ request: HTTPRequest) -> HTTPResponse? { nil }

    /// What is urgent has.
    public func hasShare(_ request: HTTPRequest) -> Bool { kind(of: request) == .urgent }
}

/// What is counted together of the requests that are worked on.
public enum HTTPRequestKind: Sendable, Hashable {
    /// A health check: worked on however many others are.
    case urgent
    case reading
    case changing
}

/// One answered request, for the access log.
public struct HTTPAccess: Sendable, Hashable {
    /// The client's IP address.
    public let peer: String
    /// The method as sent.
    public let method: String
    /// The target as sent.
    public let target: String
    /// What the client speaks.
    public let version: HTTPVersion
    /// The status answered.
    public let status: Int
    /// From the whole request to the whole answer handed to the socket or its buffer.
    public let latency: Duration
}
