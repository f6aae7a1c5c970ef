import ClusterModel
import HTTPServer
import HighAvailability
import Ports
import Synchronization
import Testing

@testable import ControlAPI

/// `/restart`, `/reinitialize`, `/failsafe`, `/mpp`, `/sigterm`, `/events`, `/openapi.yaml` (rest-api.md §13–§16).
@Suite struct CommandRouteTests {
    // MARK: Restart

    @Test(arguments: [
        (#"{"schedule": "x"}"#, 422, SwitchoverRouteTests.unparsable),
        (
            #"{"schedule": "2031-01-01T00:00:00"}"#, 400,
            "Timezone information is mandatory for the scheduled restart"
        ),
        (#"{"schedule": "2020-01-01T00:00:00Z"}"#, 422, "Cannot schedule restart in the past"),
        (
            #"{"role": "master"}"#, 400,
            "PostgreSQL role should be either primary, standby_leader, or replica"
        ),
        (#"{"role": 1}"#, 400, "PostgreSQL role should be either primary, standby_leader, or replica"),
        (#"{"postgres_version": "x"}"#, 400, "Invalid PostgreSQL version: x"),
        (
            #"{"postgres_version": "15"}"#, 400,
            "Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: 15"
        ),
        (
            #"{"postgres_version": "9.6"}"#, 400,
            "Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: 9.6"
        ),
        (#"{"timeout": 0}"#, 400, "Timeout should be a positive number of seconds"),
        (#"{"timeout": "500ms"}"#, 400, "Timeout should be a positive number of seconds"),
        (#"{"timeout": "1m"}"#, 400, "Timeout should be a positive number of seconds"),
        (#"{"role": "replica", "colour": 1, "timeout": 0}"#, 400, "Unknown filter for the scheduled restart: colour"),
    ])
    func aRestartThatIsNotUnderstood(_ body: String, _ status: Int, _ text: String) async throws {
        let bench = Bench()
        let answer = try await bench.ask("POST", "/restart", body)
        #expect(answer.status == status && answer.text == text)
        #expect(bench.node.calls.isEmpty)
    }

    @Test func aRestartCannotBeScheduledInPause() async throws {
        let bench = Bench(store: FakeStore([.success(Scene.view(leader: "pg-a", config: ["pause": true]))]))
        let answer = try await bench.ask("POST", "/restart", #"{"colour": 1, "schedule": "2031-01-01T00:00:00Z"}"#)
        #expect(answer.status == 500 && answer.text == "Can't schedule restart in the paused state")
        #expect(try await bench.ask("POST", "/restart").status == 200)
    }

    @Test(arguments: [
        (CommandOutcome.done, 200, "restarted successfully"),
        (.conditionsNotMet, 503, "restart conditions are not satisfied"),
        (.busy("reinitialize"), 503, "reinitialize already in progress"),
        (.stillStarting, 503, "postgres is still starting"), (.failed, 503, "restart failed"),
    ])
    func theOutcomeOfARestart(_ outcome: CommandOutcome, _ status: Int, _ text: String) async throws {
        for body in [nil, "", "{}", #"{"restart_pending": "True"}"#] {
            let answer = try await Bench(outcome: outcome).ask("POST", "/restart", body)
            #expect(answer.status == status && answer.text == text)
        }
    }

    @Test func aRestartForLater() async throws {
        let body = #"{"schedule": "2031-01-01T00:00:00Z", "role": "replica"}"#
        let stored = try await Bench().ask("POST", "/restart", body)
        #expect(stored.status == 202 && stored.text == "Restart scheduled")
        let second = try await Bench(outcome: .alreadyScheduled).ask("POST", "/restart", body)
        #expect(second.status == 409 && second.text == "Another restart is already scheduled")
        let deleted = try await Bench().ask("DELETE", "/restart")
        #expect(deleted.status == 200 && deleted.text == "scheduled restart deleted")
        let none = try await Bench(outcome: .nothingScheduled).ask("DELETE", "/restart")
        #expect(none.status == 404 && none.text == "no restarts are scheduled")
    }

    @Test func aScheduledRestartIsShown() throws {
        var snapshot = Scene.snapshot()
        snapshot.scheduledRestart = try RestartRequest(
            body: ["schedule": "2027-02-04T02:00:00Z", "restart_pending": true], DynamicConfiguration(), wallTime: 0)
        snapshot.scheduledRestart?.postmasterStartTime = "2027-02-03 04:05:06+00:00"
        let shown = StatusDocument.object(snapshot, now: Scene.now)
        #expect(shown.keys.last == "scheduled_restart")
        #expect(
            shown["scheduled_restart"] == ["schedule": "2027-02-04T02:00:00+00:00", "restart_pending": true])
    }

    @Test(arguments: [
        ("{}", true), (#"{"role": "replica"}"#, true), (#"{"role": "primary"}"#, false),
        (#"{"postgres_version": "17.2"}"#, false), (#"{"postgres_version": "17.3"}"#, true),
        (#"{"postgres_version": "9.6.24"}"#, false), (#"{"restart_pending": "True"}"#, false),
        (#"{"restart_pending": null}"#, false), (#"{"restart_pending": false}"#, true),
        (#"{"timeout": "5min"}"#, true),
    ])
    func conditions(_ body: String, _ holds: Bool) throws {
        let request = try RestartRequest(
            body: #require(RequestBody.parsed(body)), DynamicConfiguration(), wallTime: 0)
        #expect(request.isSatisfied(role: .replica, local: Scene.standby()) == holds)
        var pending = Scene.standby()
        pending.pendingRestart = [.init(parameter: "a", oldValue: "1", newValue: "2")]
        let asksPending = body.contains("restart_pending")
        #expect(request.isSatisfied(role: .replica, local: pending) == (asksPending || holds))
    }

    // MARK: Reinitialize

    @Test(arguments: [
        (CommandOutcome.done, 200, "reinitialize started"),
        (.noLeader, 503, "Cluster has no leader, can not reinitialize"),
        (.isLeader, 503, "I am the leader, can not reinitialize"),
        (.busy("restart"), 503, "restart already in progress"),
    ])
    func theOutcomeOfAReinitialization(_ outcome: CommandOutcome, _ status: Int, _ text: String) async throws {
        let answer = try await Bench(outcome: outcome).ask("POST", "/reinitialize")
        #expect(answer.status == status && answer.text == text)
    }

    @Test func reinitializeIsJudgedByAFreshView() async throws {
        let leaderless = Bench(store: FakeStore([.success(Scene.view(leader: nil))]))
        let none = try await leaderless.ask("POST", "/reinitialize")
        #expect(none.status == 503 && none.text == "Cluster has no leader, can not reinitialize")
        let leading = Bench(store: FakeStore([.success(Scene.view(leader: "pg-b"))]))
        let me = try await leading.ask("POST", "/reinitialize", #"{"force": true}"#)
        #expect(me.status == 503 && me.text == "I am the leader, can not reinitialize")
        #expect(leaderless.node.calls.isEmpty && leading.node.calls.isEmpty)
    }

    @Test func aMalformedBodyStartsNothing() async throws {
        for path in ["/reinitialize", "/restart"] {
            for body in ["{", "[]", "1"] {
                let bench = Bench()
                #expect(try await bench.ask("POST", path, body).status == 400)
                #expect(bench.node.calls.isEmpty)
            }
        }
    }

    @Test func theFlagsOfAReinitialization() async throws {
        let bench = Bench()
        _ = try await bench.ask("POST", "/reinitialize", #"{"force": "yes", "from_leader": true, "other": 1}"#)
        _ = try await bench.ask("POST", "/reinitialize", #"{"force": "maybe", "from-leader": true}"#)
        #expect(
            bench.node.calls == [
                "\(NodeCommand.reinitialize(force: true, fromLeader: true))",
                "\(NodeCommand.reinitialize(force: false, fromLeader: false))",
            ])
    }

    // MARK: Peers

    @Test func failsafe() async throws {
        #expect(try await Bench().ask("GET", "/failsafe").status == 502)
        let members = Bench(
            Scene.snapshot(view: Scene.view(leader: "pg-a", failsafe: ["pg-b": "http://b", "pg-a": "http://a"])))
        #expect(try await members.ask("GET", "/failsafe").text == #"{"pg-a": "http://a", "pg-b": "http://b"}"#)
        let body = #"{"name": "pg-a", "conn_url": "x", "api_url": "y"}"#
        #expect(try await Bench().ask("POST", "/failsafe", body).status == 502)
        let enabled: JSONObject = ["failsafe_mode": true]
        let replica = Bench(Scene.snapshot(settings: enabled))
        let promised = try await replica.ask("POST", "/failsafe", body)
        #expect(promised.status == 200 && promised.text == "Accepted" && promised.headers["lsn"] == "4096")
        #expect(
            replica.node.calls == ["promise: \(FailsafePing(name: "pg-a", connectionURL: "x", apiURL: "y"))"])
        let other = #"{"name": "pg-c", "conn_url": "x", "api_url": "y", "slots": {"a": 5, "b": "x"}}"#
        let refused = try await replica.ask("POST", "/failsafe", other)
        #expect(refused.status == 500 && refused.text == "About to be the leader")
        for incomplete in [#"{"name": "pg-a", "conn_url": "x"}"#, #"{"name": 1, "conn_url": "x", "api_url": "y"}"#] {
            #expect(try await replica.ask("POST", "/failsafe", incomplete).status == 400)
        }
    }

    @Test func theRest() async throws {
        let body = #"{"type": "before_demote", "group": 1, "leader": "a", "timeout": 1, "cooldown": 1}"#
        for path in ["/mpp", "/citus"] {
            let answer = try await Bench().ask("POST", path, body)
            #expect(answer.status == 200 && answer.text == "OK")
        }
        let bench = Bench()
        let answer = try await bench.ask("POST", "/sigterm")
        #expect(answer.status == 202 && answer.text == "shutdown scheduled" && bench.node.calls.isEmpty)
        let contract = try await bench.ask("GET", "/openapi.yaml")
        #expect(contract.status == 200 && contract.text.hasPrefix("openapi: 3.1.0\n"))
        for document in Route.Document.allCases {
            #expect(contract.text.contains("\n  /\(document.rawValue):\n"), "the contract lacks \(document)")
        }
        #expect(contract.headers["Content-Type"] == "application/yaml")
    }

    // MARK: Events

    @Test func eventsTellWhatChanges() async throws {
        var first = Scene.snapshot()
        first.decision = Decision(.wait, .paused)
        let bench = Bench(first)
        bench.node.publish { $0.storeLastSeen += 1 }
        bench.node.publish { $0.local = Scene.silent(.stopped) }
        bench.node.publish { $0.view = Scene.view(leader: nil) }
        bench.node.end()
        let answer = try await bench.ask("GET", "/events")
        #expect(answer.status == 200 && answer.headers["Content-Type"] == "text/event-stream")
        let written = Mutex("")
        await answer.stream?.run { bytes in
            written.withLock { $0 += String(decoding: bytes, as: UTF8.self) }
            return true
        }
        let at = #""at": "2027-02-03T12:00:00+00:00"}"#
        let because = #""because": [{"code": "paused", "facts": {}}]"#
        #expect(
            written.withLock { $0 } == """
                id: 0
                event: state
                data: {"state": "running", \(at)

                id: 0
                event: role
                data: {"role": "replica", "leader": "pg-a", \(at)

                id: 0
                event: decision
                data: {"action": "\(Action.wait.summary)", "reasons": ["\(Reason.paused)"], \(because), \(at)

                id: 2
                event: state
                data: {"state": "stopped", \(at)

                id: 3
                event: role
                data: {"role": "replica", "leader": null, \(at)


                """)
    }

    @Test func theGuardianAndAdjustedTimesAreEvents() {
        var stream = EventStream()
        func names(_ snapshot: NodeSnapshot) -> [String] {
            stream.events(snapshot, now: Scene.now, wallTime: 0).split(separator: "\n").compactMap { line in
                line.hasPrefix("event: ") ? String(line.dropFirst(7)) : nil
            }
        }
        var snapshot = Scene.snapshot()
        snapshot.guarding = Guarding(status: GuardianStatus(pid: 7))
        #expect(names(snapshot).contains("guardian"))
        snapshot.guarding?.acknowledged = Lease(since: Scene.now, ttl: .seconds(30))
        #expect(names(snapshot) == ["guardian"])
        snapshot.guarding?.acknowledged = Lease(since: Scene.now + .seconds(1), ttl: .seconds(30))
        #expect(names(snapshot) == [])
        snapshot.guarding?.status?.lastStop = .init(at: Scene.now, wasKilled: false)
        #expect(names(snapshot) == ["guardian"])
        snapshot.settings = DynamicConfiguration(document: ["ttl": 5], isShared: true) ?? snapshot.settings
        #expect(names(snapshot) == ["timings"])
        #expect(names(snapshot) == [])
    }

    @Test func aSlotThatHoldsBackWALIsAnEvent() {
        var stream = EventStream()
        func told(_ snapshot: NodeSnapshot) -> [String] {
            let text = stream.events(snapshot, now: Scene.now, wallTime: 0)
            let lines = text.split(separator: "\n").map { String($0) }
            return zip(lines, lines.dropFirst()).filter { $0.0 == "event: slots" }.map {
                String($0.1.prefix { $0 != "]" })
            }
        }
        var snapshot = Scene.leading(["slot_wal_warning": "1kB"])
        #expect(told(snapshot) == [])
        snapshot.local.facts?.slots = [
            .init(name: "reporting", isLogical: true, isActive: false, restartPosition: WALPosition(251_657_000))
        ]
        #expect(told(snapshot) == [#"data: {"beyond_warning": ["reporting""#])
        #expect(told(snapshot) == [])
        // What was known last is no news, nor is a server that does not answer.
        snapshot.local.facts?.isDetailStale = true
        snapshot.local.facts?.slots = []
        #expect(told(snapshot) == [])
        snapshot.local.facts?.isDetailStale = false
        #expect(told(snapshot) == [#"data: {"beyond_warning": ["#])
    }

    @Test func aReaderThatIsGoneEndsTheStream() async throws {
        let bench = Bench()
        let answer = try await bench.ask("GET", "/events")
        // The fake's stream never ends by itself.
        await answer.stream?.run { _ in false }
    }
}
