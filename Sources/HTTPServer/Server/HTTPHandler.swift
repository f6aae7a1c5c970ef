/// Answers requests. Two ways, so that a probe never waits behind a switchover.
public protocol HTTPHandler: Sendable {
    /// What becomes of a request: asked once for each. Runs on the event-loop thread: it must not block, and what it
    /// costs every other connection pays.
    func reply(to request: HTTPRequest) -> HTTPReply

    /// Whether the connections of this client belong to those that a share of all is kept for, whatever they ask. Asked
    /// on the event-loop thread, for each request that is not urgent and whose connection stays.
    func hasShare(peer: String) -> Bool
}

extension HTTPHandler {
    /// Health checks alone have.
    public func hasShare(peer: String) -> Bool { false }
}

/// What becomes of a request.
public struct HTTPReply: Sendable {
    /// What the request is counted with; what is urgent has a part in the share.
    public let kind: HTTPRequestKind
    let form: Form

    enum Form: Sendable {
        case ready(HTTPResponse)
        case work(HTTPWork)
    }

    /// The answer is there.
    public static func ready(_ response: HTTPResponse, _ kind: HTTPRequestKind = .reading) -> HTTPReply {
        HTTPReply(kind: kind, form: .ready(response))
    }

    /// The answer takes a while, minutes perhaps. `work` runs in a task that is cancelled when the client goes away or
    /// the server stops. A client that ends its side of the connection while it waits has gone away: whether it would
    /// still read cannot be told.
    ///
    /// `otherwise` gives the answer where too many of the kind are worked on, from what is known already; nil for a
    /// refusal with 503. It runs on the event-loop thread.
    public static func later(
        _ kind: HTTPRequestKind, otherwise: @escaping @Sendable () -> HTTPResponse? = { nil },
        work: @escaping @Sendable () async -> HTTPResponse
    ) -> HTTPReply {
        HTTPReply(kind: kind, form: .work(HTTPWork(run: work, otherwise: otherwise)))
    }

    /// The answer that is there, for callers without a server; nil where it takes a while.
    public var response: HTTPResponse? {
        switch form {
        case .ready(let response): response
        case .work: nil
        }
    }

    /// The answer where too many are worked on.
    public var responseWithoutWork: HTTPResponse? {
        switch form {
        case .ready(let response): response
        case .work(let work): work.otherwise()
        }
    }

    /// The answer, waited for.
    public func answer() async -> HTTPResponse {
        switch form {
        case .ready(let response): response
        case .work(let work): await work.run()
        }
    }
}

/// An answer that takes a while.
struct HTTPWork: Sendable {
    let run: @Sendable () async -> HTTPResponse
    let otherwise: @Sendable () -> HTTPResponse?
}

/// What is counted together of the requests that are worked on.
public enum HTTPRequestKind: Sendable, Hashable {
    /// A health check: worked on however many others are.
    case urgent
    case reading
    case changing
}

/// One answered request, for the access log.
public struct HTTPAccess: Sendable, Hashable, CustomStringConvertible {
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

    /// One line that shows nothing but printable ASCII, whatever the client sent.
    public var description: String {
        let (seconds, attoseconds) = latency.components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        return "\(peer) \(LogText.escaped(method)) \(LogText.escaped(target)) \(status) \(milliseconds) ms"
    }
}

/// What clients sent, as it may stand in a log: a terminal acts upon control characters, those of eight bits
/// among them.
enum LogText {
    /// What is shown of one text, in bytes.
    private static let bytesMax = 256

    static func escaped(_ text: String) -> String {
        let bytes = text.utf8
        if bytes.count <= bytesMax && bytes.allSatisfy(isPlain) { return text }
        var shown: [UInt8] = []
        for byte in bytes.prefix(bytesMax) {
            if isPlain(byte) {
                shown.append(byte)
            } else {
                shown += [UInt8(ascii: "\\"), UInt8(ascii: "x"), digit(byte >> 4), digit(byte & 15)]
            }
        }
        let left = bytes.count - bytesMax
        return String(decoding: shown, as: UTF8.self) + (left > 0 ? "... (\(left) bytes more)" : "")
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\\")
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
