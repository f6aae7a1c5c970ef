import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

@Suite(
    "Servers that follow each other", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2))
)
struct ReplicationServerTests {
    @Test("A clone streams through its slot, follows another upstream, and is promoted")
    func cloneFollowPromote() async throws {
        try await withServers { root in
            let (first, second, third) = (
                try TestServer("n1", in: root), try TestServer("n-2", in: root), try TestServer("n3", in: root)
            )
            _ = try await first.bootstrap()
            try await second.join(first)
            try await third.join(first)
            let streaming = await second.wait { $0.facts?.receiver?.isStreaming == true }
            #expect(streaming.facts?.inRecovery == true)
            #expect(streaming.facts?.timeline == 1)
            #expect(streaming.facts?.receiver?.slotName == "n_2")
            #expect(streaming.facts?.receiver?.port == first.configuration.port)
            #expect(streaming.hasStandbySignal)
            #expect(await second.controller.isFollowing(first.upstream))
            #expect(await !second.controller.isFollowing(third.upstream))
            #expect(await !second.controller.isFollowing(nil))
            let senders = await first.wait { $0.facts?.walSenders.count == 2 }.facts?.walSenders ?? []
            #expect(senders.map(\.applicationName) == ["n-2", "n3"])
            #expect(senders.allSatisfy { $0.state == "streaming" && $0.userName == "replicator" })

            _ = try await first.controller.perform(.stop(.fastAfterCheckpoint, timeout: .seconds(20)))
            #expect(try await second.controller.perform(.promote) == .done)
            let promoted = await second.observe()
            #expect(promoted.isPrimary)
            #expect(promoted.facts?.timeline == 2)
            #expect(!promoted.hasStandbySignal)

            await second.controller.apply([.create("n3"), .create("n3")], deadline: BootClock.now() + .seconds(5))
            #expect(try await third.controller.perform(.follow(second.upstream)) == .done)
            #expect(await third.controller.isFollowing(second.upstream))
            let followed = await third.wait { $0.facts?.receiver?.isStreaming == true && $0.facts?.timeline == 2 }
            #expect(followed.facts?.receiver?.port == second.configuration.port)
            let history = await third.controller.timelineHistory(2)
            #expect(history?.lines.map(\.timeline) == [1])

            // The old primary was stopped cleanly, so it joins without pg_rewind.
            await second.controller.apply([.create("n1")], deadline: BootClock.now() + .seconds(5))
            let facts = try await first.controller.compareTimelines(
                with: second.upstream, deadline: BootClock.now() + .seconds(5))
            #expect(facts.localTimeline == 1)
            #expect(!facts.localInRecovery)
            #expect(facts.sourceTimeline == 2)
            #expect(!facts.sourceInRecovery)
            #expect(facts.sourceHistory.map(\.timeline) == [1])
            #expect(facts.checkpointEnd == facts.sourceHistory.first?.position)
            #expect(try await first.startStandby(of: second.upstream) == .done)
            let rejoined = await first.wait { $0.facts?.receiver?.isStreaming == true }
            #expect(rejoined.facts?.timeline == 2)
        }
    }

    /// `first` is rewound, joins `second` on the second timeline, and has lost what it had made alone.
    private func rewound(_ first: TestServer, onto second: TestServer) async throws {
        #expect(try await first.controller.perform(.rewind(from: second.upstream)) == .done)
        await second.controller.apply([.create("n1")], deadline: BootClock.now() + .seconds(5))
        #expect(try await first.startStandby(of: second.upstream) == .done)
        let joined = await first.wait { $0.facts?.receiver?.isStreaming == true }
        #expect(joined.facts?.timeline == 2)
        #expect(try await first.sql("SELECT to_regclass('lost') IS NULL") == [["t"]])
    }

    @Test("An ex-primary that went on by itself is rewound and joins")
    func rewind() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            _ = try await second.controller.perform(.promote)
            try await first.sql("CREATE TABLE lost AS SELECT 1 AS a")
            try await second.sql("CREATE TABLE kept AS SELECT 2 AS a")
            try await second.controller.checkpoint(timeout: .seconds(20))
            _ = try await first.controller.perform(.stop(.immediate, timeout: .seconds(5)))
            _ = try await first.controller.perform(.recoverSingleUser)
            let facts = try await first.controller.compareTimelines(
                with: second.upstream, deadline: BootClock.now() + .seconds(5))
            let parted = try #require(facts.sourceHistory.first)
            #expect(facts.localPosition > parted.position)
            try await rewound(first, onto: second)
            #expect(try await first.sql("SELECT a FROM kept") == [["2"]])
        }
    }

    /// The way to where they parted is gone from the directory itself, whose archive has it.
    @Test("pg_rewind has WAL from the archive", arguments: [true, false])
    func rewindByArchive(hasArchive: Bool) async throws {
        try await withServers { root in
            let archive = root + "/archive"
            try Files.makeDirectory(archive)
            if geteuid() == 0, let user = getpwnam("postgres") { chown(archive, user.pointee.pw_uid, 0) }
            let first = try TestServer("n1", in: root) { configuration in
                configuration.parameters["archive_mode"] = "on"
                configuration.parameters["archive_command"] = "cp %p \(archive)/%f"
                configuration.parameters["wal_keep_size"] = "0"
                if hasArchive {
                    configuration.parameters["restore_command"] = "env >> \(archive)/told; cp \(archive)/%f %p"
                }
            }
            // pg_rewind hands its environment on.
            setenv("PATRONI_TEST_PASSWORD", "secret", 1)
            let second = try TestServer("n2", in: root)
            _ = try await first.bootstrap()
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            _ = try await second.controller.perform(.promote)
            let parted = try #require(try await first.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0])
            try await first.sql("CREATE TABLE lost AS SELECT 1 AS a")
            try await first.sql("SELECT pg_switch_wal()")
            try await first.sql("CREATE TABLE lost_too AS SELECT 1 AS a")
            try await first.sql("SELECT pg_drop_replication_slot('n2')")
            try await first.sql("CHECKPOINT")
            try await second.controller.checkpoint(timeout: .seconds(20))
            let wait = BootClock.now() + .seconds(30)
            while !Files.exists("\(archive)/\(parted)"), BootClock.now() < wait {
                try await Task.sleep(for: .milliseconds(50))
            }
            _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
            // Recycled, or not yet.
            unlink("\(first.configuration.dataDirectory)/pg_wal/\(parted)")
            guard hasArchive else {
                await #expect(throws: PostgreSQLError.self) {
                    try await first.controller.perform(.rewind(from: second.upstream))
                }
                return
            }
            try await rewound(first, onto: second)
            let told = try Files.readText("\(archive)/told")
            #expect(told.contains("PATH=") && !told.contains("PATRONI_"), "\(told)")
        }
    }

    @Test("A standby of nobody tells its timeline; slots come, advance and go")
    func standbyOfNobody() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            await server.controller.apply([.create("a"), .create("b")], deadline: BootClock.now() + .seconds(5))
            let slots = await server.observe().facts?.slots ?? []
            #expect(slots.map(\.name) == ["a", "b"])
            try await server.sql("SELECT pg_switch_wal()")
            let position = try #require(await server.observe().facts?.writePosition)
            await server.controller.apply(
                [.advance("a", to: position), .drop("b"), .drop("b")], deadline: BootClock.now() + .seconds(5))
            let after = await server.observe().facts?.slots ?? []
            #expect(after.map(\.name) == ["a"])
            #expect(after.first?.restartPosition == position)
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            #expect(try await server.startStandby(of: nil) == .done)
            let status = await server.observe()
            #expect(status.facts?.inRecovery == true)
            #expect(status.facts?.timeline == 1)
            #expect(status.facts?.receiver == nil)
            #expect(await server.controller.isFollowing(nil))
        }
    }

    /// Until its next restartpoint its control file shows the timeline before.
    @Test("A standby that no walsender may be had of knows the timeline that it has followed to")
    func timelineWithoutLogin() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            let third = try TestServer("n3", in: root) {
                $0.hostBasedAuthentication = ["local all all scram-sha-256", "host all all 127.0.0.1/32 scram-sha-256"]
            }
            _ = try await first.bootstrap()
            try await second.join(first)
            try await third.join(first)
            _ = await third.wait { $0.facts?.receiver?.isStreaming == true }
            _ = try await first.controller.perform(.stop(.fast, timeout: .seconds(20)))
            #expect(await third.wait { $0.facts?.receiver == nil }.facts?.timeline == 1)
            #expect(try await second.controller.perform(.promote) == .done)
            await second.controller.apply([.create("n3")], deadline: BootClock.now() + .seconds(5))
            #expect(try await third.controller.perform(.follow(second.upstream)) == .done)
            try await second.sql("CREATE TABLE t AS SELECT generate_series(1, 10000)")
            let end = try #require(await second.observe().facts?.writePosition)
            _ = await third.wait { $0.facts.map { $0.replayedPosition >= end } ?? false }
            _ = try await second.controller.perform(.stop(.immediate, timeout: .seconds(20)))
            let alone = await third.wait { $0.facts.map { $0.receiver == nil } ?? false }
            #expect(try await third.sql("SELECT timeline_id FROM pg_control_checkpoint()") == [["1"]])
            #expect(alone.facts?.timeline == 2)
        }
    }

    @Test("A standby starts with no less than its primary has, and says what waits")
    func raisedParameters() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            let second = try TestServer("n2", in: root) { $0.parameters["max_connections"] = "25" }
            _ = try await first.bootstrap()
            try await second.join(first)
            #expect(try await second.sql("SHOW max_connections") == [["30"]])
            let expected = PostgreSQLStatus.PendingRestart(
                parameter: "max_connections", oldValue: "30", newValue: "25")
            #expect(await second.observe().pendingRestart == [expected])
        }
    }

    @Test("A clone from nobody fails with the program's words, and leaves an empty directory")
    func cloneFailure() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            let nobody = Upstream(name: "x", address: HostPort(host: "127.0.0.1", port: 1))
            await #expect(throws: PostgreSQLError.self) {
                try await server.controller.perform(.clone(from: nobody, replacing: .first))
            }
            #expect(await server.observe().dataDirectory == .empty)
            #expect(await server.observe().state == .stopped)
        }
    }
}
