import ClusterModel
import JSON
import Posix
import Testing

/// Some nodes of a test that are a cluster of their own, in the store that all of them share: one of two sites, of
/// which one may follow the other.
struct Site {
    /// The slot that the primary of the one keeps for the leader of the other.
    static let slot = "far"

    /// `bootstrap.dcs` of both: whoever is the primary has the slot.
    static func dynamic(_ dynamic: JSONObject) -> JSONObject {
        var dynamic = dynamic
        dynamic["slots"] = [slot: ["type": "physical"]]
        return dynamic
    }

    let cluster: TestCluster
    let scope: String
    let nodes: [Int]

    init(_ cluster: TestCluster, _ scope: String, _ nodes: Int...) {
        self.cluster = cluster
        self.scope = scope
        self.nodes = nodes
    }

    /// The configuration of its nodes makes it a standby cluster of `primary` from its first start.
    func configure(following primary: Int) throws {
        try configure(
            following: [
                "host": "127.0.0.1", "port": .int(Int64(cluster.postgresqlPort(primary))),
                "primary_slot_name": .string(Self.slot),
            ])
    }

    func configure(following section: JSONObject) throws {
        for node in nodes {
            let text = try Files.readText(cluster.configurationFile(node))
            let key = try #require(["\"loop_wait\":", "\"loop_wait\" :"].first { text.contains($0) })
            try cluster.edit(node, key, "\"standby_cluster\":\(JSON.text(section)),\(key)")
        }
    }

    /// Starts its nodes one after another: the first makes the cluster.
    func start() async throws {
        try await cluster.start(nodes[0])
        try await waitUntil("\(cluster.name(nodes[0])) leads \(scope)", within: 90) { await leader() == nodes[0] }
        for node in nodes.dropFirst() { try await cluster.start(node) }
    }

    /// Who holds its leader key and says so.
    func leader() async -> Int? {
        for node in nodes where await cluster.get(node, "/leader")?.status == 200 { return node }
        return nil
    }

    /// Waits until a primary leads it on `timeline`, from which all others stream; its number.
    func leads(
        on timeline: Int64, within seconds: Double = 90, at line: SourceLocation = #_sourceLocation
    ) async throws -> Int {
        try await stands("a primary leads \(scope) on timeline \(timeline)", within: seconds, at: line) { leader in
            guard await cluster.get(leader, "/primary")?.status == 200 else { return false }
            return await isWhole(leader, on: timeline)
        }
    }

    /// Waits until nobody of it accepts writes, its leader streams from `upstream` by the slot there, and all others
    /// from the leader; its number.
    @discardableResult
    func follows(
        _ upstream: Int, on timeline: Int64, within seconds: Double = 90, at line: SourceLocation = #_sourceLocation
    ) async throws -> Int {
        let what = "\(scope) follows \(cluster.name(upstream)) on timeline \(timeline)"
        return try await stands(what, within: seconds, at: line) { leader in
            let slot = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '\(Self.slot)' AND active"
            let sender = "SELECT pid FROM pg_stat_replication WHERE application_name = '\(cluster.name(leader))'"
            guard let by = await cluster.value(upstream, slot), by == (await cluster.value(upstream, sender)),
                await isWhole(leader, on: timeline)
            else { return false }
            for node in nodes where await cluster.value(node, "SELECT pg_is_in_recovery()") != "t" { return false }
            return await answers(leader)
        }
    }

    private func stands(
        _ what: String, within seconds: Double, at line: SourceLocation, _ condition: (Int) async -> Bool
    ) async throws -> Int {
        var found: Int?
        try await waitUntil(what, within: seconds, at: line) {
            guard let leader = await leader(), await condition(leader) else { return false }
            found = leader
            return true
        }
        return try #require(found)
    }

    private func isWhole(_ leader: Int, on timeline: Int64) async -> Bool {
        for node in nodes {
            guard await cluster.timeline(node) == timeline else { return false }
            if node == leader { continue }
            let sender = "SELECT count(*) FROM pg_stat_replication WHERE application_name = '\(cluster.name(node))'"
            guard await cluster.streams(node), await cluster.value(leader, sender) == "1" else { return false }
        }
        return true
    }

    /// rest-api.md §6: the codes of a standby cluster.
    private func answers(_ leader: Int) async -> Bool {
        for node in nodes {
            let leads = node == leader
            let expected = [
                ("/leader", leads), ("/standby-leader", leads), ("/standby_leader", leads), ("/primary", false),
                ("/replica", !leads),
            ]
            for (path, isSo) in expected {
                guard await cluster.get(node, path)?.status == (isSo ? 200 : 503) else { return false }
            }
            let role = leads ? "standby_leader" : "replica"
            guard await cluster.get(node, "/patroni")?.json["role"]?.string == role else { return false }
        }
        let roles = await cluster.members(leader).map { $0["role"]?.string ?? "" }
        return Set(roles) == Set(nodes.map { $0 == leader ? "standby_leader" : "replica" })
    }

    // MARK: What operators do

    func switchOver(to node: Int, at line: SourceLocation = #_sourceLocation) async throws {
        let leader = try #require(await leader(), sourceLocation: line)
        let answer = try await cluster.answer(
            "POST", leader, "/switchover",
            body: #"{"leader": "\#(cluster.name(leader))", "candidate": "\#(cluster.name(node))"}"#, seconds: 60)
        #expect(
            answer.status == 200 && answer.body == "Successfully switched over to \"\(cluster.name(node))\"",
            "\(answer)", sourceLocation: line)
    }

    func promote(
        by program: OperatorTool.Program = .ours, at line: SourceLocation = #_sourceLocation
    ) async throws {
        let done = try await cluster.tool(program, node: nodes[0]).run("promote-cluster", "--force")
        #expect(
            done.code == 0 && done.output.contains(" cluster is successfully promoted\n"), "\(done)",
            sourceLocation: line)
    }

    /// It is to follow `upstream` from now on.
    func demote(
        following upstream: Int, by program: OperatorTool.Program = .ours, at line: SourceLocation = #_sourceLocation
    ) async throws {
        let done = try await cluster.tool(program, node: nodes[0]).run(
            "demote-cluster", "--host", "127.0.0.1", "--port", "\(cluster.postgresqlPort(upstream))",
            "--primary-slot-name", Self.slot, "--force")
        #expect(
            done.code == 0 && done.output.contains(" cluster is successfully demoted\n"), "\(done)",
            sourceLocation: line)
    }

    /// Waits until all of it have these rows.
    func has(
        _ rows: String, of table: String = "written", _ column: String = "id",
        at line: SourceLocation = #_sourceLocation
    ) async throws {
        let statement = "SELECT string_agg(\(column)::text, ',' ORDER BY \(column)) FROM \(table)"
        for node in nodes {
            try await waitUntil("\(cluster.name(node)) has \(rows)", within: 90, at: line) {
                await cluster.value(node, statement) == rows
            }
        }
    }
}
