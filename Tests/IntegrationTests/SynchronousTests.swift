import ClusterModel
import Glibc
import JSON
import Testing

extension ClusterIntegrationTests {
    private static func dynamic(_ mode: JSONValue, more: JSONObject = [:]) -> JSONObject {
        var dynamic = NodeConfiguration.quickest
        dynamic["synchronous_mode"] = mode
        for member in more.members { dynamic[member.key] = member.value }
        return dynamic
    }

    /// What `/cluster` calls the members that are no leader.
    private func roles(_ cluster: TestCluster, _ node: Int) async -> [String] {
        await cluster.members(node).compactMap { $0["role"]?.string }.filter { $0 != "leader" }.sorted()
    }

    /// Waits until `/cluster` has these roles, and PostgreSQL the names that go with them.
    private func wait(
        _ cluster: TestCluster, _ leader: Int, _ wanted: [String], names: (String) -> Bool, within seconds: Double = 20,
        at line: SourceLocation = #_sourceLocation
    ) async throws {
        try await waitUntil("roles \(wanted)", within: seconds, at: line) {
            guard await roles(cluster, leader) == wanted else { return false }
            return names(await cluster.value(leader, "SHOW synchronous_standby_names") ?? "?")
        }
    }

    private func set(_ cluster: TestCluster, _ node: Int, _ settings: String) async throws {
        #expect(try await cluster.answer("PATCH", node, "/config", body: settings).status == 200)
    }

    /// On the node that leads now everything that was acknowledged is there.
    private func expectAll(_ writer: RowWriter, _ cluster: TestCluster, _ leader: Int) async throws {
        try await writer.stop()
        #expect(writer.rows.count > 20)
        try await expectRows(writer.rows.map(\.id), in: cluster, on: leader)
    }

    @Test("Synchronous mode is turned on, changed and off again under a writing client", .timeLimit(.minutes(6)))
    func synchronousModesChange() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let leader = try await cluster.bootstrap()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo, isSynchronous: true)
            try await wait(cluster, leader, ["replica", "replica"], names: { $0.isEmpty })

            try await set(cluster, leader, #"{"synchronous_mode": true}"#)
            try await wait(cluster, leader, ["replica", "sync_standby"], names: { cluster.number($0) != nil })
            let sync = try #require(await health(cluster, leader, "/sync"))
            #expect(await cluster.get(sync, "/synchronous")?.status == 200)
            #expect(await cluster.get(sync, "/asynchronous")?.status == 503)
            let other = try #require(cluster.nodes.first { $0 != leader && $0 != sync })
            #expect(await cluster.get(other, "/async")?.status == 200)
            #expect(await cluster.get(other, "/sync")?.status == 503)

            try await set(cluster, leader, #"{"synchronous_node_count": 2}"#)
            try await wait(cluster, leader, ["sync_standby", "sync_standby"], names: { $0.hasPrefix("2 (n") })
            try await set(cluster, leader, #"{"synchronous_mode": "quorum", "synchronous_node_count": null}"#)
            try await wait(cluster, leader, ["quorum_standby", "quorum_standby"], names: { $0.hasPrefix("ANY 1 (n") })
            #expect(await cluster.get(sync, "/quorum")?.status == 200)
            #expect(await cluster.get(sync, "/sync")?.status == 503)
            try await set(cluster, leader, #"{"synchronous_mode": true}"#)
            try await wait(cluster, leader, ["replica", "sync_standby"], names: { cluster.number($0) != nil })
            try await set(cluster, leader, #"{"synchronous_mode": null}"#)
            try await wait(cluster, leader, ["replica", "replica"], names: { $0.isEmpty })
            #expect(writer.failures == 0)
            try await expectAll(writer, cluster, leader)
        }
    }

    private func health(_ cluster: TestCluster, _ leader: Int, _ path: String) async -> Int? {
        for node in cluster.nodes where node != leader {
            if await cluster.get(node, path)?.status == 200 { return node }
        }
        return nil
    }

    @Test(
        "Each standby is lost and regained, gives its duty back, fails over and switches over",
        .timeLimit(.minutes(10)), arguments: [3, 4], ["on", "quorum"])
    func synchronousLife(_ size: Int, _ mode: String) async throws {
        let isQuorum = mode == "quorum"
        // In a cluster of four, two have each commit.
        let whole =
            isQuorum
            ? [String](repeating: "quorum_standby", count: size - 1)
            : ["replica"] + [String](repeating: "sync_standby", count: size - 2)
        let dynamic = Self.dynamic(
            isQuorum ? "quorum" : true, more: ["synchronous_node_count": .int(Int64(size - 2))])
        let nodes = [Programs.Daemon](repeating: .subject, count: size)
        try await TestCluster.with(nodes, dynamic: dynamic) { cluster in
            let first = try await cluster.bootstrap()
            try await wait(cluster, first, whole, names: { !$0.isEmpty })
            try await cluster.sql(first, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo, isSynchronous: true)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let path = isQuorum ? "/quorum" : "/sync"

            // Stopped in order, it is let go first: no commit waits for it.
            let sync = try #require(await health(cluster, first, path))
            try cluster.daemon(sync).signal(SIGTERM)
            try await waitUntil("the standby has ended", within: 20) { cluster.postmaster(sync) == nil }
            let stopped = bootSeconds()
            try await waitUntil("writes go on", within: 20) { writer.rows.contains { $0.seconds > stopped } }
            try await cluster.start(sync)
            try await cluster.healthy(within: 60)
            try await wait(cluster, first, whole, names: { !$0.isEmpty })

            // Lost without a word, each costs a moment.
            for lost in cluster.nodes where lost != first {
                try await cluster.loseHost(lost)
                let gone = bootSeconds() + 0.5
                try await waitUntil("writes go on without it", within: 15) {
                    writer.rows.contains { $0.seconds > gone }
                }
                try await cluster.start(lost)
                try await cluster.healthy(within: 60)
                try await wait(cluster, first, whole, names: { !$0.isEmpty })
            }

            try await cluster.loseHost(first)
            let second = try await cluster.newLeader(after: first, within: 60)
            try await cluster.start(first)
            #expect(try await cluster.healthy(within: 60) == second)
            try await wait(cluster, second, whole, names: { !$0.isEmpty })
            try await switchOver(cluster, writer, from: second, whole: whole, path: path)
        }
    }

    private func switchOver(
        _ cluster: TestCluster, _ writer: RowWriter, from leader: Int, whole: [String], path: String
    ) async throws {
        let target = try #require(await health(cluster, leader, path))
        if path == "/sync" {
            let other = try #require(await health(cluster, leader, "/async"))
            let refused = try await cluster.answer(
                "POST", leader, "/switchover",
                body: #"{"leader": "\#(cluster.name(leader))", "candidate": "\#(cluster.name(other))"}"#, seconds: 30)
            #expect(refused.status == 412 && refused.body == "candidate name does not match with sync_standby")
        }
        let answer = try await cluster.answer(
            "POST", leader, "/switchover",
            body: #"{"leader": "\#(cluster.name(leader))", "candidate": "\#(cluster.name(target))"}"#, seconds: 60)
        #expect(answer.status == 200, "\(answer.body)")
        #expect(try await cluster.healthy(within: 60) == target)
        try await wait(cluster, target, whole, names: { !$0.isEmpty })
        let moved = bootSeconds()
        try await waitUntil("writes resume", within: 20) { writer.rows.contains { $0.seconds > moved } }
        try await expectAll(writer, cluster, target)
    }

    @Test("In strict mode commits wait for the standby to come back", .timeLimit(.minutes(5)))
    func strictMode() async throws {
        let dynamic = Self.dynamic(true, more: ["synchronous_mode_strict": true])
        try await TestCluster.with([.subject, .subject], dynamic: dynamic) { cluster in
            let leader = try await cluster.bootstrap()
            let standby = try #require(cluster.nodes.first { $0 != leader })
            try await wait(cluster, leader, ["sync_standby"], names: { $0 == cluster.name(standby) })
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo, isSynchronous: true)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            try await cluster.loseHost(standby)
            let lost = bootSeconds() + 1
            // As long as the lease of a lost member, after which nobody may take it for one.
            try await waitUntil("the member is gone", within: 30) { await cluster.members(leader).count == 1 }
            #expect(!writer.rows.contains { $0.seconds > lost })
            #expect(await cluster.value(leader, "SHOW synchronous_standby_names") == cluster.name(standby))
            try await cluster.start(standby)
            let back = bootSeconds()
            try await waitUntil("writes resume", within: 60) { writer.rows.contains { $0.seconds > back } }
            try await wait(cluster, leader, ["sync_standby"], names: { $0 == cluster.name(standby) })
            try await expectAll(writer, cluster, leader)
        }
    }

    @Test("The leader's daemon is killed and started again: the names and /sync stay", .timeLimit(.minutes(4)))
    func synchronousDaemonRestart() async throws {
        // A machine that is slow to start a daemon is not to lose the lease.
        let dynamic = Self.dynamic("quorum", more: ["ttl": 30])
        try await TestCluster.with(dynamic: dynamic) { cluster in
            let leader = try await cluster.bootstrap()
            let whole = ["quorum_standby", "quorum_standby"]
            try await wait(cluster, leader, whole, names: { $0.hasPrefix("ANY 1 (n") })
            let names = await cluster.value(leader, "SHOW synchronous_standby_names")
            for _ in 1...3 {
                let daemon = try cluster.daemon(leader)
                daemon.signal(SIGKILL)
                try await waitUntil("the daemon has ended", within: 20) { !daemon.isAlive }
                try await cluster.start(leader)
                try await waitUntil("it answers", within: 20) { await cluster.get(leader, "/primary")?.status == 200 }
                #expect(await cluster.value(leader, "SHOW synchronous_standby_names") == names)
            }
            try await wait(cluster, leader, whole, names: { $0 == names })
        }
    }

    /// A turn of the loop takes ten seconds here: who is taken sooner has woken the leader.
    @Test("A standby that streams is synchronous long before the next turn of the loop", .timeLimit(.minutes(5)))
    func synchronousSoon() async throws {
        var dynamic = Self.dynamic(true)
        for (key, seconds) in [("ttl", 30), ("loop_wait", 10), ("retry_timeout", 10)] {
            dynamic[key] = .int(Int64(seconds))
        }
        try await TestCluster.with([.subject, .subject], dynamic: dynamic) { cluster in
            let leader = try await cluster.bootstrap()
            let standby = try #require(cluster.nodes.first { $0 != leader })
            try await wait(cluster, leader, ["sync_standby"], names: { $0 == cluster.name(standby) })
            var took: [Double] = []
            for _ in 1...3 {
                try await cluster.loseHost(standby)
                try await waitUntil("/sync lets go of it", within: 60) {
                    await roles(cluster, leader) != ["sync_standby"]
                }
                try await cluster.start(standby)
                let state = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
                try await waitUntil("it streams", within: 60) { await cluster.value(leader, state) == "1" }
                let streams = bootSeconds()
                try await wait(cluster, leader, ["sync_standby"], names: { $0 == cluster.name(standby) })
                took.append(bootSeconds() - streams)
            }
            print("synchronous after it streams, in seconds: \(took)")
            #expect(took.sorted()[1] < 1, "\(took)")
        }
    }
}
