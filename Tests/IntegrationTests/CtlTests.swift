import ClusterModel
import JSON
import Posix
import TestSupport
import Testing

/// `matriarchctl` on clusters that run: every command, and what it refuses.
extension AroundIntegrationTests {
    @Test("matriarchctl shows a cluster that runs, and says no", .timeLimit(.minutes(4)))
    func ctlShows() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            let tool = cluster.tool()
            let replica = try #require(cluster.nodes.first { $0 != leader })
            let name = cluster.name(replica)

            let listed = try await tool.run("list", "-f", "json")
            #expect(listed.code == 0 && listed.errors == "")
            #expect(listed.json.array?.compactMap { $0["Member"]?.string } == cluster.nodes.map(cluster.name))
            #expect(listed.json.array?.count { $0["State"] == "streaming" && $0["Role"] == "Replica" } == 2)
            let tree = try await tool.run("topology")
            #expect(tree.output.contains("| + \(name) "))
            let versions = try await tool.run("version", "demo", name)
            #expect(versions.output.contains("\(name): Patroni 4.1.5 PostgreSQL 15."))
            let place = try await tool.run("dsn", "demo", "-m", name)
            #expect(place.output == "host=127.0.0.1 port=\(cluster.postgresqlPort(replica))\n")

            let rows = try await tool.run(
                "query", "-c", "SELECT 1 AS n, NULL AS nothing, true AS yes, 'x' AS text", "--format", "json")
            #expect(rows.output == #"[{"n": 1, "nothing": null, "yes": true, "text": "x"}]"# + "\n")
            let port = try await tool.run("query", "-r", "replica", "-c", "SHOW port")
            #expect(cluster.nodes.contains { $0 != leader && port.output == "port\n\(cluster.postgresqlPort($0))\n" })
            let none = try await tool.run("query", "-c", "CREATE TEMPORARY TABLE t()")
            #expect(none.code == 0 && none.output == "", "a statement without rows says nothing")
            let wrong = try await tool.run("query", "-c", "SELEKT")
            #expect(wrong.code == 0 && wrong.output.hasSuffix("\tERROR, SQLSTATE: 42601\n"))

            try await refusals(tool, leader: cluster.name(leader), replica: name)
            try await configuration(tool, cluster)
        }
    }

    private func refusals(_ tool: OperatorTool, leader: String, replica: String) async throws {
        let rows = [
            (["switchover", "--leader", replica, "--force"], "Member \(replica) is not the leader of cluster demo"),
            (["failover", "--candidate", leader, "--force"], "Member \(leader) is already the leader of cluster demo"),
            (["failover", "--force"], "Failover could be performed only to a specific candidate"),
            (["switchover", "--candidate", "nobody", "--force"], "does not exist in cluster demo or is tagged"),
            (["reinit", "demo", leader, "--force"], "No replica among provided members"),
            (["restart", "demo", "nobody", "--force"], "No 'any' among provided members"),
            (["resume"], "Cluster is not paused"), (["promote-cluster"], "Cluster is already in the required state"),
            (["demote-cluster"], "At least --host, --port or --restore-command should be specified"),
        ]
        for (words, reason) in rows {
            let outcome = try await tool.run(words)
            #expect(outcome.code == 1 && outcome.errors.contains("Error: "), "\(words)")
            #expect(outcome.errors.contains(reason), "\(words): \(outcome.errors)")
        }
        // What a member refuses is told, and is no failure of the tool.
        let leaderItself = try await tool.run(
            "restart", "demo", leader, "--pg-version", "10.1", "--force")
        #expect(leaderItself.code == 0)
        #expect(
            leaderItself.output.contains("Failed: restart for member \(leader), status code=503, (restart conditions"))
    }

    private func configuration(_ tool: OperatorTool, _ cluster: TestCluster) async throws {
        #expect(try await tool.run("show-config").output.contains("\nttl: 20\n"))
        let changed = try await tool.run(
            "edit-config", "-s", "maximum_lag_on_failover=2000000", "-p", "work_mem=5MB", "--force")
        #expect(changed.code == 0 && changed.output.hasSuffix("Configuration changed\n"))
        #expect(changed.output.contains("+maximum_lag_on_failover: 2000000\n"))
        #expect(changed.output.contains("+    work_mem: 5MB\n"))
        for node in cluster.nodes {
            try await waitUntil("the parameter is at work", within: 30) {
                await cluster.value(node, "SHOW work_mem") == "5MB"
            }
        }
        try await files(tool, cluster)
        let same = try await tool.run("edit-config", "-p", "work_mem=5MB", "--force")
        #expect(same.output == "Not changed\n")

        // The editor is a program that changes the file; at a terminal the difference has colours.
        var editing = tool
        editing.environment["EDITOR"] = try editor(in: cluster, "s/work_mem: 5MB/work_mem: 6MB/")
        let edited = try await editing.run(["edit-config"], input: "y\n", onTerminal: true)
        #expect(edited.code == 0, "\(edited)")
        #expect(edited.output.contains("\u{1B}[32m+    work_mem: 6MB\u{1B}[0m"))
        #expect(edited.output.contains("Configuration changed"))
        #expect(try await tool.run("show-config").output.contains("work_mem: 6MB"))
        editing.environment["EDITOR"] = try editor(in: cluster, "d")
        let emptied = try await editing.run(["edit-config", "--force"])
        #expect(emptied.code == 1, "an empty text is a mistake: \(emptied)")
        editing.environment["EDITOR"] = "/bin/false"
        #expect(try await editing.run("edit-config").errors == "Error: Editor exited with return code 1\n")
    }

    /// A file of changes, and one that takes the place of all; both from standard input as well.
    private func files(_ tool: OperatorTool, _ cluster: TestCluster) async throws {
        let file = "\(cluster.directory)/changes.yml"
        let wanted = "postgresql: {parameters: {work_mem: 9MB}}\nmaximum_lag_on_failover: null\n"
        try Files.replace(file, with: wanted.utf8, mode: 0o644)
        let before = try await tool.run("show-config").output
        let asked = try await tool.run(["edit-config", "--apply", "-"], input: wanted)
        #expect(asked.code == 0 && asked.output.hasSuffix("Use --force option to apply changes\n"), "\(asked)")
        #expect(try await tool.run("show-config").output == before)
        let applied = try await tool.run(["edit-config", "--apply", file], input: "y\n")
        #expect(applied.code == 0 && applied.output.hasSuffix("Configuration changed\n"), "\(applied)")
        for node in cluster.nodes {
            try await waitUntil("the parameter is at work", within: 30) {
                await cluster.value(node, "SHOW work_mem") == "9MB"
            }
        }
        let replaced = try await tool.run(["edit-config", "--replace", "-", "--force"], input: before)
        #expect(replaced.code == 0 && replaced.output.contains("\n+maximum_lag_on_failover: 2000000\n"), "\(replaced)")
        #expect(try await tool.run("show-config").output == before)
    }

    /// A program that edits its file with one command of sed.
    private func editor(in cluster: TestCluster, _ command: String) throws -> String {
        let path = "\(cluster.directory)/editor"
        try makeProgram(path, "#!/bin/sh\nexec sed -i '\(command)' \"$1\"\n".utf8)
        return path
    }

    @Test("matriarchctl does what an operator asks for", .timeLimit(.minutes(6)))
    func ctlActs() async throws {
        try await TestCluster.with { cluster in
            let first = try await cluster.bootstrap()
            let tool = cluster.tool()
            try await maintenance(tool)
            let second = try #require(cluster.nodes.first { $0 != first })
            try await restarts(tool, cluster, leader: first, replica: second)

            // Every answer is typed.
            let handed = try await tool.run(
                ["switchover", "demo"], input: "\(cluster.name(first))\n\(cluster.name(second))\nnow\ny\n")
            #expect(handed.code == 0, "\(handed.errors)")
            #expect(handed.output.contains("Successfully switched over to \"\(cluster.name(second))\""))
            #expect(try await cluster.healthy(within: 60) == second)

            let planned = try await tool.run(
                "switchover", "--candidate", cluster.name(first), "--scheduled", "2050-01-01T10:00Z", "--force")
            #expect(planned.output.contains("Switchover scheduled"), "\(planned)")
            #expect(
                try await tool.run("list").output.hasSuffix(
                    " Switchover scheduled at: 2050-01-01T10:00:00+00:00\n                    from: "
                        + "\(cluster.name(second))\n                      to: \(cluster.name(first))\n"))
            #expect(
                try await tool.run("flush", "demo", "switchover").output == "Success: scheduled switchover deleted\n")
            #expect(
                try await tool.run("flush", "demo", "switchover").output == "No pending scheduled switchover\n")

            let again = try await tool.run("reinit", "demo", cluster.name(first), "--force", "--wait", "--from-leader")
            #expect(again.output.contains("Success: reinitialize for member \(cluster.name(first))\n"), "\(again)")
            #expect(again.output.hasSuffix("Reinitialize is completed on: \(cluster.name(first))\n"), "\(again)")
            #expect(try await cluster.healthy(within: 60) == second)

            let taken = try await tool.run("failover", "--candidate", cluster.name(first), "--force")
            #expect(taken.output.contains("Successfully failed over to \"\(cluster.name(first))\""), "\(taken)")
            #expect(try await cluster.healthy(within: 60) == first)
            let history = try await tool.run("history", "-f", "json")
            #expect(history.json.array?.last?["New Leader"]?.string == cluster.name(first))

            try await unreachable(tool, cluster, leader: first, replica: second)
            try await removal(tool, leader: cluster.name(first))
        }
    }

    private func maintenance(_ tool: OperatorTool) async throws {
        let paused = try await tool.run("pause", "--wait")
        #expect(
            paused.output == "'pause' request sent, waiting until it is recognized by all nodes\n"
                + "Success: cluster management is paused\n")
        #expect(try await tool.run("list").output.hasSuffix(" Maintenance mode: on\n"))
        #expect(try await tool.run("pause").errors == "Error: Cluster is already paused\n")
        let later = try await tool.run("switchover", "--scheduled", "2050-01-01 10:00:00.5+00:00", "--force")
        #expect(later.code == 1 && later.errors == "Error: Can't schedule switchover in the paused state\n")
        #expect(try await tool.run("resume").output == "Success: cluster management is resumed\n")
    }

    private func restarts(
        _ tool: OperatorTool, _ cluster: TestCluster, leader: Int, replica: Int
    ) async throws {
        let name = cluster.name(replica)
        let restarted = try await tool.run("restart", "demo", name, "--force")
        #expect(restarted.code == 0 && restarted.output.hasSuffix("Success: restart on member \(name)\n"))
        let later = try await tool.run(
            ["restart", "demo", name], input: "2050-01-01T10:00Z\ny\n\n")
        #expect(later.output.hasSuffix("Success: restart scheduled on member \(name)\n"), "\(later)")
        try await waitUntil("the schedule is listed", within: 15) {
            try await tool.run("list").output.contains("| 2050-01-01T10:00:00+00:00 |")
        }
        let flushed = try await tool.run("flush", "demo", "restart", "--force")
        #expect(flushed.output.contains("Success: flush scheduled restart for member \(name)\n"), "\(flushed)")
        #expect(flushed.output.contains("No scheduled restart for member \(cluster.name(leader))\n"))
        let reloaded = try await tool.run(["reload", "demo", name], input: "y\n")
        #expect(reloaded.output.contains(" on member \(name)") || reloaded.output.contains("Reload request received"))
        let refused = try await tool.run(["restart", "demo", name], input: "now\nn\n")
        #expect(refused.code == 1 && refused.errors == "Error: Aborted restart\n")
        #expect(try await tool.run(["restart", "demo", name], input: "now\n").errors == "Aborted!\n")
        let pending = try await tool.run("restart", "demo", "--pending", "--force")
        #expect(pending.code == 0 && !pending.output.contains("Success"), "nothing waits for a restart")
    }

    /// A member that does not answer is told of, the others are asked all the same.
    private func unreachable(_ tool: OperatorTool, _ cluster: TestCluster, leader: Int, replica: Int) async throws {
        try cluster.daemon(replica).signal(9)
        let outcome = try await tool.run("reload", "demo", "--force")
        #expect(outcome.code == 1)
        #expect(outcome.output.contains("Failed: reload for member \(cluster.name(replica)), (no connection"))
        #expect(
            outcome.output.contains("No changes to apply on member \(cluster.name(leader))")
                || outcome.output.contains("Reload request received for member \(cluster.name(leader))"))
        try await cluster.start(replica)
    }

    private func removal(_ tool: OperatorTool, leader: String) async throws {
        let wrong = try await tool.run(["remove", "demo"], input: "demo\nYes I am aware\nnobody\n")
        #expect(wrong.code == 1 && wrong.errors == "Error: You did not specify the current leader of the cluster\n")
        #expect(try await tool.run("list", "-f", "json").json.array?.isEmpty == false)
        let stray = try await tool.run("remove", "demo-of-nobody", "-f", "json")
        #expect(stray.code == 1 && stray.errors == "Aborted!\n")
    }

    @Test("matriarchctl over TLS, with certificate and password", .timeLimit(.minutes(4)))
    func ctlOverTLS() async throws {
        try await TestCluster.with([.subject, .subject], tls: true) { cluster in
            let leader = try await cluster.bootstrap()
            let tool = cluster.tool()
            let name = cluster.name(leader)
            #expect(try await tool.run("version", "demo").output.contains("\(name): Patroni 4.1.5"))
            let reloaded = try await tool.run("reload", "demo", name, "--force")
            #expect(reloaded.code == 0, "\(reloaded)")
            #expect(reloaded.output.contains(" member \(name)"))
            // Without our certificate the server lets nobody in.
            var stranger = tool
            stranger = OperatorTool(
                program: .ours, options: ["-k", "-d", "etcd3://127.0.0.1:\(cluster.etcdPort)"])
            let refused = try await stranger.run("reload", "demo", name, "--force")
            #expect(refused.code == 1 && refused.output.contains("Failed: reload for member \(name), ("))
            try await strangers(cluster, name)
            try await expiry(cluster)
        }
    }

    /// Another authority, a wrong password, and none: each is told in a line.
    private func strangers(_ cluster: TestCluster, _ name: String) async throws {
        let known = try #require(cluster.certificates)
        let alone = "\(cluster.directory)/alone.pem"
        try await Certificates.makeAlone(alone)
        func run(_ ctl: JSONObject, _ options: [String] = []) async throws -> OperatorTool.Outcome {
            let file = "\(cluster.directory)/stranger.yml"
            let store: JSONValue = ["host": .string("127.0.0.1:\(cluster.etcdPort)")]
            let document: JSONObject = ["scope": "demo", "etcd3": store, "ctl": .object(ctl)]
            try Files.replace(file, with: JSON.text(document).utf8, mode: 0o600)
            let tool = OperatorTool(program: .ours, options: ["-c", file] + options)
            return try await tool.run("reload", "demo", name, "--force")
        }
        var ctl = known.ctl
        let nobody = try await run(ctl)
        #expect(nobody.code == 0 && nobody.output.contains("for member \(name), status code=401, ("), "\(nobody)")
        ctl["authentication"] = ["username": "u", "password": "wrong"]
        let wrong = try await run(ctl)
        #expect(wrong.code == 0 && wrong.output.contains("for member \(name), status code=401, ("), "\(wrong)")
        ctl["authentication"] = ["username": "u", "password": "p"]
        #expect(try await run(ctl).output.contains(" member \(name)"))
        ctl["cacert"] = .string("\(alone).crt")
        let untrusted = try await run(ctl)
        #expect(untrusted.code == 1, "\(untrusted)")
        #expect(untrusted.output.contains("Failed: reload for member \(name), ("), "\(untrusted)")
        // As with Patroni: with a certificate of one's own the chain is looked at all the same.
        #expect(try await run(ctl, ["-k"]).code == 1)
        ctl["cacert"] = "/nowhere/ca.crt"
        let missing = try await run(ctl)
        #expect(missing.code == 1 && missing.output.contains("Failed: reload for member \(name), ("), "\(missing)")
    }

    /// The doctor speaks of certificates before they end: of a member's, and of those in a file of the tool's own.
    private func expiry(_ cluster: TestCluster) async throws {
        let known = try #require(cluster.certificates)
        let told = try await cluster.tool().run("doctor")
        let server = "restapi.certfile: the certificate \(known.directory)/n1.crt is good for 1 day more"
        #expect(told.output.contains("warning: \(server)\n    make a new one, and reload the members\n"), "\(told)")
        let alone = "\(cluster.directory)/three"
        try await Certificates.makeAlone(alone, days: 3)
        let file = "\(cluster.directory)/own.yml"
        let document: JSONObject = [
            "scope": "demo", "etcd3": ["host": .string("127.0.0.1:\(cluster.etcdPort)")],
            "ctl": ["cacert": .string("\(alone).crt"), "certfile": .string(alone), "keyfile": .string(alone)],
        ]
        try Files.replace(file, with: JSON.text(document).utf8, mode: 0o600)
        let own = try await OperatorTool(program: .ours, options: ["-c", file]).run("doctor", "--json")
        for (setting, path) in [("cacert", "\(alone).crt"), ("certfile", alone)] {
            let line = #"{"severity": "warning", "what": "ctl.\#(setting): the certificate \#(path) is good for "#
            // In the second in which it was made it has all of them.
            #expect([2, 3].contains { own.output.contains("\(line)\($0) days more\"") }, "\(own)")
        }
    }

    @Test("Removing a cluster takes three answers, and leaves nothing", .timeLimit(.minutes(2)))
    func ctlRemoves() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let tool = OperatorTool(program: .ours, options: ["-d", "127.0.0.1:\(cluster.etcdPort)"])
            let stored = try #require(StoredCluster.all.first { $0.name == "healthy" })
            for (leaf, value) in stored.keys { try await cluster.put(stored.name, leaf, value) }
            let gone = try await tool.run(["remove", "healthy"], input: "healthy\nYes I am aware\nn1\n")
            #expect(gone.code == 0 && gone.errors == "", "\(gone)")
            #expect(try await tool.run("list", "healthy", "-f", "json").output == "[]\n")

            // Nobody answers any more: what was asked for waits in the store, where a member would find it.
            for (leaf, value) in stored.keys { try await cluster.put(stored.name, leaf, value) }
            let left = try await tool.run("switchover", "healthy", "--candidate", "n2", "--force")
            #expect(left.code == 0)
            #expect(left.output.contains(" Could not switchover using Patroni api, falling back to DCS\n"))
            let key = Base64.encode("/service/healthy/failover")
            let found = await cluster.call("POST", port: cluster.etcdPort, "/v3/kv/range", body: #"{"key": "\#(key)"}"#)
            let value = found?.json["kvs"]?.array?.first?["value"]?.string.flatMap(Base64.decode)
            #expect(value.map { String(decoding: $0, as: UTF8.self) } == #"{"leader":"n1","member":"n2"}"#)
        }
    }
}
