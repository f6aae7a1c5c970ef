import ClusterModel
import JSON

/// What a server answered: the harness has its own small client, so that it does not test ours with ours.
struct HTTPAnswer: Sendable {
    let status: Int
    let headers: String
    let body: String

    var json: JSONValue { (try? JSON.parse(body)) ?? .null }
}

enum HTTPCall {
    /// One request over HTTP/1.0 to loopback, the answer read until the server closes; nil when there is none.
    /// Blocks for at most about `seconds`.
    static func send(
        _ method: String, port: Int, _ path: String, body: String? = nil, seconds: Int = 5,
        identity: ClientIdentity? = nil
    ) -> HTTPAnswer? {
        guard let connection = HTTPConnection(port: port, seconds: seconds, identity: identity),
            connection.send(method, path, version: "HTTP/1.0", body: body)
        else { return nil }
        var received: [UInt8] = []
        let deadline = bootSeconds() + Double(seconds)
        while received.count < 4 << 20, bootSeconds() < deadline {
            // A reset after the answer is an end, too.
            let part = connection.receive()
            if part.isEmpty { break }
            received += part
        }
        return parse(String(decoding: received, as: UTF8.self))
    }

    static func parse(_ text: String) -> HTTPAnswer? {
        let bytes = Array(text.utf8)
        guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: [13, 10, 13, 10]) }) else { return nil }
        let head = String(decoding: bytes[..<end], as: UTF8.self)
        let words = head.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, let status = Int(words[1]) else { return nil }
        return HTTPAnswer(status: status, headers: head, body: String(decoding: bytes[(end + 4)...], as: UTF8.self))
    }
}
