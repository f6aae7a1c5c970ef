/// The first line of a request (RFC 9112 §3).
struct RequestLine {
    let method: String
    let target: RequestTarget
    let version: HTTPVersion

    /// Reads `method SP target SP version`: single spaces, nothing before, nothing after.
    init(_ line: Span<UInt8>) throws(HTTPParseError) {
        guard let afterMethod = line.firstIndex(of: ByteClass.space, from: 0), afterMethod > 0 else {
            throw HTTPParseError(400, "a request line is METHOD TARGET HTTP/1.1")
        }
        for index in 0..<afterMethod where !ByteClass.isToken(line[index]) {
            throw HTTPParseError(400, "a method consists of token characters")
        }
        guard let afterTarget = line.firstIndex(of: ByteClass.space, from: afterMethod + 1) else {
            throw HTTPParseError(400, "a request line is METHOD TARGET HTTP/1.1, the version is missing")
        }
        version = try RequestLine.version(line.extracting((afterTarget + 1)..<line.count))
        method = line.extracting(0..<afterMethod).text
        target = try RequestTarget(line.extracting((afterMethod + 1)..<afterTarget), method: method)
    }

    private static func version(_ text: Span<UInt8>) throws(HTTPParseError) -> HTTPVersion {
        let prefix: StaticString = "http/"
        guard text.count == 8, text.extracting(0..<5).equalsIgnoringCase(prefix), text[0] == UInt8(ascii: "H"),
            text[1] == UInt8(ascii: "T"), text[2] == UInt8(ascii: "T"), text[3] == UInt8(ascii: "P"),
            let major = ByteClass.decimal(text[5]), text[6] == UInt8(ascii: "."),
            let minor = ByteClass.decimal(text[7])
        else { throw HTTPParseError(400, "a request line ends with the version, HTTP/1.0 or HTTP/1.1") }
        switch (major, minor) {
        case (1, 0): return .http10
        case (1, 1): return .http11
        default: throw HTTPParseError(505, "HTTP/\(major).\(minor)")
        }
    }
}

/// What a request asks for (RFC 9112 §3.2), in any of its four forms.
struct RequestTarget {
    /// As sent.
    let raw: String
    /// As sent, with one leading slash.
    let path: String
    /// As sent, without the question mark.
    let query: String

    init(_ bytes: Span<UInt8>, method: String) throws(HTTPParseError) {
        if bytes.isEmpty { throw HTTPParseError(400, "the target is missing") }
        for index in bytes.indices where !ByteClass.isTarget(bytes[index]) {
            throw HTTPParseError(400, "a target holds no blanks, control characters or #, except percent-encoded")
        }
        raw = bytes.text
        let isAsterisk = bytes.count == 1 && bytes[0] == UInt8(ascii: "*")
        if method == "OPTIONS" && isAsterisk || method == "CONNECT" {
            path = raw
            query = ""
            return
        }
        let start = try RequestTarget.pathStart(bytes)
        let mark = bytes.firstIndex(of: UInt8(ascii: "?"), from: start)
        let range = RequestTarget.pathRange(bytes, start..<(mark ?? bytes.count))
        // Most targets are a path and nothing else: they share one text.
        path = range.count == bytes.count ? raw : range.isEmpty ? "/" : bytes.extracting(range).text
        if let mark {
            query = try RequestTarget.query(bytes.extracting((mark + 1)..<bytes.count))
        } else {
            query = ""
        }
    }

    private static func query(_ bytes: Span<UInt8>) throws(HTTPParseError) -> String {
        var items = 1
        for index in bytes.indices where bytes[index] == UInt8(ascii: "&") { items += 1 }
        if items > HTTPLimits.queryItemsMax {
            throw HTTPParseError(400, "a query of at most \(HTTPLimits.queryItemsMax) pairs is allowed")
        }
        return bytes.text
    }

    /// Where the path begins: at once in origin form, after scheme and authority in absolute form.
    private static func pathStart(_ bytes: Span<UInt8>) throws(HTTPParseError) -> Int {
        if bytes[0] == UInt8(ascii: "/") { return 0 }
        let authority: Int
        if bytes.count > 7, bytes.extracting(0..<7).equalsIgnoringCase("http://") {
            authority = 7
        } else if bytes.count > 8, bytes.extracting(0..<8).equalsIgnoringCase("https://") {
            authority = 8
        } else {
            throw HTTPParseError(400, "a target is /path, http://host/path, or * with OPTIONS")
        }
        var end = authority
        while end < bytes.count, bytes[end] != UInt8(ascii: "/"), bytes[end] != UInt8(ascii: "?") { end += 1 }
        if end == authority { throw HTTPParseError(400, "an absolute target names a host") }
        return end
    }

    /// The path without what comes before its last leading slash: several count as one (rest-api.md §2). Empty for an
    /// absolute target without a path, which means the root. Escapes stay as they are: `/%70rimary` is no `/primary`.
    private static func pathRange(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        while start + 1 < range.upperBound, bytes[start] == UInt8(ascii: "/"), bytes[start + 1] == UInt8(ascii: "/") {
            start += 1
        }
        return start..<range.upperBound
    }
}
