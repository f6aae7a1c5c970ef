import ClusterModel
import Glibc
import JSON
import Posix
import Testing

/// All members restart PostgreSQL, one after another, on clusters that run.
extension ClusterIntegrationTests {
    /// When the server of each node was started.
    private func starts(_ cluster: TestCluster) async throws -> [Int: String] {
        var found: [Int: String] = [:]
        for node in cluster.nodes {
            let start: String = try #require(await cluster.value(node, "SELECT pg_postmaster_start_time()"))
            found[node] = start
        }
        return found
    }

    private func expectRestarted(_ cluster: TestCluster, since before: [Int: String]) async throws {
        for (node, start) in try await starts(cluster) {
            #expect(start != before[node], "\(cluster.name(node)) was not restarted")
        }
    }

    @Test("A rolling restart loses nothing, and refuses what cannot be", .timeLimit(.minutes(5)))
    func rollingRestart() async throws {
        try await TestCluster.with { cluster in
            let first = try await cluster.bootstrap()
            let tool = cluster.tool()
            try await cluster.sql(first, RowWriter.table)
            let before = try await starts(cluster)

            #expect(try await cluster.answer("GET", first, "/rolling-restart").status == 404)
            let nothing = try await tool.run("rolling-restart", "--pending", "--force")
            #expect(nothing.code == 1 && nothing.errors.contains("no member waits for a restart"), "\(nothing)")
            let aborted = try await tool.run(["rolling-restart"], input: "n\n")
            #expect(aborted.code == 1 && aborted.errors == "Error: Aborted rolling restart\n")
            #expect(try await tool.run("rolling-restart", "--call-off").code == 1)
            let plan = try await tool.run("plan", "rolling-restart")
            #expect(plan.code == 0 && plan.output.contains("\(cluster.name(first)) hands over"), "\(plan)")
            #expect(try await tool.run("upgrade", "minor").output.hasSuffix("Every member runs what is installed\n"))
            _ = try await tool.run("pause", "--wait")
            let paused = try await tool.run("rolling-restart", "--force")
            #expect(paused.code == 1 && paused.errors.contains("while the cluster is paused"), "\(paused)")
            #expect(try await tool.run("plan", "rolling-restart").code == 1)
            _ = try await tool.run("resume", "--wait")

            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let done = try await tool.run("rolling-restart", "--force", seconds: 200)
            #expect(done.code == 0 && done.output.hasSuffix("Success: every member was restarted\n"), "\(done)")
            #expect(done.output.contains("[2/3] \(cluster.name(first)): hands over to "), "\(done)")
            let second = try await cluster.healthy(within: 60)
            #expect(second != first)
            let count = writer.rows.count
            try await waitUntil("writes go on", within: 30) { writer.rows.count > count + 20 }
            try await writer.stop()
            try await expectRows(writer.rows.map(\.id), in: cluster, on: second)
            try await expectRestarted(cluster, since: before)
            // Each was told of once, in their order, and nobody was restarted twice.
            let document = try await cluster.answer("GET", first, "/rolling-restart").json
            #expect(document["state"] == "done" && document["members"]?.array?.count == 3, "\(document)")
        }
    }

    @Test("A rolling restart outlives the leader that drives it", .timeLimit(.minutes(5)))
    func rollingRestartOutlivesItsDriver() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let first = try await cluster.bootstrap()
            let tool = cluster.tool()
            let before = try await starts(cluster)
            let begun = try await tool.run("rolling-restart", "--force", "--detach")
            #expect(begun.code == 0 && begun.output.hasSuffix("Success: rolling restart begun\n"), "\(begun)")
            let again = try await cluster.answer("POST", first, "/rolling-restart")
            #expect(again.status == 412 && again.body == "a rolling restart is under way already", "\(again)")
            try await waitUntil("somebody has a turn", within: 30) {
                await cluster.get(first, "/rolling-restart")?.json["turn"] != nil
            }
            try await cluster.loseHost(first)
            _ = try await cluster.newLeader(after: first, within: 60)
            try await cluster.start(first)
            let replica = try #require(cluster.nodes.first { $0 != first })
            try await waitUntil("it is done", within: 120) {
                let state = await cluster.get(replica, "/rolling-restart")?.json["state"]
                if state == "failed" { throw Unmet(description: "it was stopped") }
                return state == "done"
            }
            try await cluster.healthy(within: 60)
            try await expectRestarted(cluster, since: before)
        }
    }

    @Test("A rolling restart stops where a member does not come back, and goes on", .timeLimit(.minutes(5)))
    func rollingRestartStops() async throws {
        var dynamic = NodeConfiguration.quickest
        dynamic["primary_start_timeout"] = 10
        try await TestCluster.with(dynamic: dynamic) { cluster in
            let first = try await cluster.bootstrap()
            let tool = cluster.tool()
            let victim = try #require(cluster.nodes.first { $0 != first })
            // The server of one cannot start again: its configuration is spoilt where no daemon writes.
            let data = cluster.dataDirectory(victim)
            try await cluster.sql(victim, "COPY (SELECT 'no_such_setting = 1') TO '\(data)/postgresql.auto.conf'")
            let stopped = try await tool.run(
                "rolling-restart", "--force", "demo", cluster.name(victim), seconds: 200)
            #expect(stopped.code == 1, "\(stopped)")
            #expect(
                stopped.errors.contains(
                    "the rolling restart was stopped: the restart of \(cluster.name(victim)) failed"),
                "\(stopped)")
            #expect(await cluster.leader() == first)
            try Files.replace("\(data)/postgresql.auto.conf", with: "".utf8, mode: 0o600)
            if let user = User.unprivileged { chown("\(data)/postgresql.auto.conf", user.uid, user.gid) }
            try await cluster.healthy(within: 120)
            let resumed = try await tool.run("rolling-restart", "--resume", seconds: 200)
            #expect(resumed.code == 0, "\(resumed)")
            #expect(await cluster.leader() == first)
        }
    }

    @Test(
        "A rolling restart that is called off: nobody else is restarted, and another may begin", .timeLimit(.minutes(5))
    )
    func rollingRestartCalledOff() async throws {
        try await TestCluster.with(dynamic: NodeConfiguration.quickest) { cluster in
            let first = try await cluster.bootstrap()
            let tool = cluster.tool()
            let before = try await starts(cluster)
            #expect(try await tool.run("rolling-restart", "--force", "--detach").code == 0)
            try await waitUntil("somebody has a turn", within: 30) {
                await cluster.get(first, "/rolling-restart")?.json["turn"] != nil
            }
            let answer = try await tool.run("rolling-restart", "--call-off")
            #expect(answer.code == 0, "\(answer)")
            // Whose turn it was may restart yet, and comes up again. In as much time the next would have its turn.
            let (since, pause) = (bootSeconds(), 5.0)
            try await waitUntil("five cycles have passed", within: 20) { bootSeconds() > since + pause }
            try await cluster.healthy(within: 60)
            let called = try await starts(cluster)
            let whole = bootSeconds()
            try await waitUntil("five more have passed", within: 20) { bootSeconds() > whole + pause }
            let state = await cluster.get(first, "/rolling-restart")?.json["state"]
            #expect(state == "called off")
            #expect(try await starts(cluster) == called)
            #expect(await cluster.leader() == first && called[first] == before[first], "the leader would be the last")

            let again = try await tool.run("rolling-restart", "--force", seconds: 200)
            #expect(again.code == 0, "\(again)")
            try await cluster.healthy(within: 60)
            try await expectRestarted(cluster, since: before)
        }
    }

    @Test("A rolling restart keeps what synchronous commits were promised", .timeLimit(.minutes(5)))
    func rollingRestartInSynchronousMode() async throws {
        var dynamic = NodeConfiguration.quick
        dynamic["synchronous_mode"] = true
        dynamic["synchronous_mode_strict"] = true
        try await TestCluster.with(dynamic: dynamic) { cluster in
            let first = try await cluster.bootstrap()
            try await waitUntil("a standby is synchronous", within: 30) {
                await cluster.members(first).contains { $0["role"] == "sync_standby" }
            }
            try await cluster.sql(first, RowWriter.table)
            let before = try await starts(cluster)
            let writer = try RowWriter(cluster.writableConninfo, isSynchronous: true)
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let done = try await cluster.tool().run("rolling-restart", "--force", seconds: 200)
            #expect(done.code == 0, "\(done)")
            let second = try await cluster.healthy(within: 60)
            let count = writer.rows.count
            try await waitUntil("writes go on", within: 30) { writer.rows.count > count + 20 }
            try await writer.stop()
            try await expectRows(writer.rows.map(\.id), in: cluster, on: second)
            try await expectRestarted(cluster, since: before)
        }
    }
}
