import ClusterModel
import Glibc
import Posix
import Testing

/// A disk without room (docs/failure-modes.md), on whole clusters.
extension WaitingIntegrationTests {
    /// The data directory of `node` on a small disk of its own.
    private func mountSmall(_ cluster: TestCluster, _ node: Int) throws {
        let place = cluster.dataDirectory(node)
        let user = try #require(User.unprivileged)
        try Files.makeDirectory(place)
        try #require(mount("tmpfs", place, "tmpfs", 0, "size=400m,mode=0700,uid=\(user.uid),gid=\(user.gid)") == 0)
    }

    /// Nothing is left of it; the file whose end makes room again.
    private func fill(_ cluster: TestCluster, _ node: Int) async throws -> String {
        let path = "\(cluster.dataDirectory(node))/filler"
        try await Blocking.run("fill") {
            let file = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
            let block = [UInt8](repeating: 1, count: 1 << 16)
            var size = block.count
            while size > 0 {
                let written = block.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, size) }
                if written < size { size /= 2 }
            }
        }
        return path
    }

    @Test(
        "A leader without room for WAL makes way, nothing that a standby has confirmed is lost; with room it follows",
        .enabled(if: geteuid() == 0, "only root may mount"), .timeLimit(.minutes(5)))
    func fullDiskOfALeader() async throws {
        try await TestCluster.with([.subject, .subject], dynamic: NodeConfiguration.quickest) { cluster in
            try mountSmall(cluster, 1)
            defer { umount2(cluster.dataDirectory(1), Int32(MNT_DETACH)) }
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            #expect(try await cluster.healthy(within: 60) == 1)
            try await cluster.sql(1, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer has rows that a replica confirmed", within: 20) {
                writer.confirmedByReplica.count > 50
            }
            let filler = try await fill(cluster, 1)
            defer { unlink(filler) }
            let confirmed = writer.confirmedByReplica
            // What is left of the file that is written to now is used up at once.
            try await waitUntil("another leads", within: 90) {
                _ = try? await cluster.sql(1, "SELECT pg_switch_wal()")
                return await cluster.get(2, "/primary")?.status == 200
            }
            let since = bootSeconds()
            try await waitUntil("writes go on", within: 30) { writer.rows.contains { $0.seconds > since } }
            #expect(await cluster.value(1, "SELECT pg_is_in_recovery()") != "f")
            unlink(filler)
            #expect(try await cluster.healthy(within: 90) == 2)
            try await writer.stop()
            try await expectRows(confirmed, in: cluster, on: 2)
            try await expectSameRows(cluster, leader: 2)
        }
    }

    @Test(
        "A standby without room holds nobody up, and streams again when there is some",
        .enabled(if: geteuid() == 0, "only root may mount"), .timeLimit(.minutes(5)))
    func fullDiskOfAStandby() async throws {
        try await TestCluster.with([.subject, .subject], dynamic: NodeConfiguration.quickest) { cluster in
            try mountSmall(cluster, 2)
            defer { umount2(cluster.dataDirectory(2), Int32(MNT_DETACH)) }
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            #expect(try await cluster.healthy(within: 60) == 1)
            try await cluster.sql(1, RowWriter.table)
            let filler = try await fill(cluster, 2)
            defer { unlink(filler) }
            try await waitUntil("it streams no more", within: 90) {
                try await cluster.sql(1, "INSERT INTO written SELECT 1 FROM generate_series(1, 100000)")
                return await !cluster.streams(2)
            }
            let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(1)))
            let since = bootSeconds()
            try await waitUntil("a lease and more has passed", within: 60) { bootSeconds() > since + 10 }
            #expect(await cluster.leader() == 1)
            unlink(filler)
            #expect(try await cluster.healthy(within: 90) == 1)
            try await writer.stop()
            #expect(writer.failures == 0)
            try await expectSameRows(cluster, leader: 1)
        }
    }
}
