import Glibc

/// The service manager that has started this process, where it wants to be told how it fares (sd_notify(3)). Never
/// waits: what it does not take is not said.
public struct ServiceManager: Sendable {
    /// Half of the time after which a silent process is taken for dead; nil where nobody watches.
    public let watchdogInterval: Duration?
    private let address: String?

    /// As the environment says.
    public init(_ environment: [String: String] = ProcessEnvironment.variables) {
        let place = environment["NOTIFY_SOCKET"] ?? ""
        address = place.hasPrefix("/") || place.hasPrefix("@") ? place : nil
        // Meant for another process where it names one.
        let isMeant = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
        watchdogInterval = isMeant && address != nil && microseconds > 0 ? .microseconds(microseconds / 2) : nil
    }

    /// It works now; after `reloads` also: it works again.
    public func isReady() { send("READY=1") }

    /// The configuration is being read again.
    public func reloads() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        send("RELOADING=1\nMONOTONIC_USEC=\(Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1000)")
    }

    public func isStopping() { send("STOPPING=1") }

    /// A sign of life, to be given every `watchdogInterval`.
    public func lives() { send("WATCHDOG=1") }

    private func send(_ text: String) {
        guard let address else { return }
        var place = sockaddr_un()
        place.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(address.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: place.sun_path) else { return }
        withUnsafeMutableBytes(of: &place.sun_path) { path in
            path.copyBytes(from: bytes)
            // An abstract name begins with a NUL.
            if bytes.first == UInt8(ascii: "@") { path[0] = 0 }
        }
        let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, kind, 0)
        guard number >= 0 else { return }
        let descriptor = FileDescriptor(owning: number)
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let message = Array(text.utf8)
        withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                _ = retryingInterrupts {
                    sendto(descriptor.number, message, message.count, Int32(MSG_NOSIGNAL), pointer, length)
                }
            }
        }
    }
}
