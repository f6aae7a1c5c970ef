import Glibc
import Logging
import Posix
import Synchronization
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
        let first = await StoreMarkFile.open(path, within: .seconds(30), logger: Self.quiet)
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
        let second = await StoreMarkFile.open(path, within: .seconds(30), logger: Self.quiet)
        #expect(second.found == last)
        #expect(try Files.list(directory.path) == ["mark"])
    }

    @Test(arguments: ["", "nonsense", String(repeating: "x", count: 10_000)])
    func whatIsNoMarkIsLeftAside(_ text: String) async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        try Files.replace(path, with: text.utf8, mode: 0o600)
        let file = await StoreMarkFile.open(path, within: .seconds(30), logger: Self.quiet)
        #expect(file.found == nil)
    }

    /// A pipe that nobody writes to stands for a disk that hangs.
    @Test func aDiskThatHangsIsNotWaitedFor() async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        try #require(mkfifo(path, 0o600) == 0)
        let file = await StoreMarkFile.open(path, within: .milliseconds(100), logger: Self.quiet)
        #expect(file.found == nil)
        // Lets the thread go that waits for it.
        let writer = try FileDescriptor.open(path, O_RDWR)
        withExtendedLifetime(writer) {}
        // What stands there is not what this daemon knows.
        file.keep(Self.mark)
        try await eventually("what stands there is replaced") {
            var status = stat()
            return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        }
        #expect(StoreMark(try Files.readText(path)) == Self.mark)
    }

    private static let mark = StoreMark(clusterID: "7", term: 2, revision: 1, ttl: .seconds(30), leader: 1)

    /// A directory where the draft would be written stands for a full disk.
    @Test(arguments: [true, false])
    func aMarkThatIsOvertakenAndCannotBeWrittenAgainGoes(_ isOvertaken: Bool) async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        let logged = Mutex(0)
        let logger = Logger(label: "test") { _ in CountingHandler { logged.withLock { $0 += 1 } } }
        try Files.replace(path, with: Self.mark.text.utf8, mode: 0o600)
        let file = await StoreMarkFile.open(path, within: .seconds(30), logger: logger)
        let draft = "\(path).\(getpid()).new"
        try #require(mkdir(draft, 0o700) == 0)
        var mark = Self.mark
        mark.revision += 1
        if isOvertaken { mark.leader += 1 }
        file.keep(mark)
        try await eventually("the write has failed") { logged.withLock { $0 } > 0 }
        #expect(Files.exists(path) != isOvertaken)
        try #require(rmdir(draft) == 0)
        file.keep(mark)
        try await eventually("it is written later") {
            (try? Files.readText(path)).flatMap { StoreMark($0) } == mark
        }
    }
}

/// Tells of every warning.
private struct CountingHandler: LogHandler {
    let warned: @Sendable () -> Void
    var logLevel = Logger.Level.warning
    var metadata = Logger.Metadata()

    init(_ warned: @escaping @Sendable () -> Void) { self.warned = warned }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { warned() }
}
