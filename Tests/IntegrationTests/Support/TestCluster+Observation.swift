import ClusterModel
import JSON
import Posix
import Testing

/// What a test asks the cluster.
extension TestCluster {
    /// One HTTP request to a port of loopback; nil when nobody answers.
    func call(
        _ method: String, port: Int, _ path: String, body: String? = nil, seconds: Int = 5
    ) async -> HTTPAnswer? {
        let identity = port == etcdPort ? nil : certificates?.identity
        return try? await Blocking.run("http") {
            HTTPCall.send(method, port: port, path, body: body, seconds: seconds, identity: identity)
        }
    }

    func get(_ node: Int, _ path: String) async -> HTTPAnswer? { await call("GET", port: restPort(node), path) }

    /// A request that must be answered.
    func answer(
        _ method: String, _ node: Int, _ path: String, body: String? = nil, seconds: Int = 5
    ) async throws -> HTTPAnswer {
        guard let answer = await call(method, port: restPort(node), path, body: body, seconds: seconds) else {
            throw Unmet(description: "\(name(node)) does not answer \(method) \(path)")
        }
        return answer
    }

    /// Runs one statement; its rows as text.
    @discardableResult
    func sql(port: Int, _ statement: String, within seconds: Double = 60) async throws -> [[String?]] {
        let conninfo = conninfo(port: port)
        return try await Blocking.run("sql") { try SQLSession(conninfo).query(statement, seconds: seconds) }
    }

    @discardableResult
    func sql(_ node: Int, _ statement: String, within seconds: Double = 60) async throws -> [[String?]] {
        try await sql(port: postgresqlPort(node), statement, within: seconds)
    }

    /// The first column of the first row; nil when PostgreSQL does not answer, or answers with nothing.
    func value(_ node: Int, _ statement: String) async -> String? {
        (try? await sql(node, statement, within: 5))?.first?.first ?? nil
    }

    /// The node that says of itself that it is the primary.
    func leader() async -> Int? {
        for node in nodes where await get(node, "/primary")?.status == 200 { return node }
        return nil
    }

    /// The guardian of `node`; nil where none runs.
    func guardian(_ node: Int) async throws -> OwnedProcess? {
        let place = Array(dataDirectory(node).utf8)
        let variable = "\(Leftovers.mark)=\(directory)"
        return try await Blocking.run("guardian") {
            OwnedProcess.all(with: variable).first { process in
                let words = ((try? Files.read("/proc/\(process.pid)/cmdline")) ?? []).split(separator: 0)
                // The kernel keeps 15 bytes of a name.
                return process.name == "matriarch-guard" && words.contains { $0.elementsEqual(place) }
            }
        }
    }

    /// The members as `node` lists them.
    func members(_ node: Int) async -> [JSONValue] { await get(node, "/cluster")?.json["members"]?.array ?? [] }

    func timeline(_ node: Int) async -> Int64? { await get(node, "/patroni")?.json["timeline"]?.int }

    /// Whether `node` is a replica that streams.
    func streams(_ node: Int) async -> Bool {
        let status = await get(node, "/patroni")?.json
        return status?["role"]?.string == "replica" && status?["replication_state"]?.string == "streaming"
    }

    /// Waits for one leader with all other nodes streaming on its timeline; the leader's number.
    @discardableResult
    func healthy(within seconds: Double, at line: SourceLocation = #_sourceLocation) async throws -> Int {
        var found: Int?
        try await waitUntil("one leader, all others stream", within: seconds, at: line) {
            for node in nodes where try !daemon(node).isAlive {
                throw Unmet(description: "the daemon of \(name(node)) has ended (\(line.fileName):\(line.line))")
            }
            guard let leader = await leader() else { return false }
            // The timeline of replicas is told in the members' keys, as every client sees it.
            let members = await members(leader).filter { $0["name"]?.string.flatMap(number) != nil }
            guard members.count == nodes.count, Set(members.map { $0["timeline"] }).count == 1 else { return false }
            let standbys: Set = ["replica", "sync_standby", "quorum_standby"]
            let streaming = members.filter { member in
                member["state"]?.string == "streaming" && member["role"]?.string.map(standbys.contains) == true
            }
            found = leader
            return streaming.count == nodes.count - 1
                && members.contains { $0["role"]?.string == "leader" && $0["name"]?.string == name(leader) }
        }
        return try #require(found)
    }

    /// Waits until a node other than `old` is the primary; its number.
    func newLeader(
        after old: Int, within seconds: Double, at line: SourceLocation = #_sourceLocation
    ) async throws -> Int {
        var found: Int?
        try await waitUntil("a node other than \(name(old)) leads", within: seconds, at: line) {
            for node in nodes where node != old {
                if await get(node, "/primary")?.status == 200 { found = node }
            }
            return found != nil
        }
        return try #require(found)
    }

    /// In so many seconds, by the clock of the machine: as text, and when the machine has been up for so long.
    func instant(in seconds: Int) async throws -> (text: String, at: Double) {
        let format = "YYYY-MM-DD\"T\"HH24:MI:SS\"+00:00\""
        let statement = "SELECT to_char(now() AT TIME ZONE 'utc' + interval '\(seconds) s', '\(format)')"
        let leader = try #require(await leader())
        let text = try #require(await value(leader, statement))
        return (text, bootSeconds() + Double(seconds))
    }

    /// Waits until a statement succeeds on `port`: writes resumed there.
    func writable(port: Int, within seconds: Double, at line: SourceLocation = #_sourceLocation) async throws {
        try await waitUntil("writes are accepted on port \(port)", within: seconds, at: line) {
            (try? await sql(port: port, "CREATE TABLE IF NOT EXISTS alive(); DROP TABLE alive", within: 5)) != nil
        }
    }
}

extension TestCluster {
    /// Waits until HAProxy's `port` leads to `node`.
    func leads(
        _ port: Int, to node: Int, within seconds: Double = 10, at line: SourceLocation = #_sourceLocation
    ) async throws {
        try await waitUntil("port \(port) leads to \(name(node))", within: seconds, at: line) {
            (try? await sql(port: port, "SHOW port", within: 5))?.first?.first == "\(postgresqlPort(node))"
        }
    }

    /// Begins or ends pause, by a request to `leader`, and waits until every node knows.
    func setPause(_ value: String, by leader: Int, within seconds: Double = 15) async throws {
        let body = #"{"pause": \#(value)}"#
        #expect(try await answer("PATCH", leader, "/config", body: body).status == 200)
        try await waitUntil("every node knows that pause is \(value)", within: seconds) {
            for node in nodes {
                guard let status = await get(node, "/patroni")?.json else { return false }
                if (status["pause"] == true) != (value == "true") { return false }
            }
            return true
        }
    }
}
