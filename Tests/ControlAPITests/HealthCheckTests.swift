import ClusterModel
import Glibc
import HTTPServer
import HighAvailability
import Ports
import Testing

@testable import ControlAPI

/// A snapshot and the probes that are answered with 200; all others with 503.
struct HealthRow: Sendable, CustomStringConvertible {
    let description: String
    let snapshot: NodeSnapshot
    let good: Set<String>

    init(_ description: String, _ snapshot: NodeSnapshot, _ good: Set<String>) {
        self.description = description
        self.snapshot = snapshot
        self.good = good
    }
}

/// The health checks of rest-api.md §6 in the situations of its §18.
@Suite struct HealthCheckTests {
    static let paths = [
        "/", "/primary", "/read-write", "/master", "/leader", "/standby-leader", "/standby_leader", "/replica",
        "/replica/", "/read-only", "/read-only-sync", "/read-only-synchronous", "/read-only-quorum", "/sync",
        "/synchronous", "/quorum", "/async", "/asynchronous", "/async/", "/health", "/xxleaderyy", "/nothing",
    ]
    static let primaries: Set = ["/", "/primary", "/read-write", "/master"]
    static let leaders: Set = ["/leader", "/xxleaderyy"]
    static let standbyLeaders: Set = ["/standby-leader", "/standby_leader"]
    static let readOnly: Set = ["/read-only", "/read-only-sync", "/read-only-synchronous", "/read-only-quorum"]
    static let replicas: Set = ["/replica", "/replica/", "/read-only"]
    static let asynchronous: Set = ["/async", "/asynchronous"]

    static func voter(_ mode: JSONValue) -> NodeSnapshot {
        Scene.snapshot(
            view: Scene.view(leader: "pg-a", sync: SyncState(leader: "pg-a", voters: ["PG-B"])),
            settings: ["synchronous_mode": mode])
    }

    static let serving = primaries.union(leaders).union(readOnly)

    static func full(lease: Lease? = Scene.held, standbySignal: Bool = false) -> NodeSnapshot {
        var local = Scene.silent(.running, standbySignal: standbySignal)
        local.isFull = true
        return Scene.snapshot(local, view: Scene.view(leader: "pg-b"), role: .primary, lease: lease)
    }

    static let standbyCluster: JSONObject = ["standby_cluster": ["host": "192.0.2.9"]]

    static let rows = [
        HealthRow("the leader", Scene.leading(), primaries.union(leaders).union(readOnly).union(["/health"])),
        HealthRow(
            "a primary whose /config asks for a standby cluster, which nobody makes of it",
            Scene.leading(standbyCluster), primaries.union(leaders).union(readOnly).union(["/health"])),
        HealthRow("a replica", Scene.snapshot(), replicas.union(asynchronous).union(["/health"])),
        HealthRow(
            "a synchronous standby", voter(true),
            replicas.union(["/health", "/sync", "/synchronous"]).union(
                ["/read-only-sync", "/read-only-synchronous"])),
        HealthRow(
            "a standby of the quorum", voter("quorum"),
            replicas.union(
                ["/health", "/quorum", "/read-only-quorum"])),
        HealthRow("a replica whose PostgreSQL is down", Scene.snapshot(Scene.silent(.stopped)), []),
        HealthRow("a replica that does not answer", Scene.snapshot(Scene.silent(.running)), []),
        HealthRow(
            "a leader whose PostgreSQL is down: the lease alone is not enough",
            Scene.snapshot(
                Scene.silent(.crashed, standbySignal: false), view: Scene.view(leader: "pg-b"), role: .primary,
                lease: Scene.held), []),
        HealthRow("a leader that lets nobody in any more, and serves whom it has let in", full(), serving),
        HealthRow("until its lease ends", full(lease: Scene.expired), []),
        HealthRow("a standby likewise is none", full(standbySignal: true), []),
        HealthRow(
            "the leader key and a PostgreSQL that is still in recovery",
            Scene.snapshot(view: Scene.view(leader: "pg-b"), lease: Scene.held),
            replicas.union(asynchronous).union(["/health"])),
        HealthRow("a primary whose lease has ended", Scene.leading(lease: Scene.expired), ["/health"]),
        HealthRow("a primary without the key", Scene.leading(lease: nil), ["/health"]),
        HealthRow(
            "a demoted node while the DCS is down",
            Scene.snapshot(view: Scene.view(leader: "pg-b"), storeFailure: "gone"),
            ["/replica", "/replica/", "/read-only", "/health"]),
        HealthRow(
            "a primary in a paused cluster without the DCS",
            Scene.snapshot(
                Scene.primary(), view: Scene.view(leader: "pg-b"), role: .primary, settings: ["pause": true],
                storeFailure: "gone"), primaries.union(leaders).union(["/read-only", "/health"])),
        HealthRow(
            "a replica in a paused cluster without the DCS",
            Scene.snapshot(settings: ["pause": true], storeFailure: "gone"),
            ["/replica", "/replica/", "/read-only", "/health"]),
        HealthRow(
            "the leader of a standby cluster",
            Scene.snapshot(view: Scene.view(leader: "pg-b"), lease: Scene.held, settings: standbyCluster),
            leaders.union(standbyLeaders).union(readOnly).union(["/health"])),
        HealthRow(
            "a replica of a standby cluster", Scene.snapshot(settings: standbyCluster),
            replicas.union(asynchronous).union(["/health"])),
        HealthRow(
            "a replica not to be balanced to", Scene.snapshot(tags: ["noloadbalance": true]), ["/health"]),
        HealthRow(
            "a leader not to be balanced to",
            Scene.snapshot(
                Scene.primary(), view: Scene.view(leader: "pg-b"), role: .primary, lease: Scene.held,
                tags: ["noloadbalance": true]), primaries.union(leaders).union(readOnly).union(["/health"])),
    ]

    @Test(arguments: rows) func situation(_ row: HealthRow) {
        let check = HealthCheck(PublishedSnapshot(row.snapshot), now: Scene.now)
        let good = Self.paths.filter { check.code($0, HealthCheck.Parameters()) == 200 }
        #expect(Set(good) == row.good)
    }

    // MARK: Lag and replication state

    /// The leader is at 251658240, the replica has replayed 240 bytes less.
    @Test(arguments: [
        ("", 200), ("lag=", 200), ("lag=nonsense", 200), ("lag=240", 200), ("lag=239", 503), ("lag=-1", 503),
        ("lag=1kB", 200), ("lag=1KB", 200), ("lag=0x100", 200), ("lag=010", 503), ("lag=1&lag=1000", 503),
        ("replication_state=streaming", 200), ("replication_state=in+archive%20recovery", 503),
        ("replication_state=Streaming", 503), ("replication_state=", 200),
    ])
    func replicasAnswerByLagAndReplicationState(_ query: String, _ code: Int) async throws {
        let bench = Bench()
        for path in ["/replica", "/read-only", "/async"] {
            #expect(try await bench.ask("GET", "\(path)?\(query)").status == code, "\(path)?\(query)")
        }
        // They say nothing of leaders, nor of health.
        let leader = Bench(Scene.leading())
        for path in ["/primary", "/leader", "/read-only", "/health"] {
            #expect(try await leader.ask("GET", "\(path)?\(query)").status == 200, "\(path)?\(query)")
        }
        #expect(try await bench.ask("GET", "/health?\(query)").status == 200)
    }

    @Test func theLagCountsFromTheLatestPositionKnown() {
        let bySender = Scene.snapshot(Scene.standby(replayed: 1000, latestEnd: 5000), view: nil)
        let byStore = Scene.snapshot(
            Scene.standby(replayed: 1000, latestEnd: 0), view: Scene.view(leader: "pg-a", optime: 5000))
        for snapshot in [bySender, byStore] {
            let check = HealthCheck(PublishedSnapshot(snapshot), now: Scene.now)
            #expect(check.code("/replica", .init(lag: 4000)) == 200)
            #expect(check.code("/replica", .init(lag: 3999)) == 503)
        }
        let nothing = Scene.snapshot(Scene.standby(replayed: 1000), view: Scene.view(leader: "pg-a", optime: 0))
        #expect(HealthCheck(PublishedSnapshot(nothing), now: Scene.now).code("/replica", .init(lag: -5)) == 200)
    }

    @Test func archiveRecoveryIsAState() {
        let archive = Scene.snapshot(Scene.standby(streaming: false, restoreCommand: true))
        let check = HealthCheck(PublishedSnapshot(archive), now: Scene.now)
        #expect(check.code("/replica", .init(replicationState: "in archive recovery")) == 200)
        #expect(check.code("/replica", .init(replicationState: "streaming")) == 503)
        let neither = HealthCheck(PublishedSnapshot(Scene.snapshot(Scene.standby(streaming: false))), now: Scene.now)
        #expect(neither.code("/replica", .init(replicationState: "streaming")) == 503)
        #expect(neither.code("/replica", .init()) == 200)
    }

    // MARK: Tags

    static let tags: JSONObject = [
        "zone": "b", "ssd": true, "weight": 1.4, "rack": 12, "clonefrom": true, "nosync": false, "Case": "Mixed",
    ]

    @Test(arguments: [
        ("tag_zone=b", 200), ("tag_zone=B", 503), ("tag_zone=c", 503), ("tag_zone=", 200), ("tag_absent=1", 503),
        ("tag_ssd=true", 200), ("tag_ssd=True", 503), ("tag_weight=1.4", 200), ("tag_rack=12", 200),
        ("tag_clonefrom=true", 200), ("tag_nosync=false", 503), ("tag_Case=Mixed", 200), ("tag_Case=mixed", 503),
        ("tag_zone=b&tag_rack=12", 200), ("tag_zone=b&tag_rack=13", 503), ("tag_zone=b&tag_zone=c", 200),
        ("tag_zone=c&tag_zone=b", 503), ("tag_zone=&tag_zone=b", 200),
    ])
    func tagsMustMatch(_ query: String, _ code: Int) async throws {
        let bench = Bench(Scene.snapshot(tags: Self.tags))
        for path in ["/replica", "/read-only", "/health", "/async"] {
            #expect(try await bench.ask("GET", "\(path)?\(query)").status == code, "\(path)?\(query)")
        }
        var leading = Scene.leading()
        leading.me.tags = Tags(Self.tags)
        let leader = Bench(leading)
        for path in ["/", "/primary", "/leader"] {
            #expect(try await leader.ask("GET", "\(path)?\(query)").status == 200, "\(path)?\(query)")
        }
        for path in ["/read-only", "/read-only-sync", "/read-only-quorum", "/health"] {
            #expect(try await leader.ask("GET", "\(path)?\(query)").status == code, "\(path)?\(query)")
        }
    }

    // MARK: Forms

    @Test(arguments: ["HEAD", "OPTIONS"])
    func headAndOptionsAreBareAndKnowHealthChecksAlone(_ method: String) async throws {
        let bench = Bench(Scene.leading())
        let good = try await bench.ask(method, "/primary")
        #expect(good.status == 200 && good.isBare)
        #expect(try await bench.ask(method, "/").status == 200)
        for path in ["/liveness", "/readiness", "/patroni", "/cluster", "/config", "/history", "/metrics"] {
            let answer = try await bench.ask(method, path)
            #expect(answer.status == 503 && answer.isBare, "\(method) \(path)")
        }
    }

    /// One character with the slash, for a text; not for a path.
    @Test func aMarkAfterTheSlashIsAnotherPath() async throws {
        #expect(firstSegment("/config/x") == "config" && firstSegment("/") == "")
        #expect(firstSegment("/\u{320}config").utf8.elementsEqual("\u{320}config".utf8))
        #expect(try await Bench().ask("GET", "/\u{320}config").status == 503)
    }

    // MARK: What a request is made of

    /// As Patroni does it: escapes are part of the path.
    @Test(arguments: ["/%70rimary", "/prim%61ry", "/patron%69", "/confi%67", "/%6Ceader"])
    func aPathIsTakenAsItStands(_ path: String) async throws {
        let answer = try await Bench(Scene.leading()).ask("GET", path)
        #expect(answer.status == 503 && answer.headers["Content-Type"] == "application/json")
    }

    /// What is longer than a route may be is none, whatever words are in it.
    @Test func longPathsAreNotSearched() async throws {
        let bench = Bench(Scene.leading())
        let long = String(repeating: "x", count: Route.pathBytesMax - "/primary".utf8.count)
        #expect(try await bench.ask("GET", "/primary" + long).status == 200)
        #expect(try await bench.ask("GET", "/primaryx" + long).status == 503)
        #expect(try await bench.ask("HEAD", "/leader/" + long + long).isBare)
        #expect(try await bench.ask("GET", "/cluster/" + long).status == 503)
        #expect(try await bench.ask("POST", "/reload/x" + long).status == 501)
    }

    /// Marks make other characters of what stands before them, and equal texts of different bytes.
    @Test func wordsAndTagsAreComparedByteByByte() async throws {
        let leader = Bench(Scene.leading())
        #expect(try await leader.ask("GET", "/leader\u{301}").status == 200)
        #expect(try await leader.ask("GET", "/\u{301}leader\u{200D}x").status == 200)
        #expect(try await leader.ask("GET", "/le\u{301}ader").status == 503)
        let bench = Bench(Scene.snapshot(tags: ["zone": "\u{E9}", "caf\u{E9}": "1"]))
        for (query, code) in [
            ("tag_zone=\u{E9}", 200), ("tag_zone=%C3%A9", 200), ("tag_zone=e\u{301}", 503), ("tag_caf\u{E9}=1", 200),
            ("tag_cafe\u{301}=1", 503), ("tag_\u{301}zone=x", 503), ("lag=1\u{301}", 200),
            ("lag=" + String(repeating: "0", count: 80) + "1", 200), ("replication_state=streaming\u{301}", 503),
        ] { #expect(try await bench.ask("GET", "/replica?\(query)").status == code, "\(query)") }
    }

    /// Each costs its bytes and nothing more: as grapheme clusters the costliest took a thousand times as much as the
    /// usual one, which is the measure, so that the speed of the machine does not count.
    @Test func whatATargetIsMadeOfCostsNothing() async throws {
        let bench = Bench(Scene.leading())
        let flags = String(repeating: "\u{1F1E6}", count: 2000)
        let marks = String(repeating: "\u{301}", count: 4000)
        func cost(_ target: String) throws -> Duration {
            let request = try HTTPRequest(method: "GET", target: target)
            return (0..<5).map { _ in
                let begun = Self.processorTime()
                for _ in 0..<20 { _ = bench.api.reply(to: request) }
                return Self.processorTime() - begun
            }.min() ?? .zero
        }
        let usual = try cost("/replica?tag_zone=b&tag_rack=12&lag=16MB")
        let query = (0..<32).map { "tag_\($0)\(marks.prefix(0))=\($0)" }.joined(separator: "&")
        for target in [
            "/" + flags, "/leader" + marks, "/x?" + flags, "/replica?lag=" + flags, "/replica?tag_a=" + flags,
            "/replica?replication_state=" + marks, "/replica?" + query, "/readiness?lag=" + flags,
        ] {
            let cost = try cost(target)
            #expect(cost < usual * 300, "\(target.utf8.prefix(20)): \(cost), usually \(usual)")
        }
    }

    /// Of this thread: what else the machine does is no part of a request's cost.
    private static func processorTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    @Test func aRouteIsMadeOnceAndTellsAllApart() throws {
        func route(_ method: String, _ path: String) throws -> String {
            switch Route(try HTTPRequest(method: method, target: path)) {
            case .probe(.health(let rule, _, let isBare)): "\(rule)\(isBare ? " bare" : "")"
            case .probe(.status): "status"
            case .probe(.liveness): "liveness"
            case .probe(.readiness): "readiness"
            case .document(let document): "document \(document)"
            case .change(let change): "change \(change)"
            case .unsupported: "unsupported"
            }
        }
        for (method, path, expected) in [
            ("GET", "/", "primary"), ("OPTIONS", "/", "primary bare"), ("HEAD", "/patroni", "nothing bare"),
            ("GET", "/patroni/x", "status"), ("GET", "/liveness", "liveness"), ("GET", "/readiness?lag=1", "readiness"),
            ("GET", "/config", "document configuration"), ("GET", "/openapi.yaml", "document contract"),
            ("PUT", "/config", "change putConfiguration"), ("POST", "/citus", "change workerEvent"),
            ("DELETE", "/failover", "unsupported"), ("OPTIONS", "*", "nothing bare"), ("GET", "/xsync", "nothing"),
        ] { #expect(try route(method, path) == expected, "\(method) \(path)") }
    }

    @Test func unknownPathsAre503WithTheStatus() async throws {
        let bench = Bench()
        let answer = try await bench.ask("GET", "/no/such/path")
        #expect(answer.status == 503)
        #expect(answer.text == (try await bench.ask("GET", "/patroni")).text)
        #expect(try await bench.ask("GET", "//patroni").status == 200)
        #expect(try await bench.ask("GET", "/patroni/x/y").status == 200)
    }

    @Test(arguments: [
        ("DELETE", "/failover"), ("POST", "/primary"), ("PUT", "/nothing"), ("TRACE", "/"), ("PATCH", "/history"),
        ("DELETE", "/config"),
    ])
    func whatHasNoHandlerIs501(_ method: String, _ path: String) async throws {
        let answer = try await Bench().ask(method, path)
        #expect(answer.status == 501)
        #expect(answer.reason == "Unsupported method ('\(method)')")
        #expect(answer.text.contains("Error code explanation: 501 - Server does not support this operation."))
    }

    @Test func anAnswerIsRenderedAnewWhenTheLeaseEnds() async throws {
        let bench = Bench(Scene.leading())
        #expect(try await bench.ask("GET", "/primary").status == 200)
        await bench.clock.sleep(until: Scene.held.deadline)
        #expect(try await bench.ask("GET", "/primary").status == 503)
    }
}

extension HealthCheck {
    func code(_ path: String, _ parameters: Parameters) -> Int { code(Rule(path), parameters) }
}

extension HealthCheck.Parameters {
    init(lag: Int64? = nil, replicationState: String? = nil) {
        self.init()
        self.lag = lag
        self.replicationState = replicationState
    }
}
