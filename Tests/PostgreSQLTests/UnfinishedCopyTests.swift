import ClusterModel
import Glibc
import Posix
import Testing

@testable import PostgreSQL

/// A daemon that dies during a base backup leaves half a directory behind: the next one must take it for what it is.
@Suite struct UnfinishedCopyTests {
    @Test func anUnfinishedCopyOfOursCountsAsEmpty() throws {
        let base = "/tmp/matriarch-copy-\(getpid())-\(BootClock.now().nanoseconds)"
        try Files.makeDirectory(base + "/data")
        defer { try? Files.removeTree(base) }
        let directory = DataDirectory(path: base + "/data")
        try Files.replace(base + "/data/PG_VERSION", with: "15\n".utf8, mode: 0o600)
        #expect(directory.inspect() == .initialized)
        try directory.markCopy()
        #expect(directory.inspect() == .empty)
        try Files.makeDirectory(base + "/data/global")
        try Files.replace(directory.controlFile, with: [0], mode: 0o600)
        #expect(directory.inspect() == .initialized)
        directory.unmarkCopy()
        #expect(directory.inspect() == .initialized)
    }
}
