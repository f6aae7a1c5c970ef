import ClusterModel
import Glibc
import Ports
import Posix
import TestSupport
import Testing

@testable import PostgreSQL

/// How a server comes back behind a leader, or does not, on real servers.
@Suite(
    "Servers that rejoin", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2))
)
struct RejoinServerTests {
    @Test("Recovery that somebody has changed or paused by hand is seen, and set back")
    func alteredRecovery() async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            let before = await second.wait { $0.facts?.receiver?.isStreaming == true }
            #expect(before.facts?.alteredRecovery == [])

            try await second.sql("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
            try await second.sql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
            try await second.sql("SELECT pg_reload_conf()")
            let altered = await second.wait { $0.facts?.alteredRecovery.count == 2 }
            #expect(altered.facts?.alteredRecovery == ["primary_conninfo", "recovery_min_apply_delay"])
            #expect(try await second.controller.perform(.follow(first.upstream)) == .done)
            let mended = await second.wait {
                $0.facts?.receiver?.isStreaming == true && $0.facts?.alteredRecovery == []
            }
            #expect(mended.facts?.alteredRecovery == [])
            #expect(mended.facts?.receiver?.isStreaming == true)

            try await second.sql("SELECT pg_wal_replay_pause()")
            #expect(await second.wait { $0.facts?.replayPaused == true }.facts?.replayPaused == true)
            #expect(try await second.controller.perform(.resumeReplay) == .done)
            #expect(await second.wait { $0.facts?.replayPaused == false }.facts?.replayPaused == false)
            // Where nothing is paused there is nothing to do.
            #expect(try await second.controller.perform(.resumeReplay) == .done)
            #expect(try await first.controller.perform(.resumeReplay) == .done)
        }
    }

    @Test("Only pg_rewind itself, its source being well, gives up on a directory")
    func rewindVerdicts() async throws {
        try await withServers { root in
            let script = "\(root)/rewind.sh"
            let second = try TestServer("n2", in: root)
            let first = try TestServer("n1", in: root) { configuration in
                configuration.binaryNames["pg_rewind"] = String(repeating: "../", count: 12) + script.dropFirst()
            }
            _ = try await first.bootstrap()
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            _ = try await first.controller.perform(.stop(.fastAfterCheckpoint, timeout: .seconds(20)))
            let standby = second.upstream
            #expect(await refusal(of: first, from: standby, "true", script) == nil, "the source is a standby")
            _ = try await second.controller.perform(.promote)

            let ancestor = "echo 'pg_rewind: fatal: could not find common ancestor of the timelines'; exit 1"
            #expect(await refusal(of: first, from: standby, ancestor, script) != nil)
            let full = "echo 'pg_rewind: error: could not write file \"base/1/1\": No space left on device'; exit 1"
            #expect(await refusal(of: first, from: standby, full, script) == nil)
            let cut = "echo 'pg_rewind: error: could not fetch file: server closed the connection unexpectedly'; exit 1"
            #expect(await refusal(of: first, from: standby, cut, script) == nil)
            #expect(await refusal(of: first, from: standby, "kill -9 $$", script) == nil)
            #expect(await refusal(of: first, from: standby, nil, script) == nil, "it cannot be run")
            let dead = "\(TestServer.binDirectory ?? "")/pg_ctl -D \(root)/n2 -m immediate stop; exit 1"
            #expect(await refusal(of: first, from: standby, dead, script) == nil, "the source has died")
            #expect(await refusal(of: first, from: standby, ancestor, script) == nil, "the source is dead")
            #expect(await first.observe().unfinished == nil, "none of them has begun to write")
        }
    }

    /// What pg_rewind, which is `body`, is taken to say of the directory; nil where it says nothing.
    private func refusal(of server: TestServer, from source: Upstream, _ body: String?, _ script: String) async
        -> PostgreSQLError?
    {
        unlink(script)
        if let body { try? makeProgram(script, "#!/bin/sh\n\(body)\n".utf8) }
        do throws(PostgreSQLError) {
            _ = try await server.controller.perform(.rewind(from: source))
            Issue.record("the rewind succeeded")
            return nil
        } catch {
            guard case .rewindRefused = error else { return nil }
            return error
        }
    }

    @Test("A rewind that fails before it has begun leaves the mark of one that was broken off")
    func earlierMark() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            try DataDirectory(path: server.configuration.dataDirectory).markRewind()
            let nobody = Upstream(name: "x", address: HostPort(host: "127.0.0.1", port: 1))
            await #expect(throws: PostgreSQLError.self) { try await server.controller.perform(.rewind(from: nobody)) }
            #expect(await server.observe().unfinished == .rewind)
        }
    }

    @Test(
        "The source is asked where a rewind that was broken off has left no control file, or half of one",
        arguments: [true, false])
    func noControlFile(isCut: Bool) async throws {
        try await withServers { root in
            let (first, second) = (try TestServer("n1", in: root), try TestServer("n2", in: root))
            _ = try await first.bootstrap()
            try await second.join(first)
            _ = await second.wait { $0.facts?.receiver?.isStreaming == true }
            _ = try await second.controller.perform(.stop(.fast, timeout: .seconds(20)))
            let directory = DataDirectory(path: second.configuration.dataDirectory)
            #expect((isCut ? truncate(directory.controlFile, 100) : unlink(directory.controlFile)) == 0)
            func compare(_ source: Upstream) async throws(PostgreSQLError) -> DivergenceFacts {
                try await second.controller.compareTimelines(
                    with: source, deadline: BootClock.now() + .seconds(5))
            }
            await #expect(throws: PostgreSQLError.self, "no rewind was broken off: it may be well") {
                _ = try await compare(first.upstream)
            }
            try directory.markRewind()
            let facts = try await compare(first.upstream)
            #expect(facts.localTimeline == 0 && facts.sourceTimeline == 1 && !facts.sourceInRecovery)
            let nobody = Upstream(name: "x", address: HostPort(host: "127.0.0.1", port: 1))
            await #expect(throws: PostgreSQLError.self) { _ = try await compare(nobody) }
            let status = await second.observe()
            #expect(status.unfinished == .rewind && status.dataDirectory == .initialized)
            // As the rules go on where the operator lets them.
            _ = try await second.controller.perform(.clone(from: first.upstream, replacing: .first))
            #expect(try await second.startStandby(of: first.upstream) == .done)
            #expect(await second.observe().unfinished == nil)
        }
    }

    @Test("Nothing is removed before the source of a copy has answered")
    func copyFromNobody() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            let nobody = Upstream(name: "x", address: HostPort(host: "127.0.0.1", port: 1))
            await #expect(throws: PostgreSQLError.self) {
                try await server.controller.perform(.clone(from: nobody, replacing: .first))
            }
            let status = await server.observe()
            #expect(status.dataDirectory == .initialized)
            #expect(status.unfinished == nil)
            #expect(try await server.controller.perform(.startPrimary(timeout: .seconds(30))) == .done)
        }
    }
}
