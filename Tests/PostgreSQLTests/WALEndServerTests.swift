import ClusterModel
import Glibc
import Ports
import Posix
import Processes
import Testing

@testable import PostgreSQL

/// The end of the WAL of a server that is down, which tells an older copy of a directory from the one that crashed.
@Suite("Where the WAL ends", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3)))
struct WALEndServerTests {
    static let flushed = "SELECT pg_current_wal_flush_lsn()"

    @Test("A crash loses nothing that was flushed, whatever was under way; nor does a switch of segments")
    func crash() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            try await server.sql("CREATE TABLE t (a text)")
            for round in 0..<6 {
                // Records of all sizes, also longer than a page and than many of them.
                try await server.sql(
                    "INSERT INTO t SELECT repeat('x', (random() * 40000)::int) FROM generate_series(1, 20 * \(round))")
                if round == 2 { try await server.sql("SELECT pg_switch_wal()") }
                if round == 3 { try await server.sql("CHECKPOINT") }
                let known = try await Self.position(server, Self.flushed)
                var inserted = try await Self.position(server, "SELECT pg_current_wal_insert_lsn()")
                // The end of a record that has only just come over to its page could as well be that of a switch.
                while inserted.bytes % 8192 < 64 {
                    try await server.sql("SELECT pg_logical_emit_message(false, 'a', 'b')")
                    inserted = try await Self.position(server, "SELECT pg_current_wal_insert_lsn()")
                }
                try await Self.kill(server)
                let end = try #require(await server.observe().walEnd)
                #expect(end >= known, "round \(round): \(end) < \(known)")
                // As exact as the pages tell; after a switch it is the end of the segment.
                let slack: Int64 = round == 2 ? 16 << 20 : 64 << 10
                #expect(end - inserted <= slack, "round \(round): \(end) is far behind \(inserted)")
                _ = try await server.controller.perform(.startPrimary(timeout: .seconds(60)))
            }
        }
    }

    @Test("Commits that go on until the crash are there")
    func crashUnderLoad() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            try await server.sql("CREATE TABLE t (a text)")
            for _ in 0..<4 {
                let writer = Task {
                    while !Task.isCancelled {
                        _ = try? await server.sql(
                            "INSERT INTO t SELECT repeat('x', (random() * 9000)::int) FROM generate_series(1, 5)")
                    }
                }
                var known = WALPosition.zero
                for _ in 0..<40 { known = max(known, try await Self.position(server, Self.flushed)) }
                try await Self.kill(server)
                writer.cancel()
                let end = try #require(await server.observe().walEnd)
                #expect(end >= known)
                _ = try await server.controller.perform(.startPrimary(timeout: .seconds(60)))
            }
        }
    }

    @Test("A standby that was started again tells all that is on its disk, not only what it has replayed")
    func unreplayed() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            let second = try TestServer("n2", in: root) { $0.recovery["recovery_min_apply_delay"] = "1h" }
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            try await first.sql("CREATE TABLE t AS SELECT generate_series(1, 20000) AS a")
            let flushed = try await Self.position(first, Self.flushed)
            let received = await second.wait { $0.facts.map { $0.receivedPosition >= flushed } ?? false }
            #expect(received.facts.map { $0.receivedPosition >= flushed } == true)
            try await Self.kill(first)
            _ = try await second.restart(of: first.upstream)
            let facts = try #require(await second.wait { $0.facts != nil }.facts)
            #expect(facts.inRecovery && facts.receiver == nil && facts.replayedPosition < flushed)
            #expect(facts.position >= flushed && facts.position - flushed < 64 << 10)
        }
    }

    @Test("A clean stop with an archive, and without one, ends where it was flushed")
    func cleanStop() async throws {
        for archives in [false, true] {
            try await withServers { root in
                let server = try TestServer("n1", in: root) {
                    if archives { $0.parameters["archive_mode"] = "on" }
                    if archives { $0.parameters["archive_command"] = "true" }
                }
                _ = try await server.bootstrap()
                try await server.sql("CREATE TABLE t AS SELECT 1 AS a")
                let known = try await Self.position(server, Self.flushed)
                let stop = PostgreSQLOperation.stop(.fast, timeout: .seconds(30))
                guard case .shutDown(let positions?) = try await server.controller.perform(stop) else {
                    Issue.record("no positions")
                    return
                }
                let end = try #require(await server.observe().walEnd)
                #expect(end >= known)
                #expect(end >= positions.required)
                #expect(end > positions.checkpoint)
            }
        }
    }

    @Test("An older copy ends before what was flushed since")
    func olderCopy() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            try await server.sql("CREATE TABLE t AS SELECT 1 AS a")
            // Files are there in advance, and older ones are used again.
            for _ in 0..<3 {
                try await server.sql("SELECT pg_switch_wal()")
                try await server.sql("CHECKPOINT")
            }
            try await server.sql("INSERT INTO t VALUES (2)")
            try await Self.kill(server)
            let data = server.configuration.dataDirectory
            try Self.run("/bin/cp", "-a", data, "\(data).older")
            _ = try await server.controller.perform(.startPrimary(timeout: .seconds(60)))
            try await server.sql("INSERT INTO t VALUES (3)")
            let known = try await Self.position(server, Self.flushed)
            try await Self.kill(server)
            #expect(try #require(await server.observe().walEnd) >= known)
            try Self.run("/bin/mv", data, "\(data).newer")
            try Self.run("/bin/mv", "\(data).older", data)
            let old = await server.observe()
            #expect(try #require(old.walEnd) < known)
            #expect(old.control?.state == .inProduction)
        }
    }

    @Test("A page tells where its last record ends")
    func pages() {
        func page(info: UInt16 = 0, rest: UInt32 = 0, _ records: [(length: Int, info: UInt8)]) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 8192)
            bytes.withUnsafeMutableBytes {
                $0.storeBytes(of: info, toByteOffset: 2, as: UInt16.self)
                $0.storeBytes(of: rest, toByteOffset: 16, as: UInt32.self)
            }
            var offset = (info & 2 != 0 ? 40 : 24) + Int(rest + 7) / 8 * 8
            for record in records where offset + 24 <= 8192 {
                bytes.withUnsafeMutableBytes {
                    $0.storeBytes(of: UInt32(record.length), toByteOffset: offset, as: UInt32.self)
                }
                bytes[offset + 16] = record.info
                offset += (record.length + 7) / 8 * 8
            }
            return bytes
        }
        #expect(WALFiles.end(ofPage: page([])) == 24)
        #expect(WALFiles.end(ofPage: page(info: 2, [])) == 40)
        #expect(WALFiles.end(ofPage: page([(100, 0x30), (57, 0)])) == 24 + 104 + 64)
        #expect(WALFiles.end(ofPage: page(info: 1, rest: 30, [(24, 0)])) == 24 + 32 + 24)
        // The record that ended here was a switch; others end likewise, or are longer.
        for (rest, offset) in [(8, 24), (16, 32)] {
            var switched = page(info: 1, rest: UInt32(rest), [])
            switched[offset] = 0x40
            #expect(WALFiles.end(ofPage: switched) == nil)
            switched[offset + 1] = 1
            #expect(WALFiles.end(ofPage: switched) == 24 + rest)
        }
        #expect(WALFiles.end(ofPage: page(info: 1, rest: 17, [])) == 24 + 24)
        #expect(WALFiles.end(ofPage: page([(32, 0x40)])) == 24 + 32)
        #expect(WALFiles.end(ofPage: page([(24, 0x40)])) == nil)
        #expect(WALFiles.end(ofPage: page([(8144, 0), (24, 0x40)])) == nil)
        #expect(WALFiles.end(ofPage: page([(8144, 0), (24, 0)])) == 8192)
        #expect(WALFiles.end(ofPage: page([(9000, 0)])) == 8192)
        #expect(WALFiles.end(ofPage: page(info: 1, rest: 20_000, [])) == 8192)
        #expect(WALFiles.end(ofPage: page([(23, 0)])) == 8192)
    }

    private static func position(_ server: TestServer, _ statement: String) async throws -> WALPosition {
        try #require(try await server.sql(statement).first?.first.flatMap { $0 }.flatMap { WALPosition($0) })
    }

    private static func kill(_ server: TestServer) async throws {
        let stop = PostgreSQLOperation.stop(.immediate, timeout: .seconds(20))
        _ = try await server.controller.perform(stop)
        #expect(await server.observe().postmaster == nil)
    }

    private static func run(_ arguments: String...) throws {
        var pid: pid_t = 0
        var words = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        let code = posix_spawn(&pid, arguments[0], nil, nil, &words, environ)
        var status: Int32 = 0
        #expect(code == 0 && waitpid(pid, &status, 0) == pid && status == 0, "\(arguments)")
    }
}
