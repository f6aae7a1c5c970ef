import CPlatform
import Glibc
import Posix

/// What a test client met.
struct ClientError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Runs `body`, which may block, on a thread of its own: the cooperative pool has two threads and other tests need
/// them.
func offPool<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        do {
            try NamedThread.start("test-client") {
                do {
                    continuation.resume(returning: try body())
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

/// A response as the client read it.
struct ClientResponse: Sendable, Equatable {
    let head: String
    let body: String

    var statusLine: String { String(head.prefix { $0 != "\r\n" }) }
    var status: Int? { Int(statusLine.split(separator: " ").dropFirst().first ?? "") }

    func header(_ name: String) -> String? {
        for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix("\(name.lowercased()): ") {
            return String(line.dropFirst(name.utf8.count + 2))
        }
        return nil
    }
}

/// A client on a non-blocking socket. Every wait ends at the client's deadline, so that a server that is silent fails
/// the test instead of hanging it. Used by one thread.
final class TestClient {
    private let socket: FileDescriptor
    private let deadline: Int64
    private(set) var buffer: [UInt8] = []

    /// Connects to loopback, from 127.0.0.`last` where that is said; unless it `waits`, not until the server's side is
    /// there. `seconds` bound everything that the client will ever wait for.
    init(
        port: UInt16, seconds: Int64 = 20, receiveBuffer: Int32? = nil, waits: Bool = true, from last: UInt8? = nil
    ) throws {
        deadline = BootClockNow.nanoseconds() + seconds * 1_000_000_000
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let number = Glibc.socket(AF_INET, type, 0)
        guard number >= 0 else { throw SystemError(call: "socket") }
        socket = FileDescriptor(owning: number)
        if var size = receiveBuffer {
            setsockopt(number, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        if let last {
            let result = TestClient.withLoopback(last, 0) { bind(number, $0, $1) }
            guard result == 0 else { throw SystemError(call: "bind") }
        }
        let result = TestClient.withLoopback(1, port) { connect(number, $0, $1) }
        if result != 0 {
            guard errno == EINPROGRESS else { throw SystemError(call: "connect") }
            if waits { try untilConnected() }
        }
    }

    private static func withLoopback(
        _ last: UInt8, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr = in_addr(s_addr: (UInt32(0x7F00_0000) + UInt32(last)).bigEndian)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    func untilConnected() throws {
        try wait(POLLOUT)
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(socket.number, SOL_SOCKET, SO_ERROR, &code, &length)
        guard code == 0 else { throw SystemError(call: "connect", code: code) }
    }

    func isConnected() -> Bool {
        var entry = pollfd(fd: socket.number, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, 0) > 0
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(socket.number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                try wait(POLLOUT)
            } else {
                throw SystemError(call: "send")
            }
        }
    }

    /// Tells the server that nothing more comes.
    func endSending() { _ = shutdown(socket.number, Int32(SHUT_WR)) }

    /// The next response, by its length; `head` says that it answers HEAD.
    func response(head isHead: Bool = false) throws -> ClientResponse {
        let end = Array("\r\n\r\n".utf8)
        while buffer.firstRange(of: end) == nil {
            if try !receive() { throw ClientError("the server ended within a head: \(text(buffer))") }
        }
        guard let range = buffer.firstRange(of: end) else { throw ClientError("no head") }
        let head = text(buffer[..<range.upperBound])
        buffer.removeSubrange(..<range.upperBound)
        let length = Int(ClientResponse(head: head, body: "").header("Content-Length") ?? "0") ?? 0
        if isHead { return ClientResponse(head: head, body: "") }
        while buffer.count < length {
            if try !receive() { throw ClientError("the server ended within a body") }
        }
        let body = text(buffer[..<length])
        buffer.removeSubrange(..<length)
        return ClientResponse(head: head, body: body)
    }

    /// Everything until the server ends; a reset counts as an end.
    func untilEnd() throws -> String {
        while try receive() {}
        defer { buffer = [] }
        return text(buffer)
    }

    /// Receives once; false at the end.
    func receive() throws -> Bool {
        try wait(POLLIN)
        var scratch = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(socket.number, &scratch, scratch.count, 0)
        if count > 0 { buffer += scratch[..<count] }
        if count < 0 && errno == EAGAIN { return true }
        return count > 0
    }

    /// Whether something can be received at once.
    func hasInput() -> Bool {
        var entry = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }

    private func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    private func wait(_ event: Int32) throws {
        var entry = pollfd(fd: socket.number, events: Int16(event), revents: 0)
        let left = (deadline - BootClockNow.nanoseconds()) / 1_000_000
        guard left > 0, poll(&entry, 1, Int32(clamping: left)) > 0 else {
            throw ClientError("the server was silent; so far: \(text(buffer.prefix(200)))")
        }
    }
}

enum BootClockNow {
    static func nanoseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
