/// Turns responses into bytes.
enum ResponseWriter {
    /// What the request decides about the form of its answer.
    struct Form {
        var version: HTTPVersion
        /// In answer to HEAD.
        var omitsBody: Bool
        var keepsAlive: Bool
    }

    static let continueLine = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

    private static let version10 = Array("HTTP/1.0".utf8)
    private static let version11 = Array("HTTP/1.1".utf8)
    private static let endOfLine = Array("\r\n".utf8)
    private static let close = Array("Connection: close\r\n".utf8)
    private static let keepAlive = Array("Connection: keep-alive\r\n".utf8)
    private static let noLength = Array("Content-Length: 0\r\n".utf8)

    /// Appends the whole answer.
    static func append(_ response: HTTPResponse, form: Form, stamp: ResponseStamp, to output: inout [UInt8]) {
        output += form.version == .http11 ? version11 : version10
        if let head = response.renderedHead {
            output += head
        } else {
            appendHead(response, to: &output)
        }
        if response.isBare {
            // To a client of HTTP/1.0 the bare answer is Patroni's, byte for byte: the closed connection is its end.
            if form.keepsAlive || form.version == .http11 {
                output += noLength
                output += connection(form)
            }
            output += endOfLine
            return
        }
        output += stamp.bytes
        if !response.isStock { output += stamp.extra }
        output += connection(form)
        output += endOfLine
        if !form.omitsBody && response.allowsBody { output += response.body }
    }

    /// Appends what depends on the response alone: the status line after the version, its fields, its length.
    static func appendHead(_ response: HTTPResponse, to output: inout [UInt8]) {
        output += " \(response.status) ".utf8
        for byte in (response.reason ?? HTTPStatus.reason(response.status)).utf8 {
            output.append(ByteClass.isFieldValue(byte) ? byte : ByteClass.space)
        }
        output += endOfLine
        if response.isBare { return }
        response.headers.write(to: &output)
        if response.allowsBody && response.stream == nil { output += "Content-Length: \(response.body.count)\r\n".utf8 }
    }

    private static func connection(_ form: Form) -> [UInt8] {
        if !form.keepsAlive { return close }
        return form.version == .http10 ? keepAlive : []
    }
}

/// The lines of `Server` and `Date`, rendered anew only when the second changed, and the lines that were configured.
struct ResponseStamp {
    private(set) var bytes: [UInt8] = []
    let extra: [UInt8]
    private var second = Int.min
    private let server: String

    init(server: String, extraHeaders: HTTPHeaders = [:]) {
        self.server = server
        var lines: [UInt8] = []
        extraHeaders.write(to: &lines)
        extra = lines
    }

    mutating func refresh(secondsSinceEpoch: Int) {
        if secondsSinceEpoch == second { return }
        second = secondsSinceEpoch
        var headers: HTTPHeaders = [:]
        if !server.isEmpty { headers.append("Server", server) }
        headers.append("Date", HTTPDate.text(secondsSinceEpoch: second))
        bytes.removeAll(keepingCapacity: true)
        headers.write(to: &bytes)
    }
}
