extension HTTPResponse {
    /// Patroni's stock error (rest-api.md §1): a small HTML page whose three lines old clients look for. `message` is
    /// also the reason of the status line (`Unsupported method ('DELETE')`); without one both texts are the standard
    /// ones. The connection is closed after it, as Patroni's header says.
    public static func stockError(
        _ status: Int, message: String? = nil, explanation: String? = nil
    ) -> HTTPResponse {
        let message = message ?? HTTPStatus.reason(status)
        let explanation = explanation ?? HTTPStatus.explanation(status)
        let page = """
            <!DOCTYPE html>
            <html lang="en">
            <head><meta charset="utf-8"><title>\(status) \(escaped(message))</title></head>
            <body>
            <h1>\(status)</h1>
            <p>Error code: \(status)</p>
            <p>Message: \(escaped(message)).</p>
            <p>Error code explanation: \(status) - \(escaped(explanation)).</p>
            </body>
            </html>

            """
        var response = HTTPResponse(
            status: status, reason: message, headers: ["Content-Type": "text/html;charset=utf-8"],
            body: Array(page.utf8), closesConnection: true)
        response.isStock = true
        return response
    }

    // Byte by byte: a bracket with a combining mark behind it is a bracket to a browser, and here part of a character.
    // Quotes stay: the text never stands inside an attribute, and clients look for `Unsupported method ('POST')`.
    static func escaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): bytes += "&amp;".utf8
            case UInt8(ascii: "<"): bytes += "&lt;".utf8
            case UInt8(ascii: ">"): bytes += "&gt;".utf8
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
