import ClusterModel
import HTTPServer
import HighAvailability
import JSON
import Ports
import Testing

@testable import ControlAPI

/// `/rolling-restart`: who is told what, and what stands in the store afterwards.
@Suite struct RollingRestartRouteTests {
    static let start = "2027-02-03 04:00:00+00:00"

    static func view(_ rolling: RollingRestart? = nil, config: JSONObject = ["ttl": 30]) -> ClusterView {
        let members = ["pg-a", "pg-b", "pg-c"].map { name in
            Scene.member(
                name,
                [
                    "matriarch": "1", "postmaster_start_time": .string(start),
                    "replication_state": name == "pg-a" ? .null : "streaming",
                ])
        }
        var view = Scene.view(leader: "pg-a", members: members, config: config)
        view.rollingRestart = rolling
        view.rollingRestartRevision = rolling?.revision
        return view
    }

    static func rolling(_ state: RollingRestart.State) -> RollingRestart {
        RollingRestart(
            state: state, entries: [.init(name: "pg-b", startedAt: start)], turn: .init(member: "pg-b"),
            requestedAt: "then", revision: 8)
    }

    private func bench(
        _ view: ClusterView, _ outcome: Result<WriteOutcome, DCSError> = .success(.written(100)),
        access: AccessRules = AccessRules()
    ) -> Bench { Bench(store: FakeStore([.success(view)], outcomes: [outcome]), access: access) }

    @Test func itBeginsInTheStore() async throws {
        let bench = bench(Self.view())
        let answer = try await bench.ask("POST", "/rolling-restart")
        #expect(answer.status == 202)
        let written = try #require(bench.store.writes.first)
        #expect(written.key == .rollingRestart && written.condition == .absent)
        let document = try JSON.parse(written.value)
        #expect(document == (try JSON.parse(answer.text)))
        #expect(document["state"] == "running" && document["attempt"] == 1)
        #expect(document["members"]?.array?.compactMap { $0["name"]?.string } == ["pg-a", "pg-b", "pg-c"])
        #expect(document["members"]?.array?.first?["started_at"]?.string == Self.start)
        #expect(bench.node.calls == ["wake: a rolling restart"])
    }

    @Test func oneAfterAnotherReplacesWhatWasSeen() async throws {
        let bench = bench(Self.view(Self.rolling(.done)))
        #expect(try await bench.ask("POST", "/rolling-restart", #"{"members": ["pg-c"]}"#).status == 202)
        #expect(bench.store.writes.first?.condition == .unchanged(since: 8))
        let resumed = self.bench(Self.view(Self.rolling(.failed)))
        #expect(try await resumed.ask("POST", "/rolling-restart", #"{"resume": true}"#).status == 202)
        #expect(resumed.store.writes.first?.value.contains(#""attempt":2"#) == true)
    }

    @Test(
        arguments: [
            (view(rolling(.running)), nil, 412, "a rolling restart is under way already"),
            (view(config: ["pause": true]), nil, 412, "no rolling restart begins while the cluster is paused"),
            (view(), #"{"members": 7}"#, 400, "members should be a list of names"),
            (view(), #"{"resume": true}"#, 412, "no rolling restart was stopped"),
        ] as [(ClusterView, String?, Int, String)])
    func refusals(_ view: ClusterView, _ body: String?, _ status: Int, _ text: String) async throws {
        let bench = bench(view)
        let answer = try await bench.ask("POST", "/rolling-restart", body)
        #expect(answer.status == status && answer.text == text)
        #expect(bench.store.writes.isEmpty && bench.node.calls.isEmpty)
    }

    @Test func whoIsFasterWins() async throws {
        #expect(try await bench(Self.view(), .success(.refused)).ask("POST", "/rolling-restart").status == 409)
        let silent = bench(Self.view(), .failure(.unreachable("gone")))
        #expect(try await silent.ask("POST", "/rolling-restart").status == 503)
    }

    @Test func itIsCalledOff() async throws {
        let bench = bench(Self.view(Self.rolling(.running)))
        let answer = try await bench.ask("DELETE", "/rolling-restart")
        #expect(answer.status == 200 && answer.text == "rolling restart called off")
        let written = try #require(bench.store.writes.first)
        #expect(written.condition == .unchanged(since: 8))
        let document = try JSON.parse(written.value)
        #expect(document["state"] == "called off" && document["turn"] == nil)
        for view in [Self.view(), Self.view(Self.rolling(.done)), Self.view(Self.rolling(.failed))] {
            #expect(try await self.bench(view).ask("DELETE", "/rolling-restart").status == 404)
        }
        let late = self.bench(Self.view(Self.rolling(.running)), .success(.refused))
        #expect(try await late.ask("DELETE", "/rolling-restart").status == 409)
    }

    @Test func itIsTold() async throws {
        #expect(try await bench(Self.view()).ask("GET", "/rolling-restart").status == 404)
        let answer = try await bench(Self.view(Self.rolling(.running))).ask("GET", "/rolling-restart")
        #expect(answer.status == 200)
        #expect(try JSON.parse(answer.text) == .object(Self.rolling(.running).json))
    }

    @Test func itNeedsThePassword() async throws {
        for method in ["POST", "DELETE"] {
            let bench = bench(Self.view(), access: AccessRules(username: "u", password: "p"))
            #expect(try await bench.ask(method, "/rolling-restart").status == 401)
            #expect(bench.store.writes.isEmpty)
        }
    }
}
