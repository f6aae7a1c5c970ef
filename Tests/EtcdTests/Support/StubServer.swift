import CPlatform
import Glibc
import Posix
import Synchronization

/// An HTTP server that says what a test wants, on threads of its own.
final class StubServer: Sendable {
    /// One connection, as the script sees it. Blocking; on the connection's own thread.
    struct Connection: Sendable {
        let number: Int32

        /// The head and body of the next request; nil at the end.
        func readRequest() -> String? {
            var received: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                if let text = String(validating: received, as: UTF8.self), let end = text.firstRange(of: "\r\n\r\n") {
                    let lines = text[..<end.lowerBound].split(separator: "\r\n")
                    let header = lines.first { $0.lowercased().hasPrefix("content-length:") }
                    let length = header.flatMap { Int($0.drop { $0 != ":" }.dropFirst().drop { $0 == " " }) } ?? 0
                    if text[end.upperBound...].utf8.count >= length { return text }
                }
                let count = recv(number, &buffer, buffer.count, 0)
                if count <= 0 { return nil }
                received += buffer[..<count]
            }
        }

        @discardableResult
        func write(_ text: String) -> Bool {
            var bytes = Array(text.utf8)[...]
            while !bytes.isEmpty {
                let sent = bytes.withUnsafeBytes { send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                if sent <= 0 { return false }
                bytes = bytes.dropFirst(sent)
            }
            return true
        }

        func respond(_ status: Int, _ body: String) {
            write("HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }

        /// Returns when the other side has gone.
        func hang() { while readRequest() != nil {} }
    }

    let port: Int
    private let connections = Mutex<[Int32]>([])
    private let accepted = Mutex(0)

    var url: String { "http://127.0.0.1:\(port)" }
    var acceptedCount: Int { accepted.withLock { $0 } }

    init(_ script: @escaping @Sendable (Connection) -> Void) throws {
        let listener = try Listener()
        port = listener.port
        let number = listener.descriptor.release()
        connections.withLock { $0.append(number) }
        try NamedThread.start("stub-accept") { [self] in
            while true {
                let connection = accept(number, nil, nil)
                if connection < 0 { break }
                accepted.withLock { $0 += 1 }
                connections.withLock { $0.append(connection) }
                try? NamedThread.start("stub-conn") {
                    script(Connection(number: connection))
                    shutdown(connection, Int32(SHUT_RDWR))
                }
            }
        }
    }

    /// Ends the listener and every connection; their threads end by that.
    func stop() { for number in connections.withLock({ $0 }) { shutdown(number, Int32(SHUT_RDWR)) } }
}

/// A script that reads and never answers.
let hanging: @Sendable (StubServer.Connection) -> Void = { $0.hang() }

/// A TCP proxy whose connections can be cut.
final class CuttingProxy: Sendable {
    let port: Int
    private let pairs = Mutex<[Int32]>([])
    private let listener: Int32
    private let isRefusing = Mutex(false)
    private let losing = Mutex<String?>(nil)
    private let target: Int
    private let holding = Mutex<(part: String?, held: [UInt8]?)>((nil, nil))
    private let garbling = Mutex<(part: String, answer: String)?>(nil)

    init(to target: Int) throws {
        let listener = try Listener()
        self.target = target
        port = listener.port
        let number = listener.descriptor.release()
        self.listener = number
        try NamedThread.start("proxy-accept") { [self] in
            while true {
                let inner = accept(number, nil, nil)
                if inner < 0 { break }
                if isRefusing.withLock({ $0 }) {
                    close(inner)
                    continue
                }
                let outer = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                var address = loopback(target)
                let code = withUnsafePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(outer, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
                if code != 0 {
                    close(inner)
                    close(outer)
                    continue
                }
                pairs.withLock { $0 += [inner, outer] }
                try? NamedThread.start("proxy-in") { Self.copy(inner, outer) { request in self.lets(request) } }
                try? NamedThread.start("proxy-out") { [self] in
                    Self.copy(outer, inner) { answer in
                        if let garbled = self.garbled(answer) {
                            StubServer.Connection(number: inner).write(garbled)
                            return false
                        }
                        return self.passes(answer)
                    }
                }
            }
        }
    }

    /// Ends every connection that is open now.
    func cut() {
        let open = pairs.withLock { pairs in
            defer { pairs = [] }
            return pairs
        }
        for number in open { shutdown(number, Int32(SHUT_RDWR)) }
    }

    /// Whether new connections are ended at once; those that are open are.
    func refuse(_ flag: Bool) {
        isRefusing.withLock { $0 = flag }
        if flag { cut() }
    }

    /// Cuts the next connection on which the server answers with `part` in its answer; the answer is lost.
    func loseAnswer(with part: String) { losing.withLock { $0 = part } }

    var hasLost: Bool { losing.withLock { $0 == nil } }

    /// Holds the first request that contains `part`; it and its repetitions are not answered. Nil ends it, and keeps
    /// what is held.
    func holdRequests(with part: String?) { holding.withLock { $0 = (part, part == nil ? $0.held : nil) } }

    var hasHeld: Bool { holding.withLock { $0.held != nil } }

    /// Gives the request that was held to the server after all; true when it has answered.
    func deliver() -> Bool {
        guard let request = holding.withLock({ $0.held }) else { return false }
        let outer = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(outer) }
        var address = loopback(target)
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(outer, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // Its head may have gone its way before: etcd does nothing without the body.
        let body = request.drop { $0 != UInt8(ascii: "{") }
        let head =
            "POST /v3/kv/txn HTTP/1.1\r\nHost: etcd\r\nContent-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        let whole = Array(head.utf8) + body
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(outer, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard code == 0, write(outer, whole, whole.count) == whole.count else { return false }
        var answer = [UInt8](repeating: 0, count: 4096)
        return read(outer, &answer, answer.count) > 0
    }

    private func lets(_ request: [UInt8]) -> Bool {
        holding.withLock { holding in
            guard let part = holding.part, String(decoding: request, as: UTF8.self).contains(part) else { return true }
            holding.held = holding.held ?? request
            return false
        }
    }

    /// From now on gives `answer` in place of every answer of the server's that has `part` in it; the server has done
    /// what it was asked.
    func garble(_ part: String, _ answer: String) { garbling.withLock { $0 = (part, answer) } }

    private func garbled(_ answer: [UInt8]) -> String? {
        garbling.withLock { rule in
            guard let rule, String(decoding: answer, as: UTF8.self).contains(rule.part) else { return nil }
            return rule.answer
        }
    }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        cut()
    }

    private func passes(_ answer: [UInt8]) -> Bool {
        losing.withLock { part in
            guard let lost = part, String(decoding: answer, as: UTF8.self).contains(lost) else { return true }
            part = nil
            return false
        }
    }

    private static func copy(_ from: Int32, _ to: Int32, _ passes: ([UInt8]) -> Bool) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            if count <= 0 || !passes(Array(buffer[..<count])) { break }
            var sent = 0
            while sent < count {
                let part = buffer[sent..<count].withUnsafeBytes {
                    send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if part <= 0 { break }
                sent += part
            }
        }
        shutdown(from, Int32(SHUT_RDWR))
        shutdown(to, Int32(SHUT_RDWR))
    }
}
