import ClusterModel
import Glibc
import Posix
import Testing

/// `primary_start_timeout` (ha-loop.md §8): how long a crashed leader may take to start before another leads.
extension WaitingIntegrationTests {
    @Test(
        "A leader that starts for longer than primary_start_timeout makes way, not before, and follows when it can",
        .timeLimit(.minutes(4)))
    func startThatTakesTooLong() async throws {
        var dynamic = NodeConfiguration.quickest
        dynamic["primary_start_timeout"] = 10
        try await TestCluster.with([.subject, .subject], dynamic: dynamic) { cluster in
            let old = try await cluster.bootstrap()
            try await cluster.sql(old, RowWriter.table)
            try await cluster.sql(old, "INSERT INTO written VALUES (1)")
            // Every checkpoint writes this file, and recovery reads it first: out of a pipe nothing comes.
            try await cluster.sql(old, "CHECKPOINT")
            let file = cluster.dataDirectory(old) + "/pg_logical/replorigin_checkpoint"
            let kept = "\(cluster.directory)/replorigin_checkpoint"
            try #require(rename(file, kept) == 0)
            try #require(mkfifo(file, 0o600) == 0)
            if let user = User.unprivileged { chown(file, user.uid, user.gid) }
            let crashed = try #require(cluster.postmaster(old))
            let since = bootSeconds()
            crashed.signal(SIGKILL)
            try await waitUntil("it is started again", within: 30) {
                cluster.postmaster(old).map { $0 != crashed } ?? false
            }
            let new = try await cluster.newLeader(after: old, within: 60)
            #expect(bootSeconds() > since + 10, "it had its time")
            try await cluster.writable(port: cluster.postgresqlPort(new), within: 30)
            #expect(await cluster.value(new, "SELECT string_agg(id::text, ',') FROM written") == "1")

            let content = try Files.read(kept)
            let pipe = "\(cluster.directory)/pipe"
            try #require(link(file, pipe) == 0)
            try #require(rename(kept, file) == 0)
            // A single-user recovery that has opened the pipe before reads what the file says, and goes on.
            let healing = Task {
                while !Task.isCancelled {
                    Self.feed(pipe, content)
                    try await Task.sleep(for: .milliseconds(100))
                }
            }
            defer { healing.cancel() }
            #expect(try await cluster.healthy(within: 90) == new)
        }
    }

    /// Whoever waits at the pipe reads this; without one, nothing happens.
    private static func feed(_ pipe: String, _ content: [UInt8]) {
        let writer = open(pipe, O_WRONLY | O_NONBLOCK)
        guard writer >= 0 else { return }
        _ = content.withUnsafeBytes { write(writer, $0.baseAddress, $0.count) }
        close(writer)
    }

    @Test(
        "With primary_start_timeout 0 a leader that crashes is not started while another can lead",
        .timeLimit(.minutes(3)))
    func noTimeToStart() async throws {
        var dynamic = NodeConfiguration.quickest
        dynamic["primary_start_timeout"] = 0
        try await TestCluster.with([.subject, .subject], dynamic: dynamic) { cluster in
            let old = try await cluster.bootstrap()
            try await cluster.sql(old, RowWriter.table)
            try await cluster.sql(old, "INSERT INTO written VALUES (1)")
            let other = try #require(cluster.nodes.first { $0 != old })
            try await waitUntil("the other one has the row", within: 20) {
                await cluster.value(other, "SELECT count(*) FROM written") == "1"
            }
            try #require(cluster.postmaster(old)).signal(SIGKILL)
            #expect(try await cluster.newLeader(after: old, within: 60) == other)
            #expect(try await cluster.healthy(within: 90) == other)
            #expect(await cluster.timeline(other) == 2)
            #expect(await cluster.value(old, "SELECT string_agg(id::text, ',') FROM written") == "1")
        }
    }
}
