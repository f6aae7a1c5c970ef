import ClusterModel
import Glibc
import JSON
import Posix

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
        _ method: String, port: Int, _ path: String, body: String? = nil, seconds: Int = 5
    ) -> HTTPAnswer? {
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return nil }
        let connection = FileDescriptor(owning: number)
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(number, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        guard withLoopback(port, { connect(number, $0, $1) }) == 0 else { return nil }
        var request = "\(method) \(path) HTTP/1.0\r\nHost: 127.0.0.1:\(port)\r\n"
        if let body { request += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        request += "\r\n" + (body ?? "")
        let sent = Array(request.utf8).withUnsafeBytes {
            Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard sent == request.utf8.count else { return nil }

        var received: [UInt8] = []
        let deadline = bootSeconds() + Double(seconds)
        while received.count < 4 << 20, bootSeconds() < deadline {
            // A reset after the answer is an end, too.
            guard let part = try? connection.read(count: 64 << 10), !part.isEmpty else { break }
            received += part
        }
        return parse(String(decoding: received, as: UTF8.self))
    }

    private static func parse(_ text: String) -> HTTPAnswer? {
        let bytes = Array(text.utf8)
        guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: [13, 10, 13, 10]) }) else { return nil }
        let head = String(decoding: bytes[..<end], as: UTF8.self)
        let words = head.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, let status = Int(words[1]) else { return nil }
        return HTTPAnswer(status: status, headers: head, body: String(decoding: bytes[(end + 4)...], as: UTF8.self))
    }
}
