/// The reason phrases and explanations of status codes.
public enum HTTPStatus {
    /// The standard reason phrase; `Unknown` for a code without one.
    public static func reason(_ status: Int) -> String { reasons[status] ?? "Unknown" }

    /// One sentence for people on what the code means; clients of Patroni look for some of them (rest-api.md §1).
    static func explanation(_ status: Int) -> String {
        switch status {
        case 400: "Bad request syntax or unsupported method"
        case 408: "The request did not arrive in time"
        case 411: "Client must specify Content-Length"
        case 413: "The body is larger than this server accepts"
        case 414: "The request line is longer than this server accepts"
        case 417: "The only expectation this server meets is 100-continue"
        case 431: "The header is larger than this server accepts"
        case 501: "Server does not support this operation"
        case 503: "The server cannot answer at the moment"
        case 505: "The versions this server speaks are HTTP/1.0 and HTTP/1.1"
        default: reason(status)
        }
    }

    private static let reasons: [Int: String] = [
        100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
        301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect",
        400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
        406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required",
        412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
        417: "Expectation Failed", 422: "Unprocessable Content", 428: "Precondition Required",
        429: "Too Many Requests", 431: "Request Header Fields Too Large",
        500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
        504: "Gateway Timeout", 505: "HTTP Version Not Supported",
    ]
}
