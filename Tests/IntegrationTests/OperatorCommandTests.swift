import ClusterModel
import Glibc
import Posix
import Testing

/// `callbacks` and `pre_promote` on whole clusters (docs/callbacks.md).
extension ClusterIntegrationTests {
    /// Callbacks that note what they are told and their process, and then never end; a `pre_promote` that reads what to
    /// do from a file.
    @Sendable private static func commands(_ node: Int, _ directory: String) -> JSONObject {
        let note = "echo \"$@\" >> \(directory)/told; echo $$ >> \(directory)/pids; exec sleep 1000"
        let command: JSONValue = .string("/bin/sh -c '\(note)' x")
        let before: JSONValue = .string("/bin/sh -c 'echo stopping >> \(directory)/before' x")
        let question = "echo asked >> \(directory)/asked; exec /bin/sh \(directory)/question"
        return [
            "postgresql": [
                "callbacks": ["on_start": command, "on_stop": command, "on_role_change": command],
                "before_stop": before, "pre_promote": .string("/bin/sh -c '\(question)' x"), "pg_ctl_timeout": 4,
            ]
        ]
    }

    private func text(_ cluster: TestCluster, _ node: Int, _ file: String) -> String {
        (try? Files.readText("\(cluster.directory)/\(cluster.name(node))/\(file)")) ?? ""
    }

    private func answer(_ cluster: TestCluster, _ node: Int, _ script: String) throws {
        let file = "\(cluster.directory)/\(cluster.name(node))/question"
        try Files.replace(file, with: script.utf8, mode: 0o644)
    }

    @Test(
        "A pre_promote that hangs gives the key up, and one that agrees leads; callbacks that hang hold nothing up",
        .timeLimit(.minutes(4)))
    func operatorCommands() async throws {
        // Of equals the second is asked first.
        try await TestCluster.with(
            dynamic: NodeConfiguration.quickest, tags: [2: ["failover_priority": 5]], local: Self.commands
        ) { cluster in
            try await cluster.start(1)
            try await waitUntil("the first leads", within: 60) { await cluster.leader() == 1 }
            for node in [2, 3] { try await cluster.start(node) }
            try await cluster.healthy(within: 60)
            try await waitUntil("the start of the first was told", within: 20) {
                text(cluster, 1, "told") == "on_start primary demo\n"
            }
            try answer(cluster, 2, "exec sleep 1000")
            try answer(cluster, 3, "exit 0")
            try await cluster.loseHost(1)
            #expect(try await cluster.newLeader(after: 1, within: 60) == 3)
            #expect(text(cluster, 2, "asked") == "asked\n")
            #expect(text(cluster, 3, "asked") == "asked\n")
            #expect(await cluster.value(2, "SELECT pg_is_in_recovery()") == "t")
            #expect(await cluster.timeline(3) == 2)
            try await waitUntil("the new leader's role was told", within: 20) {
                text(cluster, 3, "told").hasSuffix("on_role_change primary demo\n")
            }
            let log = try Files.readText("\(cluster.directory)/n2.log")
            #expect(log.utf8.firstRange(of: "pre_promote failed: ".utf8) != nil)

            // The first comes back while its callbacks of before hang no more: they ended with their daemon.
            for pid in text(cluster, 1, "pids").split(separator: "\n").compactMap({ pid_t($0) }) {
                try await waitUntil("callback \(pid) has ended", within: 20) { kill(pid, 0) != 0 }
            }
            try await cluster.start(1)
            try await cluster.healthy(within: 60)
            try await waitUntil("the first is told to be a replica", within: 20) {
                text(cluster, 1, "told").hasSuffix("on_start replica demo\n")
            }

            // An orderly end tells the stop, and waits for that a while.
            try cluster.daemon(3).signal(SIGTERM)
            try answer(cluster, 2, "exit 0")
            _ = try await cluster.newLeader(after: 3, within: 60)
            #expect(text(cluster, 3, "told").hasSuffix("on_stop primary demo\n"))
            #expect(text(cluster, 3, "before") == "stopping\n")
        }
    }

    @Test("A single node whose pre_promote says no does not lead, and leads when it says yes", .timeLimit(.minutes(3)))
    func refusedAlone() async throws {
        try await TestCluster.with([.subject], dynamic: NodeConfiguration.quickest, local: Self.commands) { cluster in
            try await cluster.bootstrap()
            let daemon = try cluster.daemon(1)
            try answer(cluster, 1, "exit 1")
            // A clean stop, and a start as a standby: who leads has to be promoted.
            daemon.signal(SIGTERM)
            try await waitUntil("the daemon has ended", within: 40) { !daemon.isAlive }
            try Files.replace("\(cluster.dataDirectory(1))/standby.signal", with: [], mode: 0o644)
            try await cluster.start(1)
            try await waitUntil("it was asked twice", within: 60) { text(cluster, 1, "asked") == "asked\nasked\n" }
            #expect(await cluster.value(1, "SELECT pg_is_in_recovery()") == "t")
            try answer(cluster, 1, "exit 0")
            try await waitUntil("it leads", within: 60) { await cluster.leader() == 1 }
        }
    }
}
