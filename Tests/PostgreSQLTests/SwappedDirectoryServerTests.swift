import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// Somebody puts another directory in the place of the one that was looked at, before the server starts.
@Suite(
    "A swapped data directory", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(3))
)
struct SwappedDirectoryServerTests {
    /// How an older copy takes the place of the data directory.
    enum Swap: CaseIterable { case renamed, overwritten, walOnly }

    @Test(
        "A primary that comes up on something else than was looked at is ended, and accepts nothing",
        arguments: Swap.allCases)
    func swapped(_ swap: Swap) async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            try await first.sql("CREATE TABLE t (a int)")
            let data = first.configuration.dataDirectory
            _ = try await first.controller.perform(.stop(.immediate, timeout: .seconds(20)))
            try ContentServerTests.run("/bin/cp", "-a", data, "\(data).older")
            _ = try await first.startPrimary()
            try await first.sql("INSERT INTO t SELECT generate_series(1, 1000)")
            // After a crash only the WAL tells the two apart.
            let mode = swap == .walOnly ? StopMode.immediate : .fast
            _ = try await first.controller.perform(.stop(mode, timeout: .seconds(20)))
            let looked = await first.wait { $0.control != nil && $0.walEnd != nil }
            let stamp = try #require(looked.stamp)
            #expect(stamp.walEnd == looked.walEnd && stamp.checkpoint == looked.control?.checkpoint)

            switch swap {
            case .renamed:
                try ContentServerTests.run("/bin/mv", data, "\(data).newer")
                try ContentServerTests.run("/bin/mv", "\(data).older", data)
            case .overwritten: try ContentServerTests.run("/bin/cp", "-aT", "\(data).older", data)
            case .walOnly: try ContentServerTests.run("/bin/cp", "-aT", "\(data).older/pg_wal", "\(data)/pg_wal")
            }
            await #expect(throws: PostgreSQLError.self) {
                try await first.controller.perform(.startPrimary(timeout: .seconds(30), on: stamp))
            }
            let after = await first.wait { $0.postmaster == nil }
            #expect(after.postmaster == nil)
            // Whoever looks again, and decides for what stands there, gets it, if it can start at all.
            if swap == .walOnly { return }
            let again = await first.wait { $0.control != nil && $0.stamp != nil }
            _ = try await first.controller.perform(.startPrimary(timeout: .seconds(30), on: again.stamp))
        }
    }

    @Test("A directory that is what it was starts, whatever link leads to it")
    func unchanged() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            let data = first.configuration.dataDirectory
            for mode in [StopMode.fast, .immediate] {
                _ = try await first.controller.perform(.stop(mode, timeout: .seconds(20)))
                let looked = await first.wait { $0.control != nil && $0.stamp != nil }
                #expect(looked.stamp != nil)
                if mode == .immediate {
                    try ContentServerTests.run("/bin/mv", data, "\(data).real")
                    try ContentServerTests.run("/bin/ln", "-s", "\(data).real", data)
                }
                _ = try await first.controller.perform(
                    .startPrimary(timeout: .seconds(30), on: looked.stamp))
            }
        }
    }
}
