/// Answers requests. Two ways, so that a probe never waits behind a switchover.
public protocol HTTPHandler: Sendable {
    /// The answer that is ready without waiting, or nil. Runs on the event-loop thread: it must not block, and what it
    /// costs every other connection pays.
    func answerNow(_ request: HTTPRequest) -> HTTPResponse?

    /// The answer to a request for which `answerNow` had none; it may take minutes. Runs in a task that is cancelled
    /// when the client goes away or the server stops. A client that ends its side of the connection while it waits has
    /// gone away: whether it would still read cannot be told.
    func answer(_ request: HTTPRequest) async -> HTTPResponse

    /// Whether the request must be worked on however many others are: a health check.
    func isUrgent(_ request: HTTPRequest) -> Bool

    /// Whether the connection on which the request came belongs to those that a share of all is kept for. Asked on the
    /// event-loop thread, until it says so, of each request whose connection stays.
    func hasShare(_ request: HTTPRequest) -> Bool
}

extension HTTPHandler {
    /// Nothing is, unless a handler says so.
    public func isUrgent(_ request: HTTPRequest) -> Bool { false }

    /// What is urgent has.
    public func hasShare(_ request: HTTPRequest) -> Bool { isUrgent(request) }
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
