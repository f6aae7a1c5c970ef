/// Why a request is refused. The connection cannot be read further: where the next request begins is unknown.
public struct HTTPParseError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The status to answer with: 400, 408, 413, 414, 417, 431, 501, 503 or 505.
    public let status: Int
    /// What is wrong and what is allowed.
    public let detail: String

    init(_ status: Int, _ detail: String) {
        self.status = status
        self.detail = detail
    }

    public var description: String { "\(status): \(detail)" }

    /// The stock error that tells the client.
    var response: HTTPResponse {
        .stockError(status, explanation: "\(HTTPStatus.explanation(status)): \(detail)")
    }
}

/// The bounds of one request.
public struct HTTPLimits: Sendable, Hashable {
    /// The longest request line, in bytes; beyond it 414.
    public var requestLineBytesMax = 8 << 10
    /// The longest header line, in bytes; beyond it 431.
    public var headerLineBytesMax = 8 << 10
    /// The most header fields; beyond it 431.
    public var headersMax = 100
    /// All header lines of one request together, in bytes; beyond it 431.
    public var headerBytesMax = 64 << 10
    /// The largest body, in bytes; beyond it 413.
    public var bodyBytesMax = 1 << 20
    /// The longest line of a chunk's size with its extensions, in bytes; beyond it 400.
    public var chunkLineBytesMax = 256
    /// The most pairs in a query, those counted that are empty; beyond it 400.
    public static let queryItemsMax = 32
    /// Empty lines that may come before a request: some clients end a body with one too many.
    public var blankLinesMax = 2

    public init() {}
}
