import Glibc
public import Posix
import Synchronization

/// Which ports were given out: tests run side by side, in one process.
private let given = Mutex<Set<Int>>([])

/// A port of loopback that nobody listens at, and below those that the kernel gives to connections and to whoever asks
/// for any: between here and the start of a server nobody else takes it.
public func freePort() throws(SystemError) -> Int {
    for _ in 0..<10_000 {
        let port = Int.random(in: 10_000..<20_000)
        if given.withLock({ $0.insert(port).inserted }), isFree(port) { return port }
    }
    throw SystemError(call: "bind")
}

/// Several of them.
public func freePorts(_ count: Int) throws(SystemError) -> [Int] {
    var found: [Int] = []
    for _ in 0..<count { found.append(try freePort()) }
    return found
}

private func isFree(_ port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}
