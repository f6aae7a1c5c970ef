import ClusterModel
import HTTPServer
import Ports
import Testing

@testable import ControlAPI

/// What `PATCH` and `PUT /config` refuse, each key with its reason, before it reaches the store.
@Suite(.timeLimit(.minutes(1))) struct ConfigurationCheckTests {
    private func store(_ config: JSONObject = ["ttl": 30]) -> FakeStore {
        FakeStore([.success(Scene.view(leader: "pg-a", config: config))], outcomes: [.success(.written(100))])
    }

    static let refused: [(body: String, why: String)] = [
        (#"{"ttl": "soon"}"#, "ttl: found \"soon\", allowed is a whole number of seconds"),
        (#"{"pause": "maybe"}"#, "pause: found \"maybe\", allowed is a boolean"),
        (#"{"maximum_lag_on_failover": "1MB"}"#, "maximum_lag_on_failover: found"),
        (#"{"synchronous_mode": "some", "synchronous_node_count": 0}"#, "synchronous_node_count: found 0, allowed is"),
        (#"{"synchronous_mode": "some", "synchronous_node_count": 0}"#, "synchronous_mode: found"),
        (#"{"postgresql": {"pg_hba": "local all all trust"}}"#, "postgresql.pg_hba: found"),
        (
            #"{"postgresql": {"parameters": {"max_connections": 10}}}"#,
            "postgresql.parameters.max_connections: found 10"
        ),
        (#"{"postgresql": {"parameters": {"work_mem": [1]}}}"#, "postgresql.parameters.work_mem: found a list"),
        (#"{"postgresql": 5}"#, "postgresql: found 5, allowed is a mapping"),
    ]

    @Test(arguments: refused) func aWrongValueIsNamedWithItsReason(_ body: String, _ why: String) async throws {
        for method in ["PATCH", "PUT"] {
            let bench = Bench(store: store())
            let answer = try await bench.ask(method, "/config", body)
            #expect(answer.status == 400 && answer.text.contains(why), "\(method): \(answer.text)")
            #expect(bench.store.writes.isEmpty)
        }
    }

    @Test(arguments: [
        #"{"ttl": "25", "loop_wait": 5.5, "member_slots_ttl": "30min", "maximum_lag_on_syncnode": "1MB"}"#,
        #"{"pause": "on", "synchronous_mode": "QUORUM", "standby_cluster": null, "slot_wal_warning": "1GB"}"#,
        #"{"postgresql": {"parameters": {"max_connections": "0x20", "wal_keep_size": "1GB", "port": 5}}}"#,
        #"{"whatever": {"a": 1}, "postgresql": {"listen": "a:1", "mine": {"command": "x"}}}"#,
    ])
    func whatThePeerTakesIsTaken(_ body: String) async throws {
        #expect(try await Bench(store: store()).ask("PATCH", "/config", body).status == 200)
    }

    @Test func aWrongValueThatStandsThereStopsNoOtherChange() async throws {
        let present: JSONObject = ["ttl": 30, "pause": "maybe", "maximum_lag_on_failover": "much"]
        #expect(try await Bench(store: store(present)).ask("PATCH", "/config", #"{"ttl": 20}"#).status == 200)
        #expect(try await Bench(store: store(present)).ask("PATCH", "/config", #"{"pause": 7}"#).status == 400)
    }

    /// What only the PostgreSQL beside the node can say; whoever knows better says so.
    @Test func whatPostgreSQLWouldNotStartWithIsRefusedUnlessForced() async throws {
        let trial: ConfigurationRules.Trial = { document in
            let value = document["postgresql"]?["parameters"]?["shared_buffers"]
            return value == "9TB" ? [.init(key: "postgresql.parameters.shared_buffers", reason: "is too much")] : []
        }
        let body = #"{"postgresql": {"parameters": {"shared_buffers": "9TB"}}}"#
        for method in ["PATCH", "PUT"] {
            let refused = try await Bench(store: store(), trial: trial).ask(method, "/config", body)
            #expect(refused.status == 400 && refused.text.contains("shared_buffers: is too much; with ?force=true"))
            let forced = Bench(store: store(), trial: trial)
            #expect(try await forced.ask(method, "/config?force=true", body).status == 200)
            #expect(forced.store.writes.count == 1)
        }
        let present: JSONObject = ["ttl": 30, "postgresql": ["parameters": ["shared_buffers": "9TB"]]]
        let other = try await Bench(store: store(present), trial: trial).ask("PATCH", "/config", #"{"ttl": 20}"#)
        #expect(other.status == 200, "what stands there already stops no other change")
        let junk = try await Bench(store: store(), trial: trial).ask("PATCH", "/config?force=true", #"{"ttl": "x"}"#)
        #expect(junk.status == 400, "nobody can use that")
    }
}
