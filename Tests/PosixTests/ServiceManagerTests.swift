import Glibc
import Posix
import TestSupport
import Testing

@Suite struct ServiceManagerTests {
    @Test func isToldThroughItsSocket() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/notify"
        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(number) }
        var place = sockaddr_un()
        place.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &place.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        func received() -> String {
            var bytes = [UInt8](repeating: 0, count: 256)
            let count = recv(number, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        }
        let manager = ServiceManager(["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000"])
        #expect(manager.watchdogInterval == .seconds(30))
        manager.isReady()
        #expect(received() == "READY=1")
        manager.reloads()
        #expect(received().hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        manager.lives()
        #expect(received() == "WATCHDOG=1")
        manager.isStopping()
        #expect(received() == "STOPPING=1")
    }

    @Test func whereNobodyListensNothingHappens() {
        ServiceManager([:]).isReady()
        ServiceManager(["NOTIFY_SOCKET": "/nowhere/at/all"]).isReady()
        #expect(ServiceManager(["NOTIFY_SOCKET": "relative", "WATCHDOG_USEC": "1000"]).watchdogInterval == nil)
        let other = ["NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"]
        #expect(ServiceManager(other).watchdogInterval == nil)
    }
}
