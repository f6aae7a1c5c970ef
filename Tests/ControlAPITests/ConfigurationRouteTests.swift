import ClusterModel
import HTTPServer
import HighAvailability
import JSON
import Ports
import Testing

@testable import ControlAPI

/// Bodies, `/config`, `/history`, `/cluster`, `/reload` (rest-api.md §9–§12.1, §14).
@Suite(.timeLimit(.minutes(1))) struct ConfigurationRouteTests {
    private static let config: JSONObject = ["ttl": 30, "pause": true, "postgresql": ["use_slots": true]]

    private func store(
        _ config: JSONObject? = config, outcomes: [Result<WriteOutcome, DCSError>] = [.success(.written(100))]
    ) -> FakeStore { FakeStore([.success(Scene.view(leader: "pg-a", config: config))], outcomes: outcomes) }

    // MARK: Bodies

    static let mandatory = [
        ("PATCH", "/config"), ("PUT", "/config"), ("POST", "/switchover"), ("POST", "/failover"), ("POST", "/mpp"),
        ("POST", "/citus"),
    ]

    @Test(arguments: mandatory) func aMandatoryBodyMustBeAnObject(_ method: String, _ path: String) async throws {
        let bench = Bench()
        let none = try await bench.ask(method, path)
        #expect(none.status == 411)
        #expect(none.text.contains("Error code explanation: 411 - Client must specify Content-Length."))
        for body in ["", "{}", "[]", "1", "{", "null", "\"x\"", "{} {}", "\u{0}"] {
            #expect(try await bench.ask(method, path, body).status == 400, "\(method) \(path) \(body)")
        }
        #expect(bench.store.writes.isEmpty)
    }

    @Test func aBodyOfMoreValuesThanPeopleWriteIsRefused() async throws {
        let keys = (0..<60_000).map { "\"k\($0)\": 1" }.joined(separator: ", ")
        let refusal = try await Bench().ask("PATCH", "/config", "{\(keys)}")
        #expect(refusal.status == 400 && refusal.text.contains("at most 8192 values"))
        let infinite = try await Bench().ask("PATCH", "/config", #"{"a": NaN}"#)
        #expect(infinite.status == 400 && infinite.text.contains("invalid JSON at line 1, column"))
        #expect(try await Bench().ask("POST", "/restart", "{\(keys)}").status == 400)
        #expect(
            try await Bench().ask("PATCH", "/config", "{\"a\": [\(String(repeating: "1, ", count: 9000))1]}").status
                == 400)
    }

    // MARK: /config

    @Test func theConfigurationIsToldAsStored() async throws {
        let cached = Bench(Scene.snapshot(view: Scene.view(leader: "pg-a", config: Self.config)))
        let answer = try await cached.ask("GET", "/config")
        #expect(answer.status == 200)
        #expect(answer.text == #"{"ttl": 30, "pause": true, "postgresql": {"use_slots": true}}"#)
        let fresh = Bench(Scene.snapshot(view: nil), store: store(["ttl": 20]))
        #expect(try await fresh.ask("GET", "/config").text == #"{"ttl": 20}"#)
    }

    /// What the store itself says of its trouble is told; where it is, is not.
    @Test(arguments: [
        (DCSError.failed("etcdserver: mvcc: database space exceeded"), "etcdserver: mvcc: database space exceeded"),
        (.unreachable("http://10.0.0.1:2379: timed out"), "the DCS does not answer"),
        (.unauthorized("etcdserver: permission denied"), "the DCS does not answer"),
    ])
    func aRefusalCarriesTheStoresText(_ error: DCSError, _ text: String) async throws {
        for (method, path, body, status) in [
            ("PATCH", "/config", #"{"ttl": 20}"#, 503), ("PUT", "/config", #"{"ttl": 20}"#, 502),
        ] {
            let bench = Bench(store: store(outcomes: [.failure(error), .failure(error), .failure(error)]))
            let answer = try await bench.ask(method, path, body)
            #expect(answer.status == status)
            #expect(answer.text.contains("\(status) - \(text)."), "\(method): \(answer.text)")
        }
    }

    @Test func withoutAConfigurationThereIs502() async throws {
        let none = Bench(Scene.snapshot(view: Scene.view(leader: "pg-a", config: nil)))
        #expect(try await none.ask("GET", "/config").status == 502)
        var broken = Scene.view(leader: "pg-a")
        broken.config = ConfigRecord(data: JSONObject(), isValid: false, revision: 3)
        #expect(try await Bench(Scene.snapshot(view: broken)).ask("GET", "/config").status == 502)
    }

    @Test func patchMerges() async throws {
        let bench = Bench(store: store())
        let answer = try await bench.ask(
            "PATCH", "/config", #"{"ttl": 20, "pause": null, "postgresql": {"parameters": {"a": 1}}}"#)
        #expect(answer.status == 200)
        #expect(answer.text == #"{"ttl": 20, "postgresql": {"use_slots": true, "parameters": {"a": 1}}}"#)
        #expect(
            bench.store.writes == [
                .init(
                    key: .config, value: #"{"ttl":20,"postgresql":{"use_slots":true,"parameters":{"a":1}}}"#,
                    condition: .unchanged(since: 3))
            ])
        #expect(bench.node.calls == ["wake: PATCH /config"])
    }

    @Test(arguments: [#"{"ttl": "30"}"#, #"{"absent": null}"#, #"{"postgresql": {"use_slots": true}}"#])
    func aPatchThatChangesNothingWritesNothing(_ body: String) async throws {
        let bench = Bench(store: store())
        let answer = try await bench.ask("PATCH", "/config", body)
        #expect(answer.status == 200)
        #expect(answer.text == #"{"ttl": 30, "pause": true, "postgresql": {"use_slots": true}}"#)
        #expect(bench.store.writes.isEmpty)
    }

    @Test func patchTellsWhatWentWrong() async throws {
        #expect(try await Bench(store: store(nil)).ask("PATCH", "/config", #"{"a": 1}"#).status == 503)
        let refused = Bench(store: store(outcomes: [.success(.refused)]))
        #expect(try await refused.ask("PATCH", "/config", #"{"a": 1}"#).status == 409)
        let lost = Bench(store: store(outcomes: [.failure(.unreachable("gone"))]))
        #expect(try await lost.ask("PATCH", "/config", #"{"a": 1}"#).status == 503)
        let gone = Bench(store: FakeStore([.failure(.unreachable("gone"))]))
        #expect(try await gone.ask("PATCH", "/config", #"{"a": 1}"#).status == 503)
    }

    @Test func putReplaces() async throws {
        let bench = Bench(store: store())
        let answer = try await bench.ask("PUT", "/config", #"{"loop_wait":5,"x":"ü"}"#)
        #expect(answer.status == 200 && answer.text == #"{"loop_wait": 5, "x": "\u00FC"}"#)
        #expect(bench.store.writes.map(\.condition) == [.unchanged(since: 3)])
        // The cycle is not woken: the watch is.
        #expect(bench.node.calls.isEmpty)
        let created = Bench(store: store(nil))
        #expect(try await created.ask("PUT", "/config", #"{"ttl": 30}"#).status == 200)
        #expect(created.store.writes.map(\.condition) == [.absent])
    }

    @Test func putOfTheSameWritesNothing() async throws {
        let bench = Bench(store: store(["ttl": 30]))
        #expect(try await bench.ask("PUT", "/config", #"{"ttl": "30"}"#).text == #"{"ttl": "30"}"#)
        #expect(bench.store.writes.isEmpty)
    }

    @Test func putIsTriedAgainAgainstAFasterWriterAndThenFails() async throws {
        let once = Bench(store: store(outcomes: [.success(.refused), .success(.written(5))]))
        #expect(try await once.ask("PUT", "/config", #"{"a": 1}"#).status == 200)
        #expect(once.store.writes.count == 2)
        let never = Bench(store: store(outcomes: [.success(.refused)]))
        #expect(try await never.ask("PUT", "/config", #"{"a": 1}"#).status == 502)
        #expect(never.store.writes.count == 3)
    }

    // MARK: What no node can use

    static let refused: [(body: String, why: String)] = [
        (#"{"postgresql": {"parameters": {"a": "x\u0000y"}}}"#, "postgresql.parameters.a: a text with a NUL"),
        (#"{"postgresql": {"pg_hba": ["a", "\u0000"]}}"#, "postgresql.pg_hba.1: a text with a NUL"),
        (#"{"postgresql": {"parameters": {"a b": 1}}}"#, "postgresql.parameters.a b: PostgreSQL reads no parameter"),
        (#"{"postgresql": {"parameters": {"a.": 1}}}"#, "postgresql.parameters.a.: PostgreSQL reads no parameter"),
        (#"{"postgresql": {"parameters": {"a\u0301": 1}}}"#, "PostgreSQL reads no parameter of this name"),
        (#"{"standby_cluster": {"host": "far away"}}"#, "standby_cluster.host: is no name and no address"),
        (#"{"standby_cluster": {"host": "a,b;c", "port": 5432}}"#, "standby_cluster.host: is no name and no address"),
        (#"{"standby_cluster": {"host": "a", "port": 70000}}"#, "standby_cluster.host: is no name and no address"),
        (#"{"standby_cluster": "far"}"#, "standby_cluster: found"),
        (#"{"primary_race_backoff": -5}"#, "primary_race_backoff: found -5"),
        (#"{"failsafe_timeout": 7}"#, "failsafe_timeout: found 7, allowed is at least 0.5 and at most 6 seconds"),
        (#"{"failsafe_timeout": 0.4}"#, "failsafe_timeout: found 0.4, allowed is at least 0.5 and at most 6"),
        (#"{"failsafe_timeout": 3, "ttl": 10, "loop_wait": 2, "retry_timeout": 4}"#, "at most 2 seconds"),
        (#"{"failsafe_timeout": "soon"}"#, #"failsafe_timeout: found "soon", allowed is a number"#),
        (
            #"{"postgresql": {"parameters_replica": {"a b": 1}}}"#,
            "postgresql.parameters_replica.a b: PostgreSQL reads no parameter"
        ),
        (#"{"slots": {"A": {"type": "physical"}}}"#, "slots.A: a slot's name is"),
        (#"{"slots": {"a": {"type": "logical", "plugin": "x"}}}"#, "slots.a: needs a database and a plugin"),
        (#"{"slots": {"a": {"type": "odd"}}}"#, "slots.a: type is physical or logical"),
        (#"{"slots": ["a"]}"#, "slots: is a map"),
        (#"{"ignore_slots": [{"nam": "a"}]}"#, "ignore_slots.0: says none of name, type, database and plugin"),
        (#"{"ignore_slots": {"name": "a"}}"#, "ignore_slots: is a list of maps"),
    ]

    @Test(arguments: refused) func whatCannotBeDoneIsRefused(_ body: String, _ why: String) async throws {
        for method in ["PATCH", "PUT"] {
            let bench = Bench(store: store())
            let answer = try await bench.ask(method, "/config", body)
            #expect(answer.status == 400 && answer.text.contains(why), "\(method): \(answer.text)")
            #expect(bench.store.writes.isEmpty)
        }
    }

    @Test(arguments: [
        #"{"synchronous_mode": false, "failsafe_mode": "on", "slots": {}, "standby_cluster": null}"#,
        #"{"slots": {"a": null, "b": {"type": "physical"}, "c": {"database": "d", "plugin": "pgoutput"}}}"#,
        #"{"ignore_slots": [{"name": "a", "type": "logical", "database": "d", "plugin": "p"}]}"#,
        #"{"synchronous_mode": "Quorum", "synchronous_mode_strict": "on", "synchronous_zones": "distinct"}"#,
        #"{"synchronous_node_count": 2, "maximum_lag_on_syncnode": 9, "standby_cluster": {"primary_slot_name": "x"}}"#,
        #"{"standby_cluster": {"host": "a,10.0.0.2", "port": 5432, "create_replica_methods": ["basebackup"]}}"#,
        #"{"standby_cluster": {"restore_command": "cp %f %p", "recovery_min_apply_delay": "5min"}}"#,
        #"{"postgresql": {"parameters": {"pg_stat_statements.max": 1}, "create_replica_methods": ["basebackup"]}}"#,
        #"{"postgresql": {"parameters_primary": {"work_mem": "8MB"}, "pg_hba_replica": ["local all all reject"]}}"#,
    ])
    func whatAsksForNothingIsTaken(_ body: String) async throws {
        #expect(try await Bench(store: store()).ask("PATCH", "/config", body).status == 200)
        #expect(try await Bench(store: store()).ask("PUT", "/config", body).status == 200)
    }

    /// patronictl writes past the REST API: that must not keep anybody from changing something else, or taking it back.
    @Test func whatStandsInTheStoreAlreadyStopsNoOtherChange() async throws {
        let present: JSONObject = [
            "ttl": 30, "standby_cluster": ["host": "far away"], "postgresql": ["parameters": ["a b": "x\u{0}"]],
        ]
        for body in [#"{"ttl": 20}"#, #"{"standby_cluster": null}"#, #"{"postgresql": {"parameters": {"a b": null}}}"#]
        {
            #expect(try await Bench(store: store(present)).ask("PATCH", "/config", body).status == 200)
        }
        let other = #"{"standby_cluster": {"host": "else where"}}"#
        #expect(try await Bench(store: store(present)).ask("PATCH", "/config", other).status == 400)
    }

    @Test func nobodyMayFillTheStore() async throws {
        let parameters = (0..<1001).map { "\"a.b\($0)\": 1" }.joined(separator: ", ")
        let answer = try await Bench(store: store()).ask(
            "PATCH", "/config", "{\"postgresql\": {\"parameters\": {\(parameters)}}}")
        #expect(answer.status == 400 && answer.text.contains("at most 1000 parameters"))
        let full = store(["x": .array(Array(repeating: 1, count: 8190))])
        #expect(try await Bench(store: full).ask("PATCH", "/config", #"{"a": {"b": 1}}"#).status == 400)
        let over = store(["x": .array(Array(repeating: 1, count: 9000))])
        #expect(try await Bench(store: over).ask("PATCH", "/config", #"{"x": null, "y": 1}"#).status == 200)
    }

    /// Everybody may read `/config`; whoever writes it back has changed nothing.
    @Test func noSecretIsTold() async throws {
        let stored: JSONObject = [
            "postgresql": [
                "authentication": ["superuser": ["password": "s3cret"]],
                "parameters": ["archive_command": "put https://u:s3cret@h/%f"],
            ]
        ]
        let bench = Bench(Scene.snapshot(view: nil), store: store(stored))
        let shown = try await bench.ask("GET", "/config").text
        #expect(!shown.contains("s3cret") && shown.contains("put https://***@h/%f"))
        #expect(try await bench.ask("PUT", "/config", shown).text == shown)
        #expect(bench.store.writes.isEmpty)
        let answer = try await bench.ask("PATCH", "/config", #"{"ttl": 20}"#)
        #expect(answer.status == 200 && !answer.text.contains("s3cret"))
        #expect(bench.store.writes.first?.value.contains("u:s3cret@h") == true)
    }

    // MARK: The rest

    @Test func historyComesFromTheCacheOrTheStore() async throws {
        let history = TimelineHistory(lines: [
            .init(
                timeline: 1, position: WALPosition(25_165_984), reason: "no recovery target specified",
                timestamp: "2027-01-10T11:12:13.141516+00:00", newLeader: "pg-b")
        ])
        let text = """
            [[1, 25165984, "no recovery target specified", "2027-01-10T11:12:13.141516+00:00", "pg-b"]]
            """
        let view = Scene.view(leader: "pg-a", history: history)
        #expect(try await Bench(Scene.snapshot(view: view)).ask("GET", "/history").text == text)
        #expect(
            try await Bench(Scene.snapshot(view: nil), store: FakeStore([.success(view)])).ask("GET", "/history").text
                == text)
        #expect(try await Bench().ask("GET", "/history").text == "[]")
    }

    @Test(arguments: ["/cluster", "/config", "/history"])
    func aStoreThatDoesNotAnswerIsToldApart(_ path: String) async throws {
        let bench = Bench(Scene.snapshot(view: nil), store: FakeStore([.failure(.unreachable("no quorum"))]))
        let answer = try await bench.ask("GET", path)
        #expect(answer.status == 503)
        // Where the store is, and what is wrong there, is for the log.
        #expect(answer.text.contains("the DCS does not answer") && !answer.text.contains("no quorum"))
    }

    @Test func manyRequestsShareAReadThatBeganAfterThem() async throws {
        let store = GatedStore()
        let api = ControlAPI(
            node: FakeNode(Scene.snapshot()), store: store, peers: FakePeers(), clock: FakeClock(),
            access: AccessRules(), logger: Bench().logger)
        let request = try HTTPRequest(method: "GET", target: "/cluster")
        async let first = api.answer(request)
        await store.untilLoading(1)
        // They came while the first read was under way: it may be older than they are.
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<20 { group.addTask { await api.answer(request).status } }
            while api.views.waitingCount < 20 { await Task.yield() }
            store.open()
            for await status in group { #expect(status == 200) }
        }
        #expect(await first.status == 200)
        #expect(store.loads == 2)
    }

    /// The first read of a silent store ends with the time of who asked first; whoever came meanwhile has its own.
    @Test(.timeLimit(.minutes(1))) func nobodyWaitsForAStoreLongerThanItsTime() async throws {
        let clock = FakeClock()
        let start = clock.now()
        let store = SilentStore(clock)
        let views = SharedViews(store, clock)
        @Sendable func ask(until seconds: Int) async -> BootInstant {
            guard case .failure = await views.load(until: start + .seconds(seconds)) else { return start }
            return clock.now()
        }
        async let first = ask(until: 10)
        await store.untilLoading(1)
        async let second = ask(until: 11)
        async let third = ask(until: 19)
        while views.waitingCount < 2 { await Task.yield() }
        store.fail()
        #expect(await first == start + .seconds(10))
        await store.untilLoading(2)
        store.fail()
        #expect(await second == start + .seconds(11))
        await store.untilLoading(3)
        store.fail()
        #expect(await third == start + .seconds(19))
    }

    /// A probe waits for PostgreSQL only where none came before: facts are renewed while they are still good.
    @Test func factsAreRenewedBeforeTheyAreTooOld() async throws {
        let bench = Bench(Scene.leading())
        let probe = try HTTPRequest(method: "GET", target: "/primary")
        #expect(bench.api.answerNow(probe)?.status == 200)
        #expect(bench.node.observations == 0)
        await bench.clock.sleep(until: bench.clock.now() + .milliseconds(200))
        #expect(bench.api.answerNow(probe)?.status == 200)
        while bench.node.observations == 0 { await Task.yield() }
        await bench.clock.sleep(until: bench.clock.now() + .milliseconds(100))
        #expect(bench.api.answerNow(probe) == nil)
    }

    @Test func theClusterIsReadAnew() async throws {
        let bench = Bench(store: FakeStore([.success(Scene.view(leader: "pg-c", members: []))]))
        #expect(try await bench.ask("GET", "/cluster/x").text == #"{"members": [], "scope": "orders"}"#)
    }

    @Test func reloadIsScheduled() async throws {
        let bench = Bench()
        let answer = try await bench.ask("POST", "/reload", "nonsense")
        #expect(answer.status == 202 && answer.text == "reload scheduled")
        #expect(answer.headers["Content-Type"] == "text/html")
    }

    /// A view is shown for ten milliseconds, but not over what this node has written since.
    @Test func aViewOfAMomentAgoIsShownAgain() async throws {
        let views = (0..<3).map { number -> Result<ClusterView, DCSError> in
            .success(Scene.view(leader: "pg-\(["a", "b", "c"][number])", revision: 10 + Int64(number)))
        }
        let bench = Bench(store: FakeStore(views))
        func leader() async throws -> String? {
            let members = try JSON.parse(bytes: try await bench.ask("GET", "/cluster").body)["members"]?.array
            return members?.first { $0["role"]?.string == "leader" }?["name"]?.string
        }
        #expect(try await leader() == "pg-a")
        await bench.clock.sleep(until: bench.clock.now() + .milliseconds(10))
        #expect(try await leader() == "pg-a")
        await bench.clock.sleep(until: bench.clock.now() + .milliseconds(1))
        #expect(try await leader() == "pg-b")
        #expect(try await bench.ask("PATCH", "/config", #"{"ttl": 40}"#).status == 200)
        #expect(try await leader() == "pg-c")
    }
}
