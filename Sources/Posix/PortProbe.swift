import Glibc

/// Whether somebody listens at an address.
public enum PortProbe {
    /// Tries to connect to a numeric address, for two seconds at most. Blocking.
    public static func answers(address: String, port: Int) -> Bool {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        var results: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address, String(port), &hints, &results) == 0, let result = results else { return false }
        defer { freeaddrinfo(results) }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number = socket(result.pointee.ai_family, kind, 0)
        guard number >= 0 else { return false }
        let descriptor = FileDescriptor(owning: number)
        if connect(descriptor.number, result.pointee.ai_addr, result.pointee.ai_addrlen) == 0 { return true }
        guard errno == EINPROGRESS else { return false }
        var wanted = pollfd(fd: descriptor.number, events: Int16(POLLOUT), revents: 0)
        guard retryingInterrupts({ poll(&wanted, 1, 2000) }) > 0 else { return false }
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor.number, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0
    }
}
