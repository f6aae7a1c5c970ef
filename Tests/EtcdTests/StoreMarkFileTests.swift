import Glibc
import Logging
import Posix
import TestSupport
import Testing

@testable import Etcd

/// The mark of the store's last life, as it stands beside a data directory.
@Suite(.timeLimit(.minutes(1)))
struct StoreMarkFileTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test(arguments: [
        ("/var/lib/postgresql/17/main", "/var/lib/postgresql/17/.main.matriarch-store"),
        ("/data/", "/.data.matriarch-store"), ("/a/b/", "/a/.b.matriarch-store"),
    ])
    func itStandsBesideTheDirectory(_ directory: String, _ expected: String) {
        #expect(StoreMarkFile.path(besides: directory).replacing("//", with: "/") == expected)
    }

    @Test func theNextDaemonFindsTheLastThatWasKept() async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        let first = try #require(await StoreMarkFile.open(path, within: .seconds(30), logger: Self.quiet))
        #expect(first.found == nil)
        var mark = StoreMark(clusterID: "7", term: 2, revision: 1, ttl: .seconds(30))
        for revision in 1...50 {
            mark.revision = Int64(revision)
            first.keep(mark)
        }
        let last = mark
        try await eventually("the last is written") {
            (try? Files.readText(path)).flatMap { StoreMark($0) } == last
        }
        let second = try #require(await StoreMarkFile.open(path, within: .seconds(30), logger: Self.quiet))
        #expect(second.found == last)
        #expect(try Files.list(directory.path) == ["mark"])
    }

    @Test(arguments: ["", "nonsense", String(repeating: "x", count: 10_000)])
    func whatIsNoMarkIsLeftAside(_ text: String) async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        try Files.replace(path, with: text.utf8, mode: 0o600)
        let file = try #require(await StoreMarkFile.open(path, within: .seconds(30), logger: Self.quiet))
        #expect(file.found == nil)
    }

    /// A pipe that nobody writes to stands for a disk that hangs.
    @Test func aDiskThatHangsIsNotWaitedFor() async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        try #require(mkfifo(path, 0o600) == 0)
        #expect(await StoreMarkFile.open(path, within: .milliseconds(100), logger: Self.quiet) == nil)
        // Lets the thread go that waits for it.
        let writer = try FileDescriptor.open(path, O_RDWR)
        withExtendedLifetime(writer) {}
    }
}
