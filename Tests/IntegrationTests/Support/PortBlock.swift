import Glibc
import Posix

/// A block of ports of loopback that nobody else uses: neither another cluster of this run, nor another run.
///
/// The blocks lie below the range from which the kernel picks ports for outgoing connections. Who uses a block holds
/// an abstract unix socket named after it, which the kernel takes back even when the process is killed.
final class PortBlock: Sendable {
    static let size = 40
    let first: Int
    private let claim: Int32

    private init(first: Int, claim: Int32) {
        self.first = first
        self.claim = claim
    }

    deinit { close(claim) }

    /// Claims a block, beginning to look at a place that differs between processes.
    static func take() throws -> PortBlock {
        let blocks = (30_000 - 22_000) / size
        let start = Int(getpid()) * 7
        for offset in 0..<blocks {
            let first = 22_000 + (start + offset) % blocks * size
            guard let claim = claimed("matriarch-ports-\(first)") else { continue }
            let block = PortBlock(first: first, claim: claim)
            if (0..<size).allSatisfy({ isFree(first + $0) }) { return block }
        }
        throw Unmet(description: "no block of \(size) free ports between 22000 and 30000")
    }

    private static func claimed(_ name: String) -> Int32? {
        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // An abstract name begins with a zero byte and needs no file.
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            for (index, byte) in name.utf8.enumerated() { path[index + 1] = byte }
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + name.utf8.count)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, length) }
        }
        if bound == 0 { return number }
        close(number)
        return nil
    }

    static func isFree(_ port: Int) -> Bool {
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return false }
        defer { close(number) }
        var yes: Int32 = 1
        setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        return withLoopback(port) { bind(number, $0, $1) } == 0
    }
}

/// Calls `body` with the address 127.0.0.1:`port`.
func withLoopback<Result>(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
