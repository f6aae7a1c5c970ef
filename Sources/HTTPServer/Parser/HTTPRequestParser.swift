/// The incremental parser of HTTP/1.0 and HTTP/1.1 requests: bytes in, requests out; no socket, no clock.
///
/// `append` what arrived, then call `next` until it answers `needsMore`. Strict where leniency lets two parties read
/// one message differently; the one liberty is that HTTP/1.1 without Host is served, because load balancers probe that
/// way.
public struct HTTPRequestParser: Sendable {
    /// What the bytes so far amount to.
    public enum Outcome: Sendable, Hashable {
        /// Nothing yet; append more.
        case needsMore
        /// The client waits for `100 Continue` before it sends the body. Told once for a request.
        case sendContinue
        /// A whole request; more may follow in the buffer.
        case request(HTTPRequest)
        /// The bytes are no request. Final: every later call answers the same.
        case failed(HTTPParseError)
    }

    /// Where in a request the parser stands.
    private enum State {
        /// Before or within the request line. To `header`.
        case requestLine
        /// To `fixedBody` or `chunkSize`.
        case header
        /// To `requestLine`, with a request.
        case fixedBody(remaining: Int)
        /// To `chunkData`, or to `trailer` after the last chunk.
        case chunkSize
        /// To `chunkEnd`.
        case chunkData(remaining: Int)
        /// To `chunkSize`.
        case chunkEnd
        /// To `requestLine`, with a request.
        case trailer
        /// For ever.
        case failed(HTTPParseError)
    }

    /// What a step leads to: on with the next one, or an outcome for the caller.
    private enum Step {
        case again
        case done(Outcome)
    }

    private let limits: HTTPLimits
    let peer: String
    private var buffer = LineBuffer()
    private var state = State.requestLine
    private var blankLines = 0

    // The request under way.
    private var line: RequestLine?
    private var header = HeaderDraft()
    private var trailer = HeaderDraft()
    private var body: [UInt8] = []

    /// A parser of one connection. `peer` is what its requests name as their client.
    public init(limits: HTTPLimits = HTTPLimits(), peer: String = "") {
        self.limits = limits
        self.peer = peer
    }

    /// Whether a request has begun and is not yet whole.
    public var isMidRequest: Bool {
        switch state {
        case .requestLine: !buffer.isEmpty
        case .header, .fixedBody, .chunkSize, .chunkData, .chunkEnd, .trailer: true
        case .failed: false
        }
    }

    /// The bytes held of requests that are not yet whole.
    var gatheredCount: Int { buffer.count + header.count + body.count }

    /// What the client of the request under way speaks; HTTP/1.1 before that is known.
    var version: HTTPVersion { line?.version ?? .http11 }

    /// Takes in what arrived.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        buffer.compact()
        buffer.append(bytes)
    }

    /// Gives back what it holds. Final: nothing is a request any more.
    mutating func drop() {
        state = .failed(HTTPParseError(400, "the connection ends"))
        buffer = LineBuffer()
        forgetRequest()
    }

    private mutating func forgetRequest() {
        line = nil
        header = HeaderDraft()
        trailer = HeaderDraft()
        body = []
    }

    /// The next thing the bytes amount to.
    public mutating func next() -> Outcome {
        do throws(HTTPParseError) {
            while true {
                switch try step() {
                case .again: continue
                case .done(let outcome): return outcome
                }
            }
        } catch {
            state = .failed(error)
            return .failed(error)
        }
    }

    private mutating func step() throws(HTTPParseError) -> Step {
        switch state {
        case .requestLine: try readRequestLine()
        case .header: try readHeaderLine()
        case .fixedBody(let remaining): readFixedBody(remaining)
        case .chunkSize: try readChunkSize()
        case .chunkData(let remaining): readChunkData(remaining)
        case .chunkEnd: try readChunkEnd()
        case .trailer: try readTrailerLine()
        case .failed(let error): .done(.failed(error))
        }
    }

    // MARK: Head

    private mutating func readRequestLine() throws(HTTPParseError) -> Step {
        // A TLS handshake or other binary on this port holds no line end for long: its first byte is enough to refuse.
        if let first = buffer.first, !ByteClass.isToken(first), first != ByteClass.carriageReturn {
            throw HTTPParseError(400, "a request begins with its method")
        }
        guard let range = try nextLine(max: limits.requestLineBytesMax, tooLong: 414) else { return .done(.needsMore) }
        if range.isEmpty {
            blankLines += 1
            if blankLines > limits.blankLinesMax { throw HTTPParseError(400, "empty lines before the request") }
            return .again
        }
        blankLines = 0
        line = try RequestLine(buffer.bytes.span.extracting(range))
        state = .header
        return .again
    }

    private mutating func readHeaderLine() throws(HTTPParseError) -> Step {
        guard let range = try nextLine(max: limits.headerLineBytesMax, tooLong: 431) else { return .done(.needsMore) }
        if range.isEmpty { return try endHeader() }
        // The array is held apart from `self` while its span is read and the draft is changed.
        let bytes = buffer.bytes
        try header.append(bytes.span.extracting(range), limits: limits)
        return .again
    }

    private mutating func endHeader() throws(HTTPParseError) -> Step {
        guard let line else { throw HTTPParseError(400, "a header without a request line") }
        switch try header.control.body(version: line.version) {
        case .length(0): return .done(finishRequest())
        case .length(let length): state = .fixedBody(remaining: length)
        case .chunked: state = .chunkSize
        }
        // A client that already sends its body does not wait; HTTP/1.0 does not know the answer (RFC 9110 §10.1.1).
        let waits = header.control.expectsContinue && line.version == .http11 && buffer.isEmpty
        return waits ? .done(.sendContinue) : .again
    }

    // MARK: Body

    private mutating func readFixedBody(_ remaining: Int) -> Step {
        let moved = buffer.move(to: &body, max: remaining)
        if moved == remaining { return .done(finishRequest()) }
        state = .fixedBody(remaining: remaining - moved)
        return .done(.needsMore)
    }

    private mutating func readChunkSize() throws(HTTPParseError) -> Step {
        guard let range = try nextLine(max: limits.chunkLineBytesMax, tooLong: 400) else { return .done(.needsMore) }
        let size = try ChunkSize.parse(buffer.bytes.span.extracting(range), max: limits.bodyBytesMax - body.count)
        state = size == 0 ? .trailer : .chunkData(remaining: size)
        return .again
    }

    private mutating func readChunkData(_ remaining: Int) -> Step {
        let moved = buffer.move(to: &body, max: remaining)
        state = moved == remaining ? .chunkEnd : .chunkData(remaining: remaining - moved)
        return moved == remaining ? .again : .done(.needsMore)
    }

    private mutating func readChunkEnd() throws(HTTPParseError) -> Step {
        guard let range = try nextLine(max: 0, tooLong: 400) else { return .done(.needsMore) }
        guard range.isEmpty else { throw HTTPParseError(400, "a chunk ends with CRLF") }
        state = .chunkSize
        return .again
    }

    /// Fields after the last chunk are checked like any other and dropped: nothing here has a use for them.
    private mutating func readTrailerLine() throws(HTTPParseError) -> Step {
        guard let range = try nextLine(max: limits.headerLineBytesMax, tooLong: 431) else { return .done(.needsMore) }
        if range.isEmpty { return .done(finishRequest()) }
        let bytes = buffer.bytes
        try trailer.append(bytes.span.extracting(range), limits: limits)
        return .again
    }

    private mutating func finishRequest() -> Outcome {
        state = .requestLine
        guard let line else { return .needsMore }
        let request = HTTPRequest(
            method: line.method, target: line.target, version: line.version, headers: header.headers, body: body,
            peer: peer, keepsAlive: header.control.keepsAlive(version: line.version))
        forgetRequest()
        return .request(request)
    }

    /// The range of the next line; nil while it is incomplete.
    private mutating func nextLine(max: Int, tooLong: Int) throws(HTTPParseError) -> Range<Int>? {
        switch buffer.nextLine(max: max) {
        case .complete(let range): return range
        case .incomplete: return nil
        case .bareLineFeed: throw HTTPParseError(400, "a line ends with CRLF")
        case .tooLong: throw HTTPParseError(tooLong, "a line of at most \(max) bytes is allowed here")
        }
    }
}
