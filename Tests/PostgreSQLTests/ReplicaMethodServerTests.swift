import ClusterModel
import Glibc
import Ports
import Posix
import Processes
import Testing

@testable import PostgreSQL

/// Copies by commands of the operator's: like pgBackRest (`keep_data`, `no_params`: it knows the directory and goes on
/// with what stands there) and like WAL-G (told the directory, which must be empty).
@Suite("Replica methods", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(4)))
struct ReplicaMethodServerTests {
    typealias Method = LocalPostgreSQLConfiguration.ReplicaMethod

    private func script(_ root: String, _ name: String, _ text: String) throws -> [String] {
        let file = "\(root)/\(name).sh"
        try Files.replace(file, with: ("set -e\n" + text).utf8, mode: 0o644)
        return ["/bin/sh", file]
    }

    private func method(_ name: String, _ command: [String], _ change: (inout Method) -> Void = { _ in }) -> Method {
        var method = Method(name: name, command: command)
        change(&method)
        return method
    }

    /// A base backup of `server`, for the scripts to restore.
    private func backUp(_ server: TestServer, to place: String) async throws {
        try await server.backUp(to: place, ["--tablespace-mapping=\(server.root)/space=\(place).space"])
    }

    /// Restores `backup` into the directory that it is told, which must be empty, as `wal-g backup-fetch` does.
    private func walG(_ root: String, _ backup: String) throws -> [String] {
        try script(
            root, "wal-g",
            """
            echo "$@" > \(root)/wal-g.told
            for word in "$@"; do case $word in --datadir=*) data=${word#--datadir=} ;; esac; done
            test -z "$(ls -A $data)"
            cp -a \(backup)/. $data
            test -n "$PGPASSFILE"
            """)
    }

    @Test("Methods are tried in order: one that fails leaves nothing, the next one makes the copy, and it streams")
    func order() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            try await first.sql("CREATE TABLE t AS SELECT 1 AS a")
            try await backUp(first, to: "\(root)/backup")
            let half = try script(
                root, "half",
                """
                for word in "$@"; do case $word in --datadir=*) data=${word#--datadir=} ;; esac; done
                mkdir -p $data/global; cp \(root)/backup/PG_VERSION $data
                cp \(root)/backup/global/pg_control $data/global
                exit 1
                """)
            let walG = try walG(root, "\(root)/backup")
            let second = try TestServer("n2", in: root) { configuration in
                configuration.replicaMethods = [
                    method("half", half), method("wal-g", walG) { $0.arguments = ["--threads=4", "--label=a b"] },
                    .baseBackup,
                ]
            }
            await first.controller.apply([.create("n2")], deadline: BootClock.now() + .seconds(5))
            _ = try await second.controller.perform(.clone(from: first.upstream, replacing: .nothing))
            let told = try Files.readText("\(root)/wal-g.told")
            #expect(told.hasPrefix("--threads=4 --label=a b --scope=test --role=replica --datadir="))
            #expect(
                told.utf8.firstRange(
                    of: "--connstring=dbname=postgres user=replicator host=127.0.0.1 port=\(first.configuration.port)"
                        .utf8)
                    != nil)
            #expect(told.utf8.firstRange(of: "pass".utf8) == nil)
            _ = try await second.startStandby(of: first.upstream)
            try await first.sql("INSERT INTO t VALUES (2)")
            let status = await second.wait { $0.facts?.receiver?.isStreaming == true }
            // Another server's proof is none of it.
            #expect(status.isUnproven)
            await second.controller.proveCopy(of: (status.postmaster ?? 0) + 1)
            #expect(await second.observe().isUnproven)
            await second.controller.proveCopy(of: status.postmaster ?? 0)
            #expect(await !second.observe().isUnproven)
            #expect(status.facts?.receiver?.isStreaming == true)
            #expect(status.unfinished == nil)
            #expect(try Files.list(second.configuration.dataDirectory).allSatisfy { !$0.hasPrefix(".matriarch-unf") })
        }
    }

    @Test("An operator who asks for the leader's copy gets a base backup alone")
    func onlyBaseBackup() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            let failing = try script(root, "no", "touch \(root)/asked; exit 1")
            let second = try TestServer("n2", in: root) { $0.replicaMethods = [method("no", failing)] }
            await #expect(throws: PostgreSQLError.self) {
                try await second.controller.perform(.clone(from: first.upstream, replacing: .nothing))
            }
            #expect(Files.exists("\(root)/asked"))
            #expect(await second.observe().unfinished == .copy)
            unlink("\(root)/asked")
            _ = try await second.controller.perform(
                .clone(from: first.upstream, replacing: .nothing, onlyByBaseBackup: true))
            #expect(!Files.exists("\(root)/asked"))
            #expect(await second.observe().dataDirectory == .initialized)
            #expect(await !second.observe().isUnproven)
        }
    }

    private func give(_ path: String) {
        guard geteuid() == 0, let user = getpwnam("postgres") else { return }
        chown(path, user.pointee.pw_uid, user.pointee.pw_gid)
    }

    /// A server whose data directory holds what `pgbackrest --delta restore` is to go on with; it hangs at first.
    private func pgBackRest(_ root: String, _ data: String) throws -> TestServer {
        let command = try script(
            root, "pgbackrest",
            """
            test -z "$*"
            test -e \(data)/kept
            ls -A \(data) > \(root)/seen
            find \(data) -mindepth 1 -maxdepth 1 -name '.*' -exec rm -rf {} +
            cp -a \(root)/backup/. \(data)
            if test -e \(root)/hang; then touch \(root)/hangs; sleep 1000; fi
            """)
        try Files.makeDirectory(data)
        for name in ["kept", ".mine"] { try Files.replace("\(data)/\(name)", with: [], mode: 0o600) }
        for path in [data, "\(data)/.mine"] { give(path) }
        try Files.replace("\(root)/hang", with: [], mode: 0o644)
        return try TestServer("n2", in: root) { configuration in
            configuration.replicaMethods = [
                method("pgbackrest", command) {
                    $0.keepsData = true
                    $0.takesNoParameters = true
                }
            ]
        }
    }

    @Test("What goes on with the data that stands there gets it, tablespaces too; broken off, it is half of something")
    func keepData() async throws {
        try await withServers { root in
            try Files.makeDirectory("\(root)/space")
            give("\(root)/space")
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            try await first.sql("CREATE TABLESPACE space LOCATION '\(root)/space'")
            try await first.sql("CREATE TABLE t TABLESPACE space AS SELECT 1 AS a")
            try await backUp(first, to: "\(root)/backup")
            let data = "\(root)/n2"
            let second = try pgBackRest(root, data)
            // Without permission nothing is done to what stands there.
            await #expect(throws: PostgreSQLError.self) {
                try await second.controller.perform(.clone(from: first.upstream, replacing: .nothing))
            }
            #expect(!Files.exists("\(root)/seen"))
            let controller = second.controller
            let copy = Task { try await controller.perform(.clone(from: first.upstream, replacing: .first)) }
            let deadline = BootClock.now() + .seconds(30)
            while !Files.exists("\(root)/hangs"), BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(10))
            }
            // A whole cluster by its looks, and its own marks are gone: it is half of something all the same (S11).
            #expect(Files.exists("\(data)/global/pg_control"))
            let early = await second.observe()
            #expect(early.dataDirectory == .empty && early.unfinished == .copy)
            copy.cancel()
            await #expect(throws: PostgreSQLError.cancelled) { try await copy.value }
            await #expect(throws: PostgreSQLError.self) { try await second.startStandby(of: first.upstream) }

            unlink("\(root)/hang")
            await first.controller.apply([.create("n2")], deadline: BootClock.now() + .seconds(5))
            _ = try await second.controller.perform(.clone(from: first.upstream, replacing: .first))
            _ = try await second.startStandby(of: first.upstream)
            let status = await second.wait { $0.facts?.receiver?.isStreaming == true }
            #expect(status.unfinished == nil && status.facts?.receiver?.isStreaming == true)
            #expect(try await second.sql("SELECT a FROM t") == [["1"]])
        }
    }

    @Test("A backup needs nobody to copy from; one of another cluster, and one that is none, are refused")
    func noLeader() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            try await backUp(first, to: "\(root)/backup")
            let walG = try walG(root, "\(root)/backup")
            let alone = method("wal-g", walG) { $0.needsNoLeader = true }
            let second = try TestServer("n2", in: root) { configuration in
                configuration.replicaMethods = [.baseBackup, method("other", ["/bin/false"]), alone]
            }
            #expect(await second.observe().canRestoreAlone)
            _ = try await second.controller.perform(.restore)
            #expect(try Files.readText("\(root)/wal-g.told").hasSuffix("--connstring=\n"))
            #expect(await second.observe().dataDirectory == .initialized)

            let other = try TestServer("n3", in: root) { $0.replicaMethods = [alone] }
            let stranger = try TestServer("n5", in: root)
            _ = try await stranger.bootstrap()
            await #expect {
                try await other.controller.perform(.clone(from: stranger.upstream, replacing: .nothing))
            } throws: { "\($0)".utf8.firstRange(of: "has brought the cluster".utf8) != nil }
            #expect(await other.observe().dataDirectory == .empty)
            let nothing = try TestServer("n6", in: root) { $0.replicaMethods = [method("true", ["/bin/true"])] }
            await #expect {
                try await nothing.controller.perform(.clone(from: first.upstream, replacing: .nothing))
            } throws: { "\($0)".utf8.firstRange(of: "has left no cluster".utf8) != nil }
        }
    }

    @Test("The command of a method ends with its daemon, and holds the directory's lock until then")
    func helper() async throws {
        try await withServers { root in
            let first = try TestServer("n1", in: root)
            _ = try await first.bootstrap()
            // It fills the directory that it knows by itself, whatever it is told.
            let hanging = try script(
                root, "hang",
                """
                mkdir -p \(root)/n2/global
                cp \(root)/n1/global/pg_control \(root)/n2/global
                echo $$ > \(root)/pid
                exec sleep 1000
                """)
            let second = try TestServer("n2", in: root) { $0.replicaMethods = [method("hang", hanging)] }
            let controller = second.controller
            let copy = Task { try await controller.perform(.clone(from: first.upstream, replacing: .nothing)) }
            let deadline = BootClock.now() + .seconds(30)
            var pid: Int32?
            while pid == nil, BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(10))
                pid = (try? Files.readText("\(root)/pid")).flatMap { Int32($0.trimmed) }
            }
            let process = try #require(pid)
            let info = try (try Files.list("/proc/\(process)/fdinfo")).map {
                try Files.readText("/proc/\(process)/fdinfo/\($0)")
            }
            #expect(info.contains { $0.utf8.firstRange(of: "FLOCK".utf8) != nil })
            // Its parent is the helper, which ends with whoever holds the other end of its pipe.
            let helper = try #require(ProcessTable.stat(process)?.parent)
            #expect(ProcessTable.stat(helper)?.name == "guardian-helper")
            copy.cancel()
            await #expect(throws: PostgreSQLError.cancelled) { try await copy.value }
            #expect(!ProcessTable.isAlive(process))
            #expect(await second.observe().unfinished == .copy)
        }
    }
}
