import ClusterModel
import HTTPServer
import HighAvailability
import Ports
import Testing

@testable import ControlAPI

/// A state of the node, and what every endpoint beside the health checks answers in it.
struct Situation: Sendable, CustomStringConvertible {
    let description: String
    let snapshot: NodeSnapshot
    /// Nil where the store does not answer.
    var view: ClusterView? = Scene.view(leader: "pg-a")
    /// What differs from a replica of a sound cluster, by request.
    var codes: [String: Int] = [:]

    var bench: Bench {
        let read: Result<ClusterView, DCSError> = view.map { .success($0) } ?? .failure(.unreachable("gone"))
        let outcome: Result<WriteOutcome, DCSError> =
            view == nil ? .failure(.unreachable("gone")) : .success(.written(100))
        return Bench(
            snapshot, store: FakeStore([read], outcomes: [outcome]),
            peers: ["pg-a": Scene.usable(), "pg-c": Scene.usable()])
    }
}

/// Every endpoint in every state of the node (rest-api.md §18); the health checks have `HealthCheckTests`.
@Suite struct SituationTests {
    /// A replica of a sound cluster.
    static let usual: [(request: String, body: String?, code: Int)] = [
        ("GET /patroni", nil, 200), ("GET /metrics", nil, 200), ("GET /liveness", nil, 200),
        ("GET /readiness", nil, 200), ("GET /cluster", nil, 200), ("GET /history", nil, 200),
        ("GET /config", nil, 200), ("GET /failsafe", nil, 502), ("GET /events", nil, 200),
        ("GET /explain", nil, 200), ("GET /rolling-restart", nil, 404), ("POST /rolling-restart", nil, 412),
        ("DELETE /rolling-restart", nil, 404),
        ("GET /openapi.yaml", nil, 200), ("POST /failsafe", #"{"name": "pg-a"}"#, 502),
        ("PATCH /config", #"{"ttl": 40}"#, 200), ("PUT /config", #"{"ttl": 40}"#, 200),
        ("POST /restart", nil, 200), ("POST /restart", #"{"schedule": "2031-01-01T00:00:00Z"}"#, 202),
        ("DELETE /restart", nil, 200), ("POST /reinitialize", nil, 200), ("POST /reload", nil, 202),
        ("POST /sigterm", nil, 202),
        ("POST /switchover", #"{"leader": "pg-a", "scheduled_at": "2031-01-01T00:00:00Z"}"#, 202),
        ("POST /switchover", #"{"leader": "pg-x"}"#, 412), ("POST /failover", #"{"candidate": "pg-x"}"#, 412),
        ("DELETE /switchover", nil, 404), ("POST /mpp", #"{"type": "x"}"#, 200),
        ("POST /citus", #"{"type": "x"}"#, 200), ("DELETE /failover", nil, 501), ("POST /nothing", nil, 501),
        ("GET /nothing", nil, 503), ("HEAD /metrics", nil, 503), ("OPTIONS /config", nil, 503),
    ]

    private static let gone: [String: Int] = [
        "GET /cluster": 503, "GET /history": 503, "GET /config": 503, "PATCH /config": 503, "PUT /config": 503,
        "POST /restart": 503, "POST /reinitialize": 503, "POST /switchover": 503, "POST /failover": 503,
        "DELETE /switchover": 503, "GET /rolling-restart": 503, "POST /rolling-restart": 503,
        "DELETE /rolling-restart": 503,
    ]

    static let paused = Scene.view(leader: "pg-a", config: ["ttl": 30, "pause": true])
    static let failsafe = Scene.view(
        leader: "pg-a", config: ["failsafe_mode": true], failsafe: ["pg-b": "https://192.0.2.2:8008/patroni"])
    static let standby: JSONObject = ["standby_cluster": ["host": "192.0.2.9"]]

    static let rows = [
        Situation(description: "a replica", snapshot: Scene.snapshot()),
        Situation(
            description: "the leader", snapshot: Scene.leading(), view: Scene.view(leader: "pg-b"),
            codes: ["POST /reinitialize": 503]),
        Situation(
            description: "starting, nothing read yet", snapshot: Scene.snapshot(Scene.silent(.starting), view: nil),
            codes: ["GET /readiness": 503]),
        Situation(
            description: "stopped", snapshot: Scene.snapshot(Scene.silent(.stopped)), codes: ["GET /readiness": 503]),
        Situation(
            description: "no leader", snapshot: Scene.snapshot(view: Scene.view(leader: nil)),
            view: Scene.view(leader: nil), codes: ["POST /reinitialize": 503]),
        Situation(
            description: "paused", snapshot: Scene.snapshot(view: paused, settings: ["pause": true]), view: paused,
            codes: ["POST /restart {schedule}": 500, "POST /switchover": 400]),
        Situation(
            description: "the leader of a standby cluster",
            snapshot: Scene.snapshot(view: Scene.view(leader: "pg-b"), lease: Scene.held, settings: standby),
            view: Scene.view(leader: "pg-b", config: standby), codes: ["POST /reinitialize": 503]),
        Situation(
            description: "the DCS gone, streaming",
            snapshot: Scene.snapshot(Scene.standby(latestEnd: 251_658_240), storeFailure: "gone"), view: nil,
            codes: gone),
        Situation(
            description: "the DCS gone, paused, the former leader",
            snapshot: Scene.snapshot(
                Scene.primary(), view: paused, role: .primary, settings: ["pause": true], storeFailure: "gone"),
            view: nil, codes: gone.merging(["GET /readiness": 503]) { $1 }),
        Situation(
            description: "failsafe mode, a replica",
            snapshot: Scene.snapshot(view: failsafe, settings: ["failsafe_mode": true]), view: failsafe,
            codes: ["GET /failsafe": 200, "POST /failsafe": 400]),
        Situation(
            description: "failsafe mode, a primary",
            snapshot: {
                var leading = Scene.leading(["failsafe_mode": true])
                leading.view = failsafe
                return leading
            }(), view: failsafe, codes: ["GET /failsafe": 200, "POST /failsafe": 400]),
        Situation(
            description: "no configuration in the DCS",
            snapshot: Scene.snapshot(view: Scene.view(leader: "pg-a", config: nil)),
            view: Scene.view(leader: "pg-a", config: nil), codes: ["GET /config": 502, "PATCH /config": 503]),
    ]

    @Test(arguments: rows) func everyEndpointAnswers(_ row: Situation) async throws {
        for (request, body, code) in Self.usual {
            let words = request.split(separator: " ").map(String.init)
            let key = body?.contains("schedule\"") == true ? "\(request) {schedule}" : request
            let expected = code == 501 ? code : row.codes[key] ?? row.codes[request] ?? code
            let answer = try await row.bench.ask(words[0], words[1], body)
            #expect(answer.status == expected, "\(request) \(body ?? "")")
        }
    }

    /// Text must not be taken for JSON, nor JSON for text (observable-text.md §2).
    @Test(arguments: rows) func bodiesAreOfTheirType(_ row: Situation) async throws {
        for (request, body, _) in Self.usual {
            let words = request.split(separator: " ").map(String.init)
            let answer = try await row.bench.ask(words[0], words[1], body)
            if answer.body.isEmpty { continue }
            let isObject = answer.text.first.map { "{[".contains($0) } ?? false
            #expect((answer.headers["Content-Type"] == "application/json") == isObject, "\(request) \(body ?? "")")
        }
    }

    // MARK: What is too old

    @Test func factsThatAreTooOldAreNotAnsweredBy() async throws {
        var leading = Scene.leading(lease: Lease(since: Scene.now, ttl: .seconds(60), session: "1"))
        leading.settings = DynamicConfiguration(document: ["ttl": 60]) ?? leading.settings
        let bench = Bench(leading)
        await bench.clock.sleep(until: Scene.now + NodeSnapshot.factsLast)
        #expect(try await bench.ask("GET", "/primary").status == 200)
        // Also where too many others wait for an observation.
        let probe = try HTTPRequest(method: "GET", target: "/primary")
        #expect(bench.api.answerNow(probe) == nil && bench.api.reply(to: probe).responseWithoutWork?.status == 200)
        await bench.clock.sleep(until: Scene.now + NodeSnapshot.factsLast + .nanoseconds(1))
        #expect(bench.api.reply(to: probe).responseWithoutWork?.status == 503)
        for path in ["/", "/primary", "/leader", "/read-only", "/health", "/replica"] {
            let answer = try await bench.ask("GET", path)
            #expect(answer.status == 503, "\(path)")
            #expect(answer.text.hasPrefix(#"{"state": "unknown", "role": "primary", "#))
            #expect(answer.text.contains(#""facts_expired": true"#))
        }
        let status = try await bench.ask("GET", "/patroni")
        #expect(status.status == 200 && !status.text.contains("xlog"))
        let metrics = try await bench.ask("GET", "/metrics").text
        #expect(metrics.contains("\npatroni_postgres_running{scope=\"orders\",name=\"pg-b\"} 0\n"))
        // A new observation brings everything back.
        let now = bench.clock.now()
        bench.node.publish { $0.local.observedAt = now }
        let good = try await bench.ask("GET", "/primary")
        #expect(good.status == 200 && !good.text.contains("facts_expired"))
    }

    @Test(arguments: [
        (0, 0, ""), (2, 5, ""), (3, 0, #", "logger_queue_size": 3}"#),
        (4, 9, #", "logger_queue_size": 4, "logger_records_lost": 9}"#),
    ])
    func aLogThatDoesNotKeepUpIsTold(_ waiting: Int, _ lost: Int, _ end: String) {
        let document = StatusDocument.object(
            Scene.snapshot(), now: Scene.now, log: LogQueue(waiting: waiting, lost: lost))
        let text = ControlAPI.json(.object(document)).text
        #expect(text.contains("logger") == !end.isEmpty && text.hasSuffix(end))
    }
}
