import ClusterModel
import Glibc
import Posix
import Testing

/// The watchdog of the host on whole clusters, through a pipe in place of a device.
extension ClusterIntegrationTests {
    @Sendable private static func watchdog(_ node: Int, _ directory: String) -> JSONObject {
        [
            "watchdog": [
                "mode": "required", "device": .string("\(directory)/watchdog"), "driver": "testing",
                "safety_margin": 1,
            ]
        ]
    }

    /// Reads a pipe that the servers' user may write to.
    private func pipe(_ cluster: TestCluster, _ node: Int) throws -> FileDescriptor {
        let path = "\(cluster.directory)/\(cluster.name(node))/watchdog"
        guard mkfifo(path, 0o600) == 0 else { throw SystemError(call: "mkfifo", subject: path) }
        chmod(path, 0o622)
        return try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
    }

    private func read(_ pipe: borrowing FileDescriptor) -> String {
        String(decoding: (try? pipe.read(count: 4096)) ?? [], as: UTF8.self)
    }

    @Test(
        "Who has no watchdog where one is required never leads; who has, leads under it, and lets it go when it stops",
        .timeLimit(.minutes(4)))
    func watchdogRequired() async throws {
        try await TestCluster.with(
            [.subject, .subject], dynamic: NodeConfiguration.quickest, local: Self.watchdog
        ) { cluster in
            let first = try pipe(cluster, 1)
            // Neither makes a cluster without, whoever begins.
            try await cluster.start(2)
            try await waitUntil("the second says what it lacks", within: 30) {
                await cluster.get(2, "/patroni")?.json["watchdog_failed"] == true
            }
            #expect(!Files.exists("\(cluster.dataDirectory(2))/global/pg_control"))
            try await cluster.start(1)
            #expect(try await cluster.healthy(within: 90) == 1)
            var text = read(first)
            #expect(text.hasPrefix("Ctimeout=4\n1"), "\(text)")

            // The leader ends in order: its watchdog is let go, and the other one, which has none, does not lead.
            try cluster.daemon(1).signal(SIGTERM)
            let daemon = try cluster.daemon(1)
            try await waitUntil("the leader has ended", within: 40) { !daemon.isAlive }
            text = read(first)
            #expect(text.hasSuffix("V"), "\(text)")
            let later = bootSeconds() + 12
            while bootSeconds() < later {
                #expect(await cluster.get(2, "/primary")?.status != 200)
                try await Task.sleep(for: .milliseconds(200))
            }
            #expect(await cluster.value(2, "SELECT pg_is_in_recovery()") == "t")

            // With one it does.
            let second = try pipe(cluster, 2)
            try await waitUntil("the second leads", within: 60) { await cluster.leader() == 2 }
            text = read(second)
            #expect(text.hasPrefix("Ctimeout=4\n1"), "\(text)")
            // Its device goes: the guardian is told with the next renewal, and it makes way.
            _ = consume second
            unlink("\(cluster.directory)/n2/watchdog")
            try await waitUntil("the second leads no more", within: 60) {
                await cluster.get(2, "/primary")?.status == 503
            }
        }
    }

    @Sendable private static func automaticOrOff(_ node: Int, _ directory: String) -> JSONObject {
        let mode: JSONValue = node == 1 ? "automatic" : "off"
        return [
            "watchdog": [
                "mode": mode, "device": .string("\(directory)/watchdog"), "driver": "testing", "safety_margin": 1,
            ]
        ]
    }

    @Test(
        "A watchdog that may be there is petted by who leads and let go in a pause; one that is off is not touched",
        .timeLimit(.minutes(4)))
    func watchdogAutomaticAndOff() async throws {
        try await TestCluster.with(
            [.subject, .subject], dynamic: NodeConfiguration.quickest, local: Self.automaticOrOff
        ) { cluster in
            let first = try pipe(cluster, 1)
            let second = try pipe(cluster, 2)
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            #expect(try await cluster.healthy(within: 60) == 1)
            var text = read(first)
            #expect(text.hasPrefix("Ctimeout=4\n1"), "\(text)")

            try await cluster.setPause("true", by: 1)
            try await waitUntil("it is let go", within: 20) {
                text += read(first)
                return text.hasSuffix("V")
            }
            try await cluster.setPause("null", by: 1)
            text = ""
            try await waitUntil("it is petted again", within: 20) {
                text += read(first)
                return text.hasPrefix("Ctimeout=4\n1")
            }

            let body = #"{"leader": "n1", "candidate": "n2"}"#
            #expect(try await cluster.answer("POST", 1, "/switchover", body: body, seconds: 30).status == 200)
            #expect(try await cluster.healthy(within: 60) == 2)
            #expect(read(second).isEmpty)
            text += read(first)
            #expect(text.hasSuffix("V"), "\(text)")

            // Without a device `automatic` leads as if it were off.
            unlink("\(cluster.directory)/n1/watchdog")
            let back = #"{"leader": "n2", "candidate": "n1"}"#
            #expect(try await cluster.answer("POST", 2, "/switchover", body: back, seconds: 30).status == 200)
            #expect(try await cluster.healthy(within: 60) == 1)
        }
    }
}
