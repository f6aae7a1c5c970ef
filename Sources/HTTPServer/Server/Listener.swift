import CPlatform
import Glibc
import Posix

/// A listening socket.
struct Listener: Sendable {
    let descriptor: SharedDescriptor
    /// The address it is bound to, with the port that the system chose where 0 was asked for.
    let address: ListenAddress

    /// The longest queue of connections that wait to be accepted.
    static let backlogMax: Int32 = 4096

    /// Opens every socket that `addresses` name, or none. Blocks while a name is resolved.
    ///
    /// `present` are ours already and soon to be closed: an address that takes in one of theirs, or lies within it, is
    /// refused by the system at first and shared with them then.
    static func open(
        _ addresses: [ListenAddress], beside present: [Listener], backlog: Int32, sharesPort: Bool
    ) throws(HTTPServerError) -> [Listener] {
        var listeners: [Listener] = []
        do throws(HTTPServerError) {
            for address in addresses {
                listeners += try open(address, beside: present, backlog: backlog, sharesPort: sharesPort)
            }
            return listeners
        } catch {
            for listener in listeners { listener.descriptor.close() }
            throw error
        }
    }

    private static func open(
        _ address: ListenAddress, beside present: [Listener], backlog: Int32, sharesPort: Bool
    ) throws(HTTPServerError) -> [Listener] {
        do throws(HTTPServerError) {
            return try open(address, backlog: backlog, sharesPort: sharesPort)
        } catch {
            let rivals = present.filter { $0.address.port == address.port }
            if sharesPort || rivals.isEmpty { throw error }
            for rival in rivals { rival.sharePort() }
            return try open(address, backlog: backlog, sharesPort: true)
        }
    }

    /// Lets others of this user listen at the port, too, if they ask for it as well (SO_REUSEPORT). It stays so: the
    /// kernel remembers it with the port.
    private func sharePort() {
        _ = descriptor.whileOpen { number in
            var value: Int32 = 1
            return setsockopt(number, SOL_SOCKET, SO_REUSEPORT, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    /// Opens every socket that `address` names. Blocks while a name is resolved.
    static func open(
        _ address: ListenAddress, backlog: Int32, sharesPort: Bool
    ) throws(HTTPServerError) -> [Listener] {
        var listeners: [Listener] = []
        var refusal: HTTPServerError?
        var port = address.port
        for candidate in try candidates(address) {
            do throws(SystemError) {
                let listener = try bind(candidate, port: port, backlog: backlog, sharesPort: sharesPort)
                // A name with two addresses is still one port.
                port = listener.address.port
                listeners.append(listener)
                if address.isWildcard { break }
            } catch {
                let unavailable = error.code == EADDRNOTAVAIL || error.code == EAFNOSUPPORT
                let failure = HTTPServerError.system(
                    call: error.call, subject: "\(address)", reason: SystemError.message(error.code))
                // A host without IPv6, or a name one of whose addresses is not ours, still has the others.
                if !unavailable {
                    for listener in listeners { listener.descriptor.close() }
                    throw failure
                }
                refusal = failure
            }
        }
        if let refusal, listeners.isEmpty { throw refusal }
        return listeners
    }

    private static func candidates(_ address: ListenAddress) throws(HTTPServerError) -> [sockaddr_storage] {
        // All interfaces: IPv6 that takes IPv4 too; IPv4 alone where the host has no IPv6.
        if address.isWildcard { return try resolve("::", address) + resolve("0.0.0.0", address) }
        return try resolve(address.host, address)
    }

    private static func resolve(
        _ host: String, _ address: ListenAddress
    ) throws(HTTPServerError) -> [sockaddr_storage] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var results: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &results)
        guard code == 0 else { throw .unresolved(address, String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(results) }
        var addresses: [sockaddr_storage] = []
        var next = results
        while let entry = next {
            var storage = sockaddr_storage()
            let length = min(Int(entry.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
            memcpy(&storage, entry.pointee.ai_addr, length)
            addresses.append(storage)
            next = entry.pointee.ai_next
        }
        return addresses
    }

    private static func bind(
        _ storage: sockaddr_storage, port: UInt16, backlog: Int32, sharesPort: Bool
    ) throws(SystemError) -> Listener {
        var storage = storage
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let number = socket(Int32(storage.ss_family), type, 0)
        guard number >= 0 else { throw SystemError(call: "socket") }
        let descriptor = FileDescriptor(owning: number)
        try setOptions(number, isIPv6: Int32(storage.ss_family) == AF_INET6, sharesPort: sharesPort)
        withUnsafeMutableBytes(of: &storage) { raw in
            // The port is at the same place in both families, in network order.
            let offset = MemoryLayout<sockaddr_in>.offset(of: \.sin_port) ?? 2
            raw.storeBytes(of: port.bigEndian, toByteOffset: offset, as: UInt16.self)
        }
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        guard withSocketAddress(&storage, { Glibc.bind(number, $0, length) }) == 0 else {
            throw SystemError(call: "bind")
        }
        guard listen(number, min(max(backlog, 1), backlogMax)) == 0 else { throw SystemError(call: "listen") }
        guard withSocketAddress(&storage, { getsockname(number, $0, &length) }) == 0 else {
            throw SystemError(call: "getsockname")
        }
        let bound = ListenAddress(host: PeerAddress.text(storage), port: PeerAddress.port(storage))
        return Listener(descriptor: SharedDescriptor(descriptor), address: bound)
    }

    /// Options of the listening socket; on Linux the connections it accepts inherit them, which saves five calls each.
    private static func setOptions(_ number: Int32, isIPv6: Bool, sharesPort: Bool) throws(SystemError) {
        try set(number, SOL_SOCKET, SO_REUSEADDR, 1)
        if sharesPort { try set(number, SOL_SOCKET, SO_REUSEPORT, 1) }
        if isIPv6 { try set(number, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        let tcp = Int32(IPPROTO_TCP)
        try set(number, tcp, TCP_NODELAY, 1)
        // What the kernel keeps for a client that does not read: more than any answer but a stream has, and no more.
        try set(number, SOL_SOCKET, SO_SNDBUF, 128 << 10)
        // Patroni's keepalive: a dead client is noticed after ten seconds, so that a long answer does not outlive it.
        try set(number, SOL_SOCKET, SO_KEEPALIVE, 1)
        try set(number, tcp, TCP_KEEPIDLE, 3)
        try set(number, tcp, TCP_KEEPINTVL, 2)
        try set(number, tcp, TCP_KEEPCNT, 3)
    }

    private static func set(_ number: Int32, _ level: Int32, _ option: Int32, _ value: Int32) throws(SystemError) {
        var value = value
        guard setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw SystemError(call: "setsockopt")
        }
    }
}

/// Passes a socket address of any family to a call.
func withSocketAddress<Result>(
    _ storage: inout sockaddr_storage, _ body: (UnsafeMutablePointer<sockaddr>) -> Result
) -> Result {
    withUnsafeMutablePointer(to: &storage) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
    }
}
