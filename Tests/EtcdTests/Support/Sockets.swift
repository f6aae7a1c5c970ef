import CPlatform
import ClusterModel
import Glibc
import Posix
import Testing

/// A listening socket, on a port of the kernel's choice unless one is wanted.
struct Listener: ~Copyable, Sendable {
    let descriptor: FileDescriptor
    let port: Int

    init(_ wanted: Int = 0) throws {
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = loopback(wanted)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(number, pointer, length) | getsockname(number, pointer, &length) | listen(number, 64)
            }
        }
        descriptor = FileDescriptor(owning: number)
        guard code == 0 else { throw SystemError(call: "bind") }
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

/// Waits until `condition` holds; a failed expectation where it never does.
func eventually(
    within limit: Duration = .seconds(100), _ what: String, fileID: String = #fileID, filePath: String = #filePath,
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
