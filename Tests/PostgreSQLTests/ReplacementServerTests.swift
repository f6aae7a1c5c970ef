import ClusterModel
import Glibc
import Ports
import Posix
import TestSupport
import Testing

@testable import PostgreSQL

/// Copies that take the place of a cluster which stands there until they are complete, on real servers.
@Suite(
    "Clusters that are replaced", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3))
)
struct ReplacementServerTests {
    /// A pg_basebackup for the node `n1` that first notes whether the old cluster stands there; `before` is run before
    /// the real one, `after` behind it.
    func backup(_ root: String, before: String = "", after: String = "") throws -> String {
        let path = "\(root)/backup.sh"
        let text = """
            #!/bin/sh
            [ -e \(root)/n1/global/pg_control ] && echo there >> \(root)/seen || echo gone >> \(root)/seen
            \(before)
            \(TestServer.binDirectory ?? "")/pg_basebackup "$@" || exit 1
            \(after)

            """
        try makeProgram(path, text.utf8)
        return String(repeating: "../", count: 12) + path.dropFirst()
    }

    func seen(_ root: String) throws -> [Substring] {
        try Files.readText("\(root)/seen").split(separator: "\n")
    }

    private func own(_ path: String) throws {
        try Files.makeDirectory(path)
        DataDirectory(path: path).giveToOwner(of: path)
    }

    /// `n1` is stopped and has parted from `n2`, a primary.
    func part(
        _ root: String, backup: String, _ change: (inout LocalPostgreSQLConfiguration) -> Void = { _ in }
    ) async throws -> (TestServer, TestServer) {
        let first = try TestServer("n1", in: root) {
            $0.binaryNames["pg_basebackup"] = backup
            change(&$0)
        }
        let second = try TestServer("n2", in: root)
        _ = try await first.bootstrap()
        try await first.sql("CREATE TABLE t AS SELECT 1 AS a")
        try await second.join(first)
        _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
        _ = try await second.controller.perform(.promote)
        try await first.sql("INSERT INTO t VALUES (2)")
        try await second.sql("INSERT INTO t VALUES (3)")
        try await second.controller.checkpoint(timeout: .seconds(20))
        _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
        return (first, second)
    }

    func replace(_ first: TestServer, from second: TestServer) async throws(PostgreSQLError) {
        _ = try await first.controller.perform(.clone(from: second.upstream, replacing: .last))
    }

    func checkFollows(_ first: TestServer, _ second: TestServer) async throws {
        await second.controller.apply([.create("n1")], deadline: BootClock.now() + .seconds(5))
        _ = try await first.startStandby(of: second.upstream)
        let status = await first.wait { $0.facts?.receiver?.isStreaming == true }
        #expect(status.facts?.receiver?.isStreaming == true && status.unfinished == nil)
        #expect(try await first.sql("SELECT a FROM t ORDER BY a") == [["1"], ["3"]])
        let data = DataDirectory(path: first.configuration.dataDirectory)
        #expect([data.mark, data.draft, data.old].filter { Files.kind($0) != .missing } == [])
    }

    @Test("The old one stands there while the copy is made, and the new one follows")
    func complete() async throws {
        try await withServers { root in
            let (first, second) = try await part(root, backup: try backup(root))
            let refused = await #expect(throws: PostgreSQLError.self) {
                try await first.controller.perform(.clone(from: second.upstream, replacing: .nothing))
            }
            #expect(refused?.description.contains("not empty") == true)
            try await replace(first, from: second)
            #expect(try seen(root) == ["there"])
            try await checkFollows(first, second)
        }
    }

    @Test("A source that dies half-way leaves the old one whole, and pg_rewind can mend it later")
    func sourceDies() async throws {
        try await withServers { root in
            let end =
                "rm -rf \(root)/n1/.matriarch-new/base; "
                + "\(TestServer.binDirectory ?? "")/pg_ctl -D \(root)/n2 -m immediate stop; exit 1"
            let (first, second) = try await part(root, backup: try backup(root, after: end))
            let data = DataDirectory(path: first.configuration.dataDirectory)
            let standing = try data.standing()
            await #expect(throws: PostgreSQLError.self) { try await replace(first, from: second) }
            #expect(try seen(root) == ["there"])
            let status = await first.observe()
            #expect(status.dataDirectory == .initialized && status.unfinished == nil)
            #expect(try data.standing().sum == standing.sum)
            #expect(!Files.exists(data.draft))
            _ = try await second.startPrimary()
            try await second.controller.checkpoint(timeout: .seconds(20))
            _ = try await first.controller.perform(.rewind(from: second.upstream))
            try await checkFollows(first, second)
        }
    }

    @Test("A disk that the copy fills all the same costs the old one at the next attempt, and no earlier")
    func diskFull() async throws {
        try await withServers { root in
            let full = """
                if [ ! -e \(root)/once ]; then
                    touch \(root)/once; mkdir \(root)/n1/.matriarch-new; touch \(root)/n1/.matriarch-new/half
                    echo 'pg_basebackup: error: could not write to file "base.tar": No space left on device' >&2
                    exit 1
                fi
                """
            let (first, second) = try await part(root, backup: try backup(root, before: full))
            try await replace(first, from: second)
            #expect(try seen(root) == ["there", "gone"])
            try await checkFollows(first, second)
        }
    }

    @Test("Where the file system has no room for both the old one goes first", .enabled(if: geteuid() == 0))
    func noRoom() async throws {
        var mounted: String?
        // Only when the servers in it have ended.
        defer {
            if let mounted {
                umount2(mounted, Int32(MNT_DETACH))
                rmdir(mounted)
            }
        }
        try await withServers { root in
            guard let user = getpwnam("postgres"), mount("tmpfs", root, "tmpfs", 0, "size=900m") == 0 else { return }
            mounted = root
            chown(root, user.pointee.pw_uid, user.pointee.pw_gid)
            let (first, second) = try await part(root, backup: try backup(root))
            try await replace(first, from: second)
            #expect(try seen(root) == ["gone"])
            try await checkFollows(first, second)
        }
    }

    @Test("What is outside is in use: with a WAL directory elsewhere, or a tablespace, the old one goes first")
    func outside() async throws {
        try await withServers { root in
            for name in ["wal", "space"] { try own("\(root)/\(name)") }
            let (first, second) = try await part(root, backup: try backup(root)) {
                $0.initdbOptions.append("--waldir=\(root)/wal/n1")
            }
            try await replace(first, from: second)
            #expect(try seen(root) == ["gone"])
            #expect(Files.target(ofLink: "\(root)/n1/pg_wal") == "\(root)/wal/n1")
            try await checkFollows(first, second)
            // Without one, but with the source's tablespace.
            try await second.sql("CREATE TABLESPACE space LOCATION '\(root)/space'")
            let third = try TestServer("n3", in: root) { configuration in
                configuration.baseBackupOptions = ["--tablespace-mapping=\(root)/space=\(root)/space3"]
            }
            try await third.join(second)
            _ = try await third.controller.perform(.stop(.immediate, timeout: .seconds(20)))
            try await replace(third, from: second)
            _ = try await third.startStandby(of: second.upstream)
            #expect(try await third.sql("SELECT count(*) FROM t") == [["2"]])
        }
    }

    @Test("What somebody changes in the old one while the copy is made stays")
    func changedMeanwhile() async throws {
        try await withServers { root in
            let touch = "echo theirs > \(root)/n1/base/1/theirs"
            let (first, second) = try await part(root, backup: try backup(root, after: touch))
            let error = await #expect(throws: PostgreSQLError.self) { try await replace(first, from: second) }
            #expect(error?.description.contains("changed by somebody") == true)
            #expect(try seen(root) == ["there"])
            #expect(Files.exists("\(root)/n1/base/1/theirs"))
            let status = await first.observe()
            #expect(status.dataDirectory == .initialized && status.unfinished == nil)
            #expect(!Files.exists("\(root)/n1/.matriarch-new"))
        }
    }

    enum Found: CaseIterable {
        case draft, marked, between
    }

    /// As a daemon leaves it that is killed: while the copy was made, when the mark stood there, when the old one's
    /// control file had gone.
    private func breakOff(_ first: TestServer, _ found: Found) async throws {
        let data = DataDirectory(path: first.configuration.dataDirectory)
        let standing = try data.standing()
        let made = first.configuration.dataDirectory + ".copy"
        #expect(rename(made, data.draft) == 0)
        if found == .draft { return try Files.removeTree(data.draft + "/base") }
        if found == .between { return _ = try data.setAside(standing) }
        var mark = UnfinishedMark(.copy)
        mark.phase = .filling
        mark.moved = try data.draftEntries()
        mark.replaced = standing.entries
        try data.write(mark)
    }

    @Test("A daemon that begins goes on with a complete copy, and removes half a one", arguments: Found.allCases)
    func nextDaemon(_ found: Found) async throws {
        try await withServers { root in
            let (first, second) = try await part(root, backup: try backup(root))
            try await second.backUp(to: "\(root)/n1.copy")
            try await breakOff(first, found)
            let next = try TestServer.controller(first.configuration)
            try await next.claimDirectory(deadline: BootClock.now() + .seconds(10))
            let data = DataDirectory(path: first.configuration.dataDirectory)
            #expect(data.look() == (.initialized, nil))
            #expect([data.mark, data.draft, data.old].filter { Files.kind($0) != .missing } == [])
            if found != .between {
                // Nothing has happened to the old one.
                _ = try await next.perform(.rewind(from: second.upstream))
            }
            try await checkFollows(first, second)
        }
    }
}
