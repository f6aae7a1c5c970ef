/// One line of a header (RFC 9112 §5), as ranges into the line.
struct HeaderLine {
    let name: Range<Int>
    let value: Range<Int>

    /// Reads `name: value`. Folded lines and a space before the colon are refused: others read them differently, and
    /// that difference is how requests are smuggled.
    init(_ line: Span<UInt8>) throws(HTTPParseError) {
        if ByteClass.isBlank(line[0]) { throw HTTPParseError(400, "a header line must not be folded") }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":"), from: 0), colon > 0 else {
            throw HTTPParseError(400, "a header line is NAME: VALUE")
        }
        for index in 0..<colon where !ByteClass.isToken(line[index]) {
            throw HTTPParseError(400, "a header name consists of token characters, with the colon right after it")
        }
        for index in (colon + 1)..<line.count where !ByteClass.isFieldValue(line[index]) {
            throw HTTPParseError(400, "a header value must not hold control characters")
        }
        name = 0..<colon
        value = line.trimmedRange((colon + 1)..<line.count)
    }
}

/// The fields that decide how the message goes on, gathered as the header is read.
struct MessageControl {
    private var length: Int?
    private var isChunked = false
    private var hasHost = false
    /// The client waits for `100 Continue` before it sends the body.
    private(set) var expectsContinue = false
    private var asksToClose = false
    private var asksToKeep = false

    /// How the body is delimited.
    enum Body: Equatable {
        case length(Int)
        case chunked
    }

    mutating func read(_ name: Span<UInt8>, _ value: Span<UInt8>, limits: HTTPLimits) throws(HTTPParseError) {
        // The length of the name is compared first: nearly every other field ends here.
        switch name.count {
        case 4 where name.equalsIgnoringCase("host"):
            if hasHost { throw HTTPParseError(400, "Host may come once") }
            hasHost = true
        case 6 where name.equalsIgnoringCase("expect"):
            guard value.equalsIgnoringCase("100-continue") else {
                throw HTTPParseError(417, "100-continue is the only expectation that is met")
            }
            expectsContinue = true
        case 10 where name.equalsIgnoringCase("connection"): readConnection(value)
        case 14 where name.equalsIgnoringCase("content-length"): try readLength(value, limits: limits)
        case 17 where name.equalsIgnoringCase("transfer-encoding"): try readCoding(value)
        default: break
        }
    }

    /// The body's framing, once every field is read.
    func body(version: HTTPVersion) throws(HTTPParseError) -> Body {
        if !isChunked { return .length(length ?? 0) }
        if length != nil { throw HTTPParseError(400, "Content-Length and Transfer-Encoding exclude each other") }
        if version == .http10 { throw HTTPParseError(400, "HTTP/1.0 has no Transfer-Encoding") }
        return .chunked
    }

    /// Whether the connection is kept: HTTP/1.1 unless told otherwise, HTTP/1.0 only when asked for.
    func keepsAlive(version: HTTPVersion) -> Bool { !asksToClose && (version == .http11 || asksToKeep) }

    private mutating func readLength(_ value: Span<UInt8>, limits: HTTPLimits) throws(HTTPParseError) {
        if length != nil { throw HTTPParseError(400, "Content-Length may come once") }
        if value.isEmpty { throw HTTPParseError(400, "Content-Length is a decimal number") }
        var number = 0
        for index in value.indices {
            guard let digit = ByteClass.decimal(value[index]) else {
                throw HTTPParseError(400, "Content-Length is a decimal number")
            }
            // Held just above the bound, so that no number of digits overflows and the rest is still checked.
            number = min(number * 10 + digit, limits.bodyBytesMax + 1)
        }
        if number > limits.bodyBytesMax { throw HTTPParseError(413, "at most \(limits.bodyBytesMax) bytes") }
        length = number
    }

    private mutating func readCoding(_ value: Span<UInt8>) throws(HTTPParseError) {
        if isChunked { throw HTTPParseError(400, "Transfer-Encoding may come once") }
        guard value.equalsIgnoringCase("chunked") else {
            throw HTTPParseError(501, "the only transfer coding is chunked")
        }
        isChunked = true
    }

    private mutating func readConnection(_ value: Span<UInt8>) {
        var start = 0
        while start <= value.count {
            let end = value.firstIndex(of: UInt8(ascii: ","), from: start) ?? value.count
            let option = value.extracting(value.trimmedRange(start..<end))
            if option.equalsIgnoringCase("close") { asksToClose = true }
            if option.equalsIgnoringCase("keep-alive") { asksToKeep = true }
            start = end + 1
        }
    }
}
