import ClusterModel
import Glibc
import Posix
import Testing

/// A way to etcd for each node, which can be cut for one alone.
private struct Ways: Sendable {
    private let programs: [Int: OwnedProcess]
    private let cluster: TestCluster

    /// Before any daemon was started, of nodes that take what they are told of for a proxy.
    init(_ cluster: TestCluster) async throws {
        self.cluster = cluster
        var programs: [Int: OwnedProcess] = [:]
        for node in cluster.nodes {
            programs[node] = try await Ways.start(node, in: cluster)
            try cluster.edit(
                node, #""127.0.0.1:\#(cluster.etcdPort)""#, #""127.0.0.1:\#(Ways.port(node, in: cluster))""#)
        }
        self.programs = programs
    }

    private static func port(_ node: Int, in cluster: TestCluster) -> Int { cluster.freePort + node }

    private static func start(_ node: Int, in cluster: TestCluster) async throws -> OwnedProcess {
        let port = port(node, in: cluster)
        let program = try OwnedProcess.start(
            [try Programs.system("python3"), "-c", program, "\(port)", "\(cluster.etcdPort)"],
            log: "\(cluster.directory)/way-\(node).log", directory: cluster.directory,
            environment: ["PATH": "/usr/bin:/bin", Leftovers.mark: cluster.directory])
        try await waitUntil("the way of \(cluster.name(node)) is open", within: 20) {
            await cluster.call("GET", port: port, "/health")?.status == 200
        }
        return program
    }

    /// What is under way is neither done nor refused.
    func cut(_ node: Int) { programs[node]?.signal(SIGSTOP) }
    func mend(_ node: Int) { programs[node]?.signal(SIGCONT) }

    private static let program = """
        import socket, sys, threading

        def pump(source, target):
            try:
                while True:
                    data = source.recv(65536)
                    if not data:
                        break
                    target.sendall(data)
            except OSError:
                pass
            for end in source, target:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

        server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100)
        while True:
            client, _ = server.accept()
            try:
                store = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
            except OSError:
                client.close()
                continue
            for ends in (client, store), (store, client):
                threading.Thread(target=pump, args=ends, daemon=True).start()
        """
}

/// A partition that only the leader sees: the store answers everybody else.
extension AroundIntegrationTests {
    @Sendable private static func throughProxies(_ node: Int, _ directory: String) -> JSONObject {
        ["etcd3": ["use_proxies": true]]
    }

    private static func dynamic(failsafe: Bool) -> JSONObject {
        var dynamic = NodeConfiguration.quick
        dynamic["ttl"] = 8
        dynamic["failsafe_mode"] = .bool(failsafe)
        return dynamic
    }

    @Test(
        "In failsafe mode a leader that alone has lost the store goes on, and nobody takes the key that has ended",
        .timeLimit(.minutes(4)))
    func failsafeLeaderCutOff() async throws {
        try await TestCluster.with(dynamic: Self.dynamic(failsafe: true), local: Self.throughProxies) { cluster in
            let ways = try await Ways(cluster)
            let leader = try await cluster.bootstrap()
            try await cluster.failsafeNamesAll()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.conninfo(port: cluster.postgresqlPort(leader)))
            try await waitUntil("the writer writes", within: 20) { writer.rows.count > 20 }
            let postmaster = try #require(cluster.postmaster(leader)).pid

            let since = bootSeconds()
            ways.cut(leader)
            defer { ways.mend(leader) }
            let other = try #require(cluster.nodes.first { $0 != leader })
            var isFree = false
            try await waitUntil("three leases have passed, and the key has ended", within: 90) {
                #expect(await cluster.get(leader, "/primary")?.status == 200, "\(bootSeconds() - since) s")
                for node in cluster.nodes where node != leader {
                    #expect(await cluster.get(node, "/primary")?.status != 200, "\(bootSeconds() - since) s")
                }
                let members = await cluster.members(other)
                if !members.isEmpty, !members.contains(where: { $0["role"] == "leader" }) { isFree = true }
                return isFree && bootSeconds() > since + 26
            }
            ways.mend(leader)
            #expect(try await cluster.healthy(within: 60) == leader)
            try await writer.stop()
            #expect(writer.failures == 0)
            #expect(cluster.postmaster(leader)?.pid == postmaster)
            #expect(await cluster.timeline(leader) == 1)
        }
    }

    @Test(
        "Without failsafe mode a leader that alone has lost the store stops before another leads, and follows it",
        .timeLimit(.minutes(4)))
    func leaderCutOff() async throws {
        try await TestCluster.with(dynamic: Self.dynamic(failsafe: false), local: Self.throughProxies) { cluster in
            let ways = try await Ways(cluster)
            let leader = try await cluster.bootstrap()
            try await cluster.sql(leader, RowWriter.table)
            let writer = try RowWriter(cluster.writableConninfo)
            try await waitUntil("the writer has rows that a replica confirmed", within: 20) {
                writer.confirmedByReplica.count > 50
            }
            let confirmed = writer.confirmedByReplica
            ways.cut(leader)
            defer { ways.mend(leader) }
            var found: Int?
            try await waitUntil("another leads, and never two", within: 60) {
                let old = await cluster.value(leader, "SELECT pg_is_in_recovery()") == "f"
                for node in cluster.nodes where node != leader {
                    if await cluster.value(node, "SELECT pg_is_in_recovery()") == "f" { found = node }
                }
                // The old one was asked first: what it said then holds no longer when the other one has answered.
                if found != nil, old { #expect(await cluster.value(leader, "SELECT pg_is_in_recovery()") != "f") }
                return found != nil
            }
            let new = try #require(found)
            let since = bootSeconds()
            try await waitUntil("writes go on", within: 30) { writer.rows.contains { $0.seconds > since } }
            ways.mend(leader)
            #expect(try await cluster.healthy(within: 90) == new)
            try await writer.stop()
            try await expectRows(confirmed, in: cluster, on: new)
            try await expectSameRows(cluster, leader: new)
        }
    }
}
