// The importer finds the constants of sys/socket.h in the first module that includes it.
import CPlatform
import ClusterModel
import Glibc
import Posix

/// A new connection that waits for the server's first word, and asks for nothing else: the postmaster must accept it
/// and fork, and the child must run. No place of `max_connections` is needed for that, no lock, no catalogue and no
/// disk.
///
/// Nothing here waits: the socket is looked at again by the next pulse.
final class Knock {
    /// Where a server listens.
    struct Door: Sendable, Hashable {
        /// A directory of sockets, or a numeric address.
        var host: String
        var port: Int

        /// On a socket of the file system the server answers without TLS, and a connection that ends then leaves no
        /// line in its log.
        var isQuiet: Bool { host.utf8.first == UInt8(ascii: "/") }
    }

    enum Answer: Sendable, Hashable {
        /// The server said something, or closed the connection.
        case answered
        /// Nobody listens: that is another trouble than a server that hangs.
        case nobody
        case none
    }

    let since: BootInstant
    private let door: Door
    private var socket: Int32 = -1
    private var isAsked = false

    init(at door: Door, now: BootInstant) {
        since = now
        self.door = door
    }

    deinit { if socket >= 0 { close(socket) } }

    /// What has come of it so far.
    func look() -> Answer {
        if socket < 0 {
            switch Self.connect(to: door) {
            case .failure(.nobody): return .nobody
            // The kernel's queue of connections is full: nobody takes them out of it.
            case .failure(.full): return .none
            case .success(let number): socket = number
            }
        }
        if !isAsked {
            guard Self.isReady(socket, POLLOUT) else { return .none }
            // SSLRequest: its length and its code.
            let request: [UInt8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]
            let sent = request.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent < 0 { return errno == EAGAIN ? .none : errno == ECONNREFUSED ? .nobody : .answered }
            isAsked = true
        }
        guard Self.isReady(socket, POLLIN) else { return .none }
        var word: UInt8 = 0
        let count = recv(socket, &word, 1, Int32(MSG_DONTWAIT))
        return count < 0 && errno == EAGAIN ? .none : .answered
    }

    private static func isReady(_ number: Int32, _ events: Int32) -> Bool {
        var descriptor = pollfd(fd: number, events: Int16(events), revents: 0)
        return poll(&descriptor, 1, 0) > 0
    }

    private enum Refusal: Error { case nobody, full }

    private static func connect(to door: Door) -> Result<Int32, Refusal> {
        var storage = sockaddr_storage()
        guard let length = address(of: door, &storage) else { return .failure(.nobody) }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let number = Glibc.socket(Int32(storage.ss_family), kind, 0)
        guard number >= 0 else { return .failure(.full) }
        let code = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(number, $0, length) }
        }
        if code == 0 || errno == EINPROGRESS { return .success(number) }
        let isFull = errno == EAGAIN
        close(number)
        return .failure(isFull ? .full : .nobody)
    }

    /// Fills `storage`; nil for a name that would have to be looked up.
    private static func address(of door: Door, _ storage: inout sockaddr_storage) -> socklen_t? {
        if door.isQuiet { return unixAddress("\(door.host)/.s.PGSQL.\(door.port)", &storage) }
        guard let port = UInt16(exactly: door.port) else { return nil }
        let host = door.host == "localhost" ? "127.0.0.1" : door.host
        var four = sockaddr_in()
        if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: four, as: sockaddr_in.self) }
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        }
        var six = sockaddr_in6()
        guard inet_pton(AF_INET6, host, &six.sin6_addr) == 1 else { return nil }
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: six, as: sockaddr_in6.self) }
        return socklen_t(MemoryLayout<sockaddr_in6>.size)
    }

    private static func unixAddress(_ path: String, _ storage: inout sockaddr_storage) -> socklen_t? {
        var unix = sockaddr_un()
        let bytes = Array(path.utf8) + [0]
        guard bytes.count <= MemoryLayout.size(ofValue: unix.sun_path) else { return nil }
        unix.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &unix.sun_path) { $0.copyBytes(from: bytes) }
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: unix, as: sockaddr_un.self) }
        return socklen_t(MemoryLayout<sockaddr_un>.size)
    }
}
