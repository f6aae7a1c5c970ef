import CPlatform
import ClusterModel
import Glibc
import Posix
import Synchronization
import Testing

/// A listening socket on a port of the kernel's choice.
struct Listener: ~Copyable, Sendable {
    let descriptor: FileDescriptor
    let port: Int

    init() throws {
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(number, pointer, length) | getsockname(number, pointer, &length) | listen(number, 64)
            }
        }
        guard code == 0 else { throw SystemError(call: "bind") }
        descriptor = FileDescriptor(owning: number)
        port = Int(UInt16(bigEndian: address.sin_port))
    }
}

func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
}

/// Ports that are free now: all are held while the next is chosen.
func freePorts(_ count: Int) throws -> [Int] {
    let ports = Mutex<[Int]>([])
    try collectPorts(count, ports)
    return ports.withLock { $0 }
}

private func collectPorts(_ count: Int, _ ports: borrowing Mutex<[Int]>) throws {
    if count == 0 { return }
    let listener = try Listener()
    ports.withLock { $0.append(listener.port) }
    try collectPorts(count - 1, ports)
    withExtendedLifetime(listener) {}
}

/// Waits until `condition` holds; a failed expectation where it never does.
func eventually(
    within limit: Duration = .seconds(30), _ what: String, fileID: String = #fileID, filePath: String = #filePath,
    line: Int = #line, _ condition: () async throws -> Bool
) async throws {
    let end = BootClock.now() + limit
    while BootClock.now() < end {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    let place = SourceLocation(fileID: fileID, filePath: filePath, line: line, column: 1)
    Issue.record("never came true: \(what)", sourceLocation: place)
    throw SystemError(call: "eventually", subject: what, code: ETIMEDOUT)
}
