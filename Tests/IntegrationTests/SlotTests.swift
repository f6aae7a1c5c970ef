import ClusterModel
import Glibc
import JSON
import Posix
import Testing

extension ClusterIntegrationTests {
    @Test("A logical consumer goes on across switchover and failover", .timeLimit(.minutes(5)))
    func logicalConsumer() async throws {
        try await TestCluster.with(dynamic: Consumer.configuration) { cluster in
            let first = try await cluster.bootstrap()
            try await cluster.sql(first, "CREATE TABLE t(id int PRIMARY KEY)")
            try await cluster.sql(first, "CREATE PUBLICATION p FOR TABLE t")
            let slots = #""l": {"type": "logical", "database": "postgres", "plugin": "pgoutput"}"#
            let body = #"{"slots": {\#(slots), "p": {"type": "physical"}}}"#
            let asked = try await cluster.answer("PATCH", first, "/config", body: body)
            #expect(asked.status == 200, "\(asked.body)")
            try await waitUntil("every node has both slots", within: 90) {
                for node in cluster.nodes {
                    guard
                        await cluster.value(
                            node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name IN ('l', 'p')") == "2"
                    else { return false }
                }
                return true
            }
            var consumer = Consumer(cluster)
            try await consumer.write(1...50, on: first)
            try await consumer.read(on: first)
            try await cluster.moved(consumer, from: first)

            // Written and not read, before and after the switchover.
            try await consumer.write(51...100, on: first)
            let second = try #require(cluster.nodes.first { $0 != first })
            let request = #"{"leader": "\#(cluster.name(first))", "candidate": "\#(cluster.name(second))"}"#
            let answer = try await cluster.answer("POST", first, "/switchover", body: request, seconds: 60)
            #expect(answer.status == 200, "\(answer.body)")
            #expect(try await cluster.healthy(within: 60) == second)
            try await consumer.write(101...150, on: second)
            try await consumer.read(on: second)
            #expect(consumer.received == Array(1...150))
            try await cluster.moved(consumer, from: second)

            // What the others have not received is nobody's after a crash, the consumer's or not.
            try await consumer.write(151...200, on: second)
            try await cluster.goesOn(&consumer, withoutHostOf: second, writing: 201...250)
        }
    }
}

extension AroundIntegrationTests {
    @Test(
        "In failsafe mode a logical consumer goes on without the store, and its slots on the others with it",
        .timeLimit(.minutes(5)))
    func failsafeMovesSlots() async throws {
        var dynamic = Consumer.configuration
        dynamic["ttl"] = 8
        dynamic["failsafe_mode"] = true
        try await TestCluster.with(dynamic: dynamic) { cluster in
            let first = try await cluster.bootstrap()
            try await cluster.failsafeNamesAll()
            try await cluster.logicalSlot(by: first)
            var consumer = Consumer(cluster)
            try await consumer.write(1...50, on: first)
            try await consumer.read(on: first)
            try await cluster.moved(consumer, from: first)

            let etcd = try cluster.process("etcd")
            let since = bootSeconds()
            etcd.signal(SIGSTOP)
            defer { etcd.signal(SIGCONT) }
            // What the store granted has ended: it is the members who let it lead.
            try await waitUntil("a lease has passed", within: 30) {
                #expect(await cluster.get(first, "/primary")?.status == 200)
                return bootSeconds() > since + 9
            }
            for ids in [51...70, 71...90] {
                try await consumer.write(ids, on: first)
                try await consumer.read(on: first)
                try await cluster.moved(consumer, from: first)
            }
            try await consumer.write(91...100, on: first)
            #expect(await cluster.get(first, "/patroni")?.json["failsafe_mode_is_active"] == true)
            etcd.signal(SIGCONT)
            #expect(try await cluster.healthy(within: 60) == first)
            #expect(await cluster.timeline(first) == 1)

            // Nothing is missing on the next leader, and nothing comes twice.
            try await cluster.goesOn(&consumer, withoutHostOf: first, writing: 101...120)
        }
    }
}

/// Reads a publication with pg_recvlogical, each time from where it has come.
private struct Consumer {
    let cluster: TestCluster
    var received: [Int] = []
    /// What it has confirmed; it knows that by itself, as every subscriber does.
    var position: String?
    private var runs = 0

    static let configuration: JSONObject = {
        var dynamic = NodeConfiguration.quick
        var postgreSQL = dynamic["postgresql"]?.object ?? JSONObject()
        var parameters = postgreSQL["parameters"]?.object ?? JSONObject()
        parameters["wal_level"] = "logical"
        postgreSQL["parameters"] = .object(parameters)
        dynamic["postgresql"] = .object(postgreSQL)
        return dynamic
    }()

    init(_ cluster: TestCluster) { self.cluster = cluster }

    func write(_ ids: ClosedRange<Int>, on node: Int) async throws {
        for id in ids { try await cluster.sql(node, "INSERT INTO t VALUES (\(id))") }
    }

    mutating func read(on node: Int) async throws {
        let end = try #require(await cluster.value(node, "SELECT pg_current_wal_lsn()"))
        runs += 1
        let file = "\(cluster.directory)/received\(runs)"
        let program = try Programs.postgresqlDirectory() + "/pg_recvlogical"
        var words = [
            program, "-d", cluster.conninfo(port: cluster.postgresqlPort(node)), "--slot=l", "--start", "--no-loop",
            "-o", "proto_version=1", "-o", "publication_names=p", "-f", file, "--endpos=\(end)",
        ]
        if let position { words.append("--startpos=\(position)") }
        _ = try await Tool.run(words)
        received += Self.rows(try Files.read(file))
        position = end
    }

    /// The first column of each inserted row, of messages of pgoutput that each end with a line feed.
    static func rows(_ bytes: [UInt8]) -> [Int] {
        let start: [UInt8] = [UInt8(ascii: "N"), 0, 1, UInt8(ascii: "t"), 0, 0, 0]
        var rows: [Int] = []
        var index = 0
        while index + 5 + start.count < bytes.count {
            // 'I', the relation, and a new row of one column in text.
            let tuple = index + 5
            guard bytes[index] == UInt8(ascii: "I"), Array(bytes[tuple..<tuple + start.count]) == start else {
                index += 1
                continue
            }
            let length = Int(bytes[tuple + start.count])
            let text = tuple + start.count + 1
            guard text + length < bytes.count, bytes[text + length] == UInt8(ascii: "\n"),
                let id = Int(String(decoding: bytes[text..<text + length], as: UTF8.self))
            else {
                index += 1
                continue
            }
            rows.append(id)
            index = text + length
        }
        return rows
    }
}

extension TestCluster {
    /// The leader's host is lost, and the consumer has all rows, each once, from the next leader.
    fileprivate func goesOn(
        _ consumer: inout Consumer, withoutHostOf leader: Int, writing ids: ClosedRange<Int>
    ) async throws {
        try await received(by: leader)
        try await loseHost(leader)
        let next = try await newLeader(after: leader, within: 60)
        try await writable(port: postgresqlPort(next), within: 20)
        try await consumer.write(ids, on: next)
        try await consumer.read(on: next)
        #expect(consumer.received == Array(1...ids.upperBound))
    }

    /// Waits until the copies of the slot have come to where the consumer is.
    fileprivate func moved(_ consumer: Consumer, from leader: Int) async throws {
        let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'l'"
        let position = try #require(await value(leader, confirmed).flatMap { WALPosition($0) })
        try await waitUntil("the copies are moved forward to \(position)", within: 60) {
            for node in nodes where node != leader {
                guard let copy = await value(node, confirmed).flatMap({ WALPosition($0) }), copy >= position else {
                    return false
                }
            }
            return true
        }
    }

    /// A publication, and a permanent slot on all nodes. Not made with the cluster: a slot needs WAL from before a
    /// standby was copied, then, which none has.
    fileprivate func logicalSlot(by leader: Int) async throws {
        try await sql(leader, "CREATE TABLE t(id int PRIMARY KEY)")
        try await sql(leader, "CREATE PUBLICATION p FOR TABLE t")
        let body = #"{"slots": {"l": {"type": "logical", "database": "postgres", "plugin": "pgoutput"}}}"#
        #expect(try await answer("PATCH", leader, "/config", body: body).status == 200)
        try await waitUntil("every node has the slot", within: 90) {
            for node in nodes {
                let statement = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'l'"
                guard await value(node, statement) == "1" else { return false }
            }
            return true
        }
    }

    /// Waits until every other node has all of `leader`'s WAL.
    fileprivate func received(by leader: Int) async throws {
        let end = try #require(await value(leader, "SELECT pg_current_wal_lsn()").flatMap { WALPosition($0) })
        try await waitUntil("the others have received \(end)", within: 30) {
            for node in nodes where node != leader {
                let statement = "SELECT pg_last_wal_replay_lsn()"
                guard let there = await value(node, statement).flatMap({ WALPosition($0) }), there >= end else {
                    return false
                }
            }
            return true
        }
    }
}
