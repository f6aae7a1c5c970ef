import ClusterModel
import Ports
import Posix
import Testing

@testable import PostgreSQL

@Suite("Slots on servers", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3)))
struct SlotServerTests {
    static let slot = PermanentSlot(name: "l", kind: .logical(database: "postgres", plugin: "test_decoding"))

    static func soon() -> BootInstant { BootClock.now() + .seconds(10) }

    static func server(_ name: String, in root: String, level: String = "logical") throws -> TestServer {
        try TestServer(name, in: root) {
            $0.parameters["wal_level"] = level
            $0.parameters["hot_standby_feedback"] = "on"
            $0.parameters["wal_receiver_status_interval"] = "1s"
        }
    }

    static func pair(in root: String) async throws -> (TestServer, TestServer) {
        let (first, second) = (try server("n1", in: root), try server("n2", in: root))
        _ = try await first.bootstrap()
        try await second.join(first)
        try await first.sql("CREATE TABLE t (a int)")
        await first.controller.apply(
            [.createLogical("l", database: "postgres", plugin: "test_decoding")], deadline: soon())
        return (first, second)
    }

    static func copy(_ standby: TestServer, from primary: TestServer) async throws {
        _ = try await standby.controller.perform(
            .copyLogicalSlots([slot], from: primary.upstream, stopTimeout: .seconds(20)))
        _ = try await standby.startStandby(of: primary.upstream)
    }

    static func changes(_ server: TestServer) async throws -> [String] {
        try await server.sql("SELECT data FROM pg_logical_slot_get_changes('l', NULL, NULL)").compactMap { $0[0] }
            .filter { $0.contains("INSERT") }
    }

    static func found(_ status: PostgreSQLStatus) -> PostgreSQLStatus.ReplicationSlot? {
        status.facts?.slots.first { $0.name == "l" }
    }

    @Test("A logical slot goes on after a failover: nothing that was confirmed again, nothing else missing")
    func failover() async throws {
        try await withServers { root in
            let (first, second) = try await Self.pair(in: root)
            let made = try #require(Self.found(await first.observe()))
            #expect(await first.observe().facts?.walSpace ?? 0 > 1_048_576)
            #expect(made.isLogical && made.database == "postgres" && made.plugin == "test_decoding")
            try await Self.copy(second, from: first)
            #expect(Self.found(await second.observe())?.isLogical == true)
            try await first.sql("INSERT INTO t VALUES (1)")
            #expect(try await Self.changes(first).count == 1)
            let confirmed = try #require(Self.found(await first.observe())?.confirmedPosition)
            _ = await second.wait { $0.facts.map { $0.replayedPosition >= confirmed } ?? false }
            await second.controller.apply(
                [.advanceLogical("l", database: "postgres", to: confirmed)], deadline: Self.soon())
            let moved = await second.wait { Self.found($0)?.confirmedPosition == confirmed }
            #expect(Self.found(moved)?.confirmedPosition == confirmed)
            try await first.sql("INSERT INTO t VALUES (2)")
            let end = await first.observe().facts?.writePosition ?? .zero
            _ = await second.wait { $0.facts.map { $0.replayedPosition >= end } ?? false }
            _ = try await first.controller.perform(.stop(.immediate, timeout: .seconds(5)))
            _ = try await second.controller.perform(.promote)
            let rows = try await Self.changes(second)
            #expect(rows.count == 1 && rows.first?.hasSuffix("2") == true, "\(rows)")
        }
    }

    @Test("A copy is ready once the primary keeps catalog rows for it, and not after a restart")
    func readiness() async throws {
        try await withServers { root in
            let (first, second) = try await Self.pair(in: root)
            try await Self.copy(second, from: first)
            #expect(Self.found(await second.observe())?.isReady == false)
            let until = BootClock.now() + .seconds(30)
            var isReady = false
            while !isReady, BootClock.now() < until {
                await second.controller.apply(
                    [.verifyLogical(["l"], at: first.upstream, through: "n2")], deadline: Self.soon())
                isReady = Self.found(await second.observe())?.isReady ?? false
            }
            #expect(isReady)
            _ = try await second.restart(of: first.upstream)
            #expect(Self.found(await second.observe())?.isReady == false)
        }
    }

    @Test("A copy that cannot be used does not take the standby down")
    func refused() async throws {
        try await withServers { root in
            let (first, _) = try await Self.pair(in: root)
            let low = try Self.server("n3", in: root, level: "replica")
            try await low.join(first)
            let before = await low.observe().postmaster
            for (slot, why) in [
                (Self.slot, "wal_level"),
                (PermanentSlot(name: "l", kind: .logical(database: "postgres", plugin: "pgoutput")), "has none"),
                (PermanentSlot(name: "absent", kind: Self.slot.kind), "has none"),
            ] {
                let error = await #expect(throws: PostgreSQLError.self) {
                    try await low.controller.perform(
                        .copyLogicalSlots([slot], from: first.upstream, stopTimeout: .seconds(20)))
                }
                #expect(error.map { "\($0)".contains(why) } == true, "\(String(describing: error))")
            }
            let after = await low.observe()
            #expect(after.postmaster == before && after.facts?.inRecovery == true && after.facts?.slots == [])
        }
    }

    /// The daemon was killed while it wrote: PostgreSQL starts, and the copy is made again.
    @Test("What a copy that was broken off has left is no hindrance")
    func halfWay() async throws {
        try await withServers { root in
            let (first, second) = try await Self.pair(in: root)
            let directory = second.configuration.dataDirectory + "/pg_replslot"
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            let draft = directory + "/l.tmp"
            try Files.makeDirectory(draft)
            try Files.replace(draft + "/state", with: [1, 2, 3], mode: 0o600)
            let owner = ConfigurationWriter(configuration: second.configuration)
            for path in [draft, draft + "/state"] { owner.giveToOwner(of: path) }
            _ = try await second.startStandby(of: first.upstream)
            #expect(await second.observe().facts?.slots == [])
            try await Self.copy(second, from: first)
            #expect(Self.found(await second.observe()) != nil)
        }
    }

    @Test("A dropped database takes the copies of its slots with it")
    func droppedDatabase() async throws {
        try await withServers { root in
            let (first, second) = try await Self.pair(in: root)
            try await first.sql("CREATE DATABASE gone")
            await first.controller.apply(
                [.createLogical("g", database: "gone", plugin: "test_decoding")], deadline: Self.soon())
            let slots = [
                Self.slot, PermanentSlot(name: "g", kind: .logical(database: "gone", plugin: "test_decoding")),
            ]
            _ = try await second.controller.perform(
                .copyLogicalSlots(slots, from: first.upstream, stopTimeout: .seconds(20)))
            _ = try await second.startStandby(of: first.upstream)
            #expect(await second.observe().facts?.slots.map(\.name).sorted() == ["g", "l"])
            try await first.sql("DROP DATABASE gone")
            let left = await second.wait { $0.facts?.slots.map(\.name) == ["l"] }
            #expect(left.facts?.slots.map(\.name) == ["l"])
        }
    }
}
