import ClusterModel
import Glibc
import Ports
import Posix
import TestSupport
import Testing

@testable import PostgreSQL

/// The first segment of a timeline, begun and not come to where the timeline begins.
@Suite struct BegunSegmentTests {
    static let size = 1 << 20
    static let parent = "000000040000000000000003"
    static let own = "000000050000000000000003"

    /// A segment: bytes that are not zero, and zeros to its end. The log of the tests tells how many, not all of them.
    struct Segment: CustomTestStringConvertible {
        let count: Int
        /// One byte that is another.
        let other: (place: Int, value: UInt8)?

        var bytes: [UInt8] {
            var bytes = (0..<size).map { $0 < count ? UInt8($0 % 250 + 1) : 0 }
            if let other { bytes[other.place] = other.value }
            return bytes
        }
        var testDescription: String { "\(count) bytes" + (other.map { ", \($0.value) at \($0.place)" } ?? "") }
    }

    static func file(_ count: Int, _ other: (place: Int, value: UInt8)? = nil) -> Segment {
        Segment(count: count, other: other)
    }

    /// The timeline begins 500,000 bytes behind the beginning of the segment.
    @Test(
        arguments: [
            ("less than the parent's", file(400_000), file(510_000), .superfluous(own)),
            ("as much", file(400_000), file(400_000), .superfluous(own)),
            ("nothing yet", file(0), file(510_000), .superfluous(own)),
            ("more than the parent's", file(400_000), file(300_000), .belongs(own, to: parent)),
            ("all, and its own", file(600_000), file(510_000), nil),
            ("just its first byte", file(500_001), file(300_000), nil),
            ("another history", file(400_000, (100, 255)), file(510_000), nil),
            ("something behind its end", file(400_000, (900_000, 1)), file(510_000), nil),
            ("something behind the parent's end", file(400_000), file(300_000, (900_000, 1)), nil),
        ] as [(String, Segment, Segment, WALFiles.Begun?)])
    func compares(_ name: String, _ mine: Segment, _ theirs: Segment, _ expected: WALFiles.Begun?) throws {
        var template = Array("/tmp/begun-XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer { try? Files.removeTree(directory) }
        try Files.replace("\(directory)/\(Self.own)", with: mine.bytes, mode: 0o600)
        try Files.replace("\(directory)/\(Self.parent)", with: theirs.bytes, mode: 0o600)
        let begins = WALPosition(UInt64(3 * Self.size + 500_000))
        let history = "1\t0/1000\tno recovery target\n4\t\(begins)\tno recovery target\n"
        try Files.replace("\(directory)/00000005.history", with: Array(history.utf8), mode: 0o600)
        let files = try #require(WALFiles(directory: directory, segmentSize: Self.size, pageSize: 8192))
        #expect(files.begunInVain() == [expected].compactMap(\.self), "\(name)")
    }
}

@Suite(
    "A timeline that was begun", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3))
)
struct BegunSegmentServerTests {
    @Test("A standby that was stopped on its way to a new timeline starts, and streams", arguments: [0.5, 1.5])
    func starts(_ share: Double) async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            try await first.sql("CREATE TABLE t AS SELECT md5(a::text) FROM generate_series(1, 500) AS a")
            let text = try await first.sql("SELECT pg_current_wal_flush_lsn()").first?.first.flatMap { $0 }
            let end = try #require(text.flatMap { WALPosition($0) })
            _ = await second.wait { $0.facts?.replayedPosition ?? .zero >= end }
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            try await first.sql("INSERT INTO t SELECT md5(a::text) FROM generate_series(1, 2000) AS a")
            _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
            _ = try await first.startStandby(of: nil)
            _ = try await first.controller.perform(.promote)
            try await begin(second, first, share, end)

            _ = try? await second.startStandby(of: first.upstream)
            let status = await second.wait { $0.facts?.receiver?.isStreaming == true && $0.facts?.timeline == 2 }
            #expect(status.facts?.receiver?.isStreaming == true && status.facts?.timeline == 2)
            let rows = try await second.sql("SELECT count(*) FROM t")
            #expect(rows.first?.first.flatMap { $0 } == "2500")
        }
    }

    /// What `second` has received of the new timeline's first segment is a share of what it has of the old one.
    private func begin(_ second: TestServer, _ first: TestServer, _ share: Double, _ end: WALPosition) async throws {
        let (mine, theirs) = (second.configuration.dataDirectory, first.configuration.dataDirectory)
        let segment = try #require(WALNames.segment(end.bytes, size: 16 << 20))
        var bytes = try Files.read("\(theirs)/pg_wal/00000001\(segment)")
        let offset = Double(end.bytes % (16 << 20)) * share
        for index in Int(offset)..<bytes.count { bytes[index] = 0 }
        let began = "\(mine)/pg_wal/00000002\(segment)"
        try Files.replace(began, with: bytes, mode: 0o600)
        try Files.replace(
            "\(mine)/pg_wal/00000002.history", with: try Files.read("\(theirs)/pg_wal/00000002.history"), mode: 0o600)
        for name in [began, "\(mine)/pg_wal/00000002.history"] {
            try ContentServerTests.run("/bin/chown", "--reference=\(mine)", name)
        }
    }
}
