import CPlatform
import ClusterModel
import Glibc
import Posix
import Synchronization
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

/// Which ports were given out: tests run side by side.
private let givenPorts = Mutex<Set<Int>>([])

/// Ports that are free, and below those that the kernel gives to connections and to whoever asks for any: between here
/// and the start of a server nobody else takes one.
func freePorts(_ count: Int) throws -> [Int] {
    var found: [Int] = []
    for _ in 0..<10_000 where found.count < count {
        let port = Int.random(in: 12_000..<16_000)
        guard givenPorts.withLock({ $0.insert(port).inserted }), isFree(port) else { continue }
        found.append(port)
    }
    guard found.count == count else { throw SystemError(call: "bind") }
    return found
}

private func isFree(_ port: Int) -> Bool {
    do {
        let listener = try Listener(port)
        return listener.port == port
    } catch {
        return false
    }
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
