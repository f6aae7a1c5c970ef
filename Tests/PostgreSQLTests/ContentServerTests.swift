import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// Two histories on one timeline, told apart by the WAL itself.
@Suite(
    "What stands in the WAL", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3))
)
struct ContentServerTests {
    @Test("A leader that was set back behind its standby and has gone on past it has other WAL, and is told so")
    func setBackAndPast() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            try await first.sql("CREATE TABLE t (a text)")
            try await Self.catchUp(second, first)
            #expect(try await Self.compare(second, first).contentDiffers == false, "it streams")

            // A copy, after which the primary goes on, and its standby with it.
            let data = first.configuration.dataDirectory
            _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
            try Self.run("/bin/cp", "-a", data, "\(data).older")
            _ = try await first.startPrimary()
            try await first.sql("INSERT INTO t SELECT md5(a::text) FROM generate_series(1, 2000) AS a")
            try await Self.catchUp(second, first)
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            #expect(try await Self.compare(second, first).contentDiffers == false, "it is down, and as it was")

            // The copy takes its place, and writes more than the standby has.
            _ = try await first.controller.perform(.stop(.immediate, timeout: .seconds(20)))
            try Self.run("/bin/mv", data, "\(data).newer")
            try Self.run("/bin/mv", "\(data).older", data)
            _ = try await first.startPrimary()
            try await first.sql("INSERT INTO t SELECT md5((-a)::text) FROM generate_series(1, 9000) AS a")
            let down = try await Self.compare(second, first)
            #expect(down.localTimeline == down.sourceTimeline && down.localPosition < down.sourcePosition ?? .zero)
            #expect(down.contentDiffers)

            // Started, it receives what does not fit, over what it had; it never streams for long.
            _ = try? await second.startStandby(of: first.upstream)
            let deadline = BootClock.now() + .seconds(30)
            var found = down
            found.contentDiffers = false
            while !found.contentDiffers, BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(200))
                found = (try? await Self.compare(second, first)) ?? found
            }
            #expect(found.contentDiffers && found.localInRecovery)
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            #expect(try await Self.compare(second, first).contentDiffers, "also when it was stopped for that")
        }
    }

    @Test("A standby is compared by what it has replayed: what it has received may be half a record")
    func receivedIsNotReplayed() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            try await first.sql("CREATE TABLE t (a text)")
            try await Self.catchUp(second, first)
            try await second.sql("SELECT pg_wal_replay_pause()")
            _ = try await second.sql("SELECT pg_get_wal_replay_pause_state()")
            try await first.sql("INSERT INTO t SELECT md5(a::text) FROM generate_series(1, 2000) AS a")
            let text = try await first.sql("SELECT pg_current_wal_flush_lsn()").first?.first.flatMap { $0 }
            let end = try #require(text.flatMap { WALPosition($0) })
            let status = await second.wait { $0.facts?.receivedPosition ?? .zero >= end }
            let replayed = try #require(status.facts?.replayedPosition)
            #expect(replayed < end)
            let facts = try await Self.compare(second, first)
            #expect(facts.localInRecovery && facts.localPosition == replayed)
            try await second.sql("SELECT pg_wal_replay_resume()")
        }
    }

    @Test("A second timeline that another site has made is not the second one here", arguments: [true, false])
    func anotherSecond(_ beganLater: Bool) async throws {
        try await withServers { root in
            let (first, second, third) = (
                try TestServer("n1", in: root), try TestServer("n2", in: root), try TestServer("n3", in: root)
            )
            _ = try await first.bootstrap()
            try await second.join(first)
            try await third.join(first)
            try await first.sql("CREATE TABLE t (a text)")
            try await Self.catchUp(third, first)
            // A primary at rest writes too (its running transactions, every 15 s): who is not to have more stops first.
            _ = try await third.controller.perform(.stop(.fast, timeout: .seconds(20)))
            try await Self.catchUp(second, first)

            // The other site's second timeline; who has been on the first alone may follow.
            _ = try await second.controller.perform(.promote)
            _ = try await third.startStandby(of: nil)
            let left = try await Self.compare(third, second)
            #expect(left.localTimeline == 1 && left.sourceTimeline == 2 && !left.contentDiffers)
            #expect(left.localPosition <= left.sourceHistory.first?.position ?? .zero)
            _ = try await third.controller.perform(.stop(.fast, timeout: .seconds(20)))
            _ = try await third.startStandby(of: first.upstream)
            try await Self.fill(second, rows: beganLater ? 10 : 3000)
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            _ = try await second.startStandby(of: nil)

            // Ours begins later, or earlier and goes on for longer, and then there is a third.
            try await Self.fill(first, rows: beganLater ? 3000 : 10)
            try await Self.catchUp(third, first)
            _ = try await third.controller.perform(.promote)
            try await Self.fill(third, rows: 9000)
            _ = try await third.controller.perform(.stop(.fast, timeout: .seconds(20)))
            _ = try await third.startStandby(of: nil)
            _ = try await third.controller.perform(.promote)

            let parted = try await Self.compare(second, third)
            #expect(parted.localTimeline == 2 && parted.sourceTimeline == 3 && parted.localInRecovery)
            let (end, beginning) = (try #require(parted.localEnd), try #require(parted.beginning(of: 2)))
            #expect(beganLater == (end < beginning))
            #expect(beganLater || parted.contentDiffers)
            #expect(parted.localPosition < parted.sourceHistory.last?.position ?? .zero, "the positions do not tell")
        }
    }

    private static func fill(_ server: TestServer, rows: Int) async throws {
        try await server.sql("INSERT INTO t SELECT md5(random()::text) FROM generate_series(1, \(rows)) AS a")
    }

    private static func catchUp(_ standby: TestServer, _ source: TestServer) async throws {
        let text = try await source.sql("SELECT pg_current_wal_flush_lsn()").first?.first.flatMap { $0 }
        let end = try #require(text.flatMap { WALPosition($0) })
        let status = await standby.wait { $0.facts?.replayedPosition ?? .zero >= end }
        #expect(status.facts?.replayedPosition ?? .zero >= end)
    }

    private static func compare(_ standby: TestServer, _ source: TestServer) async throws -> DivergenceFacts {
        try await standby.controller.compareTimelines(
            with: source.upstream, deadline: BootClock.now() + .seconds(10))
    }

    static func run(_ words: String...) throws {
        var arguments = words.map { strdup($0) } + [nil]
        defer { for text in arguments { free(text) } }
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, words[0], nil, nil, &arguments, environ) == 0)
        var status: Int32 = 0
        #expect(waitpid(pid, &status, 0) == pid && status == 0)
    }
}

/// The arithmetic of pages.
@Suite struct WALPagesTests {
    private func pages() throws -> WALPages { try #require(WALPages(segmentSize: 16 << 20, pageSize: 8192)) }

    @Test func partsOfTheWindow() throws {
        let parts = try pages().parts(before: WALPosition(0x300_0100), on: 2)
        #expect(parts.map(\.file) == ["000000020000000000000003", "000000020000000000000002"])
        #expect(parts[0].offset == 0 && parts[0].count == 0x100)
        #expect(parts[1].offset % 8192 == 0 && parts[1].offset + parts[1].count == 16 << 20)
        #expect(try pages().parts(before: .zero, on: 1).isEmpty)
    }

    @Test func onlyPagesInTheirPlaceAreCompared() throws {
        let part = WALPages.Part(file: "", start: WALPosition(0x300_0000), offset: 0, count: 8192 + 100)
        func bytes(_ mark: UInt8, at address: UInt64 = 0x300_0000) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: Int(part.count))
            bytes.withUnsafeMutableBytes {
                $0.storeBytes(of: address, toByteOffset: 8, as: UInt64.self)
                $0.storeBytes(of: address + 8192, toByteOffset: 8192 + 8, as: UInt64.self)
            }
            bytes[8192 + 50] = mark
            return bytes
        }
        #expect(try pages().differ(part, bytes(1), bytes(1)) == false)
        #expect(try pages().differ(part, bytes(1), bytes(2)))
        #expect(try pages().differ(part, bytes(1), bytes(0)))
        // What pg_rewind has copied of the page that its source was writing.
        #expect(try pages().differ(part, bytes(0), bytes(1)) == false)
        #expect(try pages().differ(part, bytes(1), bytes(2, at: 0x100_0000)) == false, "a file that is used again")
    }

    @Test(arguments: [
        (0x300_0100, 0x300_0100, true), (0x300_0108, 0x300_0100, false), (0x300_2018, 0x300_2000, true),
        (0x300_0028, 0x300_0000, true), (0x300_2040, 0x300_2000, false),
    ])
    func whereARecordBegins(_ record: UInt64, _ position: UInt64, _ begins: Bool) throws {
        #expect(try pages().begins(WALPosition(record), at: WALPosition(position)) == begins)
    }

    @Test func oddSizesAreNone() {
        #expect(WALPages(segmentSize: 3 << 20, pageSize: 8192) == nil)
        #expect(WALPages(segmentSize: 16 << 20, pageSize: 0) == nil)
    }
}
