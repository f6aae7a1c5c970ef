import ClusterModel
import Glibc
import Posix
import TestSupport
import Testing

/// A node that has parted, and whose standby cannot start (S11).
extension ClusterIntegrationTests {
    @Test(
        "A parted standby compares after its first failed start; a rewind that was cut off is done again, nothing else",
        .timeLimit(.minutes(4)))
    func rewindCutOff() async throws {
        try await TestCluster.with([.subject, .subject], dynamic: NodeConfiguration.quickest) { cluster in
            let old = try await cluster.bootstrap()
            try await cluster.sql(old, RowWriter.table)
            let other = try #require(cluster.nodes.first { $0 != old })
            try await waitUntil("the standby has the table", within: 20) {
                await cluster.value(other, "SELECT count(*) FROM written") == "0"
            }
            try await cluster.loseHost(old)
            let new = try await cluster.newLeader(after: old, within: 20)
            try await cluster.writable(port: cluster.postgresqlPort(new), within: 30)
            try await cluster.sql(new, "INSERT INTO written VALUES (1)")
            try await partAsStandby(cluster, old, from: new)
            let flag = "\(cluster.directory)/\(cluster.name(old))/cut"
            try slowRewind(cluster, old, flag: flag)

            try await cluster.start(old)
            try await waitUntil("pg_rewind has written a part", within: 60) { Files.exists(flag) }
            let before = try log(cluster, old)
            let failures = before.count { $0.contains("ended while it started") }
            #expect(failures == 1, "PostgreSQL does not start on it, and is not started again and again")

            let daemon = try cluster.daemon(old)
            let known = before.count
            for process in daemon.daemonTree { process.signal(SIGKILL) }
            try await waitUntil("the daemon has ended", within: 20) { !daemon.isAlive }
            try await cluster.start(old)
            #expect(try await cluster.healthy(within: 60) == new)
            let after = try log(cluster, old).dropFirst(known)
            let rewound = try #require(after.firstIndex { $0.contains("pg_rewind: Done!") })
            #expect(!after[..<rewound].contains { $0.contains("started postmaster") }, "it starts before it is whole")
            try await waitUntil("it has the new leader's rows alone", within: 30) {
                await cluster.value(old, "SELECT string_agg(id::text, ',') FROM written") == "1"
            }
        }
    }

    private func log(_ cluster: TestCluster, _ node: Int) throws -> [Substring] {
        try Files.readText("\(cluster.directory)/\(cluster.name(node)).log").split(separator: "\n")
    }

    /// What was a primary gets WAL that nobody else has, and becomes a standby that knows the leader's timeline:
    /// PostgreSQL finds by itself that it has parted, and ends.
    private func partAsStandby(_ cluster: TestCluster, _ node: Int, from leader: Int) async throws {
        let (data, theirs) = (cluster.dataDirectory(node), cluster.dataDirectory(leader))
        let statements = "INSERT INTO written SELECT generate_series(-1000, -1);\nCHECKPOINT;\n"
        let script = """
            printf '%s' "$1" | "$2/postgres" --single -D "$0" postgres > /dev/null
            cp "$3/pg_wal/00000002.history" "$0/pg_wal/"
            touch "$0/standby.signal"
            """
        let words = ["/bin/sh", "-ec", script, data, statements, try Programs.postgresqlDirectory(), theirs]
        _ = try await Tool.run(try User.unprivileged?.prefixed(words) ?? words)
    }

    /// The node's pg_rewind is one whose first run gets stuck half-way: it has begun to write, and a file is missing
    /// that it would have copied. Later ones are the real one.
    private func slowRewind(_ cluster: TestCluster, _ node: Int, flag: String) throws {
        let (tools, real) = ("\(cluster.directory)/bin", try Programs.postgresqlDirectory())
        try Files.makeDirectory(tools, mode: 0o755)
        for name in try Files.list(real) where name != "pg_rewind" {
            guard symlink("\(real)/\(name)", "\(tools)/\(name)") == 0 else {
                throw SystemError(call: "symlink", subject: name)
            }
        }
        let script = """
            #!/bin/sh
            case " $* " in *" --help "*|*" --version "*) exec \(real)/pg_rewind "$@" ;; esac
            if [ ! -e \(flag) ]; then
                echo "pg_rewind: rewinding from last common checkpoint at 0/0 on timeline 1" >&2
                rm \(cluster.dataDirectory(node))/global/pg_filenode.map
                touch \(flag)
                exec sleep 600
            fi
            exec \(real)/pg_rewind "$@"

            """
        try makeProgram("\(tools)/pg_rewind", script.utf8)
        chmod(tools, 0o755)
        let file = cluster.configurationFile(node)
        let text = try Files.readText(file).replacing("\"\(real)\"", with: "\"\(tools)\"")
        try Files.replace(file, with: text.utf8, mode: 0o644)
    }
}
