import ClusterModel
import Glibc
import Posix
import Testing

extension AroundIntegrationTests {
    @Test(
        "In a store that has lost everything no old directory begins a cluster by itself; what was started by hand does",
        .timeLimit(.minutes(4)))
    func emptyStore() async throws {
        try await TestCluster.with([.subject, .subject], dynamic: NodeConfiguration.quickest) { cluster in
            let first = try await cluster.bootstrap()
            let second = try #require(cluster.nodes.first { $0 != first })
            let body = #"{"leader": "\#(cluster.name(first))", "candidate": "\#(cluster.name(second))"}"#
            #expect(try await cluster.answer("POST", first, "/switchover", body: body, seconds: 30).status == 200)
            #expect(try await cluster.healthy(within: 60) == second)
            try await cluster.sql(second, "CREATE TABLE kept AS SELECT 1 AS row")

            // The standby first: the other one ends as the primary that it is.
            for node in [first, second] {
                let daemon = try cluster.daemon(node)
                daemon.signal(SIGTERM)
                try await waitUntil("\(cluster.name(node)) has ended", within: 40) { !daemon.isAlive }
            }
            let etcd = try cluster.process("etcd")
            etcd.signal(SIGKILL)
            try await waitUntil("etcd has ended", within: 10) { !etcd.isAlive }
            try Files.removeTree("\(cluster.directory)/etcd/data")
            try await cluster.startEtcd()

            for node in cluster.nodes { try await cluster.start(node) }
            try await waitUntil("both say what is wanted of an operator", within: 30) {
                let standby = await cluster.get(first, "/patroni")?.json["needs_operator"]?.string
                let primary = await cluster.get(second, "/patroni")?.json["needs_operator"]?.string
                return standby?.contains("pg_ctl promote") == true && primary?.contains("pg_ctl start") == true
            }
            // For longer than a lease, and so than any race.
            let waiting = bootSeconds()
            try await waitUntil("a lease would have ended", within: 15) { bootSeconds() > waiting + 7 }
            #expect(await cluster.leader() == nil && cluster.postmaster(second) == nil)

            let program = "\(try Programs.postgresqlDirectory())/pg_ctl"
            let data = cluster.dataDirectory(second)
            // It outlives the tool that starts it; the cluster's end finds it by its data directory.
            let start = "\(program) -D \(data) -l \(cluster.directory)/\(cluster.name(second))/by-hand.log -w start"
            let words = ["/usr/bin/env", "-u", Leftovers.mark, "/bin/sh", "-c", "\(start) >/dev/null 2>&1"]
            _ = try await Tool.run(try User.unprivileged?.prefixed(words) ?? words)
            #expect(try await cluster.healthy(within: 60) == second)
            #expect(await cluster.value(first, "SELECT row FROM kept") == "1")
            #expect(await cluster.timeline(second) == 2)
        }
    }
}
