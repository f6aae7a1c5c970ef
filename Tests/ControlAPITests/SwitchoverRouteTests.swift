import ClusterModel
import HTTPServer
import HighAvailability
import Ports
import Testing

@testable import ControlAPI

/// A request and what it is answered with.
struct SwitchoverRow: Sendable, CustomStringConvertible {
    var path = "/switchover"
    let body: String
    var settings: JSONObject = [:]
    var view = Scene.view(leader: "pg-a")
    var peers: [String: PeerAnswer] = ["pg-b": Scene.usable(), "pg-c": Scene.usable()]
    var outcome: WriteOutcome = .written(100)
    let status: Int
    let text: String

    var description: String { "\(path) \(body)" }
}

/// `/switchover` and `/failover`: every text and code of rest-api.md §12.
@Suite struct SwitchoverRouteTests {
    static let unparsable =
        "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"
    static let sync = Scene.view(leader: "pg-a", sync: SyncState(leader: "pg-a", voters: ["pg-b"]))
    static let unsync = Scene.view(leader: "pg-a", sync: SyncState(leader: "pg-a"))

    /// It receives from a primary whose daemon has gone.
    static let streaming: PeerAnswer = {
        var status = PeerStatus(isPrimary: false, position: WALPosition(1), timeline: 4)
        status.standsBack = [
            PeerStatus.Objection(code: "primary-serves", facts: [:], sentence: "pg-a serves on", alsoIfNamed: true)
        ]
        return .status(status)
    }()

    static let refusals = [
        SwitchoverRow(
            path: "/failover", body: #"{"foo": "bar"}"#, status: 400,
            text: "Failover could be performed only to a specific candidate"),
        SwitchoverRow(
            body: #"{"candidate": "pg-b"}"#, status: 400,
            text: "Switchover could be performed only from a specific leader"),
        SwitchoverRow(
            path: "/failover",
            body: #"{"leader": "pg-a", "candidate": "pg-b", "scheduled_at": "2031-01-01T00:00:00Z"}"#, status: 400,
            text: "Failover can't be scheduled"),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "scheduled_at": "2031-01-01T00:00:00Z"}"#, settings: ["pause": true],
            status: 400, text: "Can't schedule switchover in the paused state"),
        SwitchoverRow(body: #"{"leader": "pg-a", "scheduled_at": 5}"#, status: 422, text: unparsable),
        SwitchoverRow(body: #"{"leader": "pg-a", "scheduled_at": "soon"}"#, status: 422, text: unparsable),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "scheduled_at": "2031-01-01T00:00:00"}"#, status: 400,
            text: "Timezone information is mandatory for the scheduled switchover"),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "scheduled_at": "2020-01-01T00:00:00Z"}"#, status: 422,
            text: "Cannot schedule switchover in the past"),
        SwitchoverRow(
            body: #"{"leader": "pg-a"}"#, settings: ["pause": true], status: 400,
            text: "Switchover is possible only to a specific candidate in a paused state"),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "candidate": "pg-a"}"#, status: 400,
            text: "Switchover target and source are the same"),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "candidate": "pg-a", "scheduled_at": "2031-01-01T00:00:00Z"}"#, status: 400,
            text: "Switchover target and source are the same"),
        SwitchoverRow(
            body: #"{"leader": "pg-c", "candidate": "pg-b"}"#, status: 412, text: "leader name does not match"),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "candidate": "pg-c"}"#, settings: ["synchronous_mode": true], view: sync,
            status: 412, text: "candidate name does not match with sync_standby"),
        SwitchoverRow(
            // Nobody has written /sync: commits wait for nobody, so nobody is missing there.
            body: #"{"leader": "pg-a"}"#, settings: ["synchronous_mode": true], peers: [:], status: 412,
            text: "switchover is not possible: no good candidates have been found"),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "candidate": "pg-x"}"#, status: 412, text: "candidate does not exists"),
        SwitchoverRow(
            path: "/failover", body: #"{"candidate": "pg-x"}"#, status: 412, text: "candidate does not exists"),
        SwitchoverRow(
            body: #"{"leader": "pg-a"}"#, settings: ["synchronous_mode": true], view: unsync, status: 412,
            text: "switchover is not possible: can not find sync_standby"),
        SwitchoverRow(
            body: #"{"leader": "pg-a"}"#, view: Scene.view(leader: "pg-a", members: [Scene.member("pg-a")]),
            status: 412, text: "switchover is not possible: cluster does not have members except leader"),
        SwitchoverRow(
            body: #"{"leader": "pg-a"}"#, peers: [:], status: 412,
            text: "switchover is not possible: no good candidates have been found"),
        SwitchoverRow(
            path: "/failover", body: #"{"candidate": "pg-b"}"#,
            peers: ["pg-b": Scene.usable(["nofailover": true])], status: 412,
            text: "failover is not possible: no good candidates have been found"),
        SwitchoverRow(
            path: "/failover", body: #"{"member": "pg-b"}"#, peers: ["pg-b": Scene.usable(watchdogFailed: true)],
            status: 412, text: "failover is not possible: no good candidates have been found"),
        SwitchoverRow(
            path: "/failover", body: #"{"leader": "pg-a", "candidate": "pg-b"}"#, peers: [:], status: 412,
            text: "switchover is not possible: no good candidates have been found"),
        SwitchoverRow(
            path: "/failover", body: #"{"candidate": "pg-b"}"#, settings: ["failsafe_mode": true],
            view: Scene.view(leader: nil, failsafe: ["pg-a": "x"]), status: 412,
            text: "failover is not possible: pg-b is not in /failsafe"),
        SwitchoverRow(
            path: "/failover", body: #"{"candidate": "pg-b"}"#, settings: ["pause": true],
            view: Scene.view(leader: nil), peers: ["pg-b": streaming], status: 412,
            text: "failover is not possible: pg-b says: pg-a serves on"),
        SwitchoverRow(
            path: "/failover", body: #"{"candidate": "pg-b"}"#, settings: ["pause": true],
            view: Scene.view(leader: nil), peers: ["pg-b": Scene.usable(), "pg-c": streaming], status: 412,
            text: "failover is not possible: pg-c says: pg-a serves on"),
        SwitchoverRow(
            path: "/failover", body: #"{"candidate": "pg-b"}"#, settings: ["pause": true],
            view: Scene.view(leader: nil),
            peers: [
                "pg-b": Scene.usable(),
                "pg-a": .status(PeerStatus(isPrimary: true, position: WALPosition(0), timeline: 4)),
            ], status: 412, text: "failover is not possible: pg-a still runs as primary, and nobody ends it in a pause"),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "candidate": "pg-b"}"#, outcome: .refused, status: 503,
            text: "failed to write failover key into DCS"),
        SwitchoverRow(
            body: #"{"leader": "pg-a", "scheduled_at": "2031-01-01T00:00:00+02:00"}"#, outcome: .refused, status: 503,
            text: "failed to write failover key into DCS"),
    ]

    @Test(arguments: refusals) func refusal(_ row: SwitchoverRow) async throws {
        var view = row.view
        view.config = ConfigRecord(data: row.settings, revision: 3)
        let bench = Bench(store: FakeStore([.success(view)], outcomes: [.success(row.outcome)]), peers: row.peers)
        let answer = try await bench.ask("POST", row.path, row.body)
        #expect(answer.status == row.status)
        #expect(answer.text == row.text)
        #expect(answer.headers["Content-Type"] == "text/html")
        #expect(bench.node.calls.isEmpty)
        if row.outcome != .refused { #expect(bench.store.writes.isEmpty) }
    }

    @Test func aScheduleIsWrittenAndNothingIsAsked() async throws {
        let bench = Bench()
        let answer = try await bench.ask(
            "POST", "/switchover",
            #"{"leader": "pg-x", "candidate": "pg-y", "scheduled_at": "2031-01-01 00:00+02"}"#)
        #expect(answer.status == 202 && answer.text == "Switchover scheduled")
        #expect(
            bench.store.writes == [
                .init(
                    key: .failover,
                    value: #"{"leader":"pg-x","member":"pg-y","scheduled_at":"2031-01-01T00:00:00+02:00"}"#,
                    condition: .absent)
            ])
        #expect(bench.node.calls == ["wake: a request in /failover"])
    }

    static let asked = Scene.view(leader: "pg-a", failover: FailoverRequest(leader: "pg-a", candidate: "pg-b"))

    @Test(arguments: [
        ("/switchover", #"{"leader": "pg-a"}"#, "pg-c", 200, #"Successfully switched over to "pg-c""#),
        (
            "/switchover", #"{"leader": "pg-a", "candidate": "pg-b"}"#, "pg-b", 200,
            #"Successfully switched over to "pg-b""#
        ),
        (
            "/switchover", #"{"leader": "pg-a", "candidate": "pg-b"}"#, "pg-c", 200,
            #"Switched over to "pg-c" instead of "pg-b""#
        ),
        ("/failover", #"{"candidate": "pg-b"}"#, "pg-b", 200, #"Successfully failed over to "pg-b""#),
        ("/failover", #"{"candidate": "pg-b"}"#, "pg-c", 200, #"Failed over to "pg-c" instead of "pg-b""#),
        ("/switchover", #"{"leader": "pg-a"}"#, "pg-a", 503, "Switchover failed"),
        ("/failover", #"{"candidate": "pg-b"}"#, "pg-a", 503, "Failover failed"),
    ])
    func theOutcomeIsWatched(_ path: String, _ body: String, _ leader: String, _ status: Int, _ text: String)
        async throws
    {
        let bench = Bench(peers: ["pg-b": Scene.usable(), "pg-c": Scene.usable()], clock: StillClock())
        // Not yet seen, then under way, then a store that is silent, then a cluster without leader, then the end.
        for view in [
            Self.seen(leader: "pg-a", written - 1, asked: false), Self.seen(leader: "pg-a", written, asked: true),
        ] {
            bench.node.publish { $0.view = view }
        }
        bench.node.publish { $0.storeFailure = "gone" }
        for view in [
            Self.seen(leader: nil, written + 1, asked: true), Self.seen(leader: leader, written + 2, asked: false),
        ] {
            bench.node.publish { $0.view = view }
        }
        let answer = try await bench.ask("POST", path, body)
        #expect(answer.status == status)
        #expect(answer.text == text)
        #expect(bench.node.calls == ["wake: a request in /failover"])
        #expect(bench.store.loads == 1, "the node tells, and nobody asks the store")
    }

    /// The revision in which the request stands (`FakeStore`).
    let written: Int64 = 100

    static func seen(leader: String?, _ revision: Int64, asked: Bool) -> ClusterView {
        Scene.view(leader: leader, failover: asked ? Self.asked.failover : nil, revision: revision)
    }

    @Test func aViewFromBeforeTheRequestDecidesNothing() async throws {
        let bench = Bench(peers: ["pg-b": Scene.usable()], clock: StillClock())
        // It shows another leader, and no request: either would end the wait.
        bench.node.publish { $0.view = Self.seen(leader: "pg-x", written - 1, asked: false) }
        bench.node.publish { $0.view = Self.seen(leader: "pg-b", written, asked: false) }
        let answer = try await bench.ask("POST", "/switchover", #"{"leader": "pg-a"}"#)
        #expect(answer.text == #"Successfully switched over to "pg-b""#)
    }

    /// `pg-b`, of ours, has taken the key, and is a standby still.
    static func taken(_ revision: Int64) -> ClusterView {
        let members = ["pg-a", "pg-b", "pg-c"].map { Scene.member($0, ["matriarch": "0.1.0"]) }
        return Scene.view(leader: "pg-b", members: members, revision: revision)
    }

    @Test func aPromotionThatIsRefusedIsNoSuccess() async throws {
        var status = PeerStatus(isPrimary: false, position: WALPosition(1), timeline: 4)
        status.standsBack = [
            PeerStatus.Objection(
                code: "promotion-refused", facts: ["why": "pre_promote says no"], sentence: "no", alsoIfNamed: false)
        ]
        let bench = Bench(peers: ["pg-b": .status(status)], clock: StillClock())
        bench.node.publish { $0.view = Self.taken(written) }
        bench.node.publish { $0.view = Self.seen(leader: nil, written + 1, asked: false) }
        bench.node.publish { $0.view = Self.seen(leader: "pg-a", written + 2, asked: false) }
        let answer = try await bench.ask("POST", "/switchover", #"{"leader": "pg-a", "candidate": "pg-b"}"#)
        #expect(answer.status == 503)
        #expect(
            answer.text
                == "Switchover failed: pg-b took the leader key and was not promoted (pre_promote says no)")
    }

    @Test func aPromotionThatDoesNotEndIsUnknown() async throws {
        let bench = Bench(
            Scene.snapshot(view: Self.taken(written)), store: FakeStore([.success(Self.asked)]),
            peers: ["pg-b": Scene.usable()])
        let answer = try await bench.ask("POST", "/switchover", #"{"leader": "pg-a"}"#)
        #expect(answer.status == 503)
        #expect(answer.text.hasSuffix(": pg-b has the leader key and is not promoted yet"), "\(answer.text)")
    }

    @Test func aClientThatGoesEndsTheWait() async throws {
        let clock = StillClock()
        let bench = Bench(peers: ["pg-b": Scene.usable()], clock: clock)
        let asking = Task { try await bench.ask("POST", "/switchover", #"{"leader": "pg-a"}"#) }
        while clock.sleepers == 0 { await Task.yield() }
        asking.cancel()
        _ = try await asking.value
        #expect(clock.sleepers == 0 && bench.node.hasNoReader)
    }

    @Test func aNodeThatEndsCannotTell() async throws {
        let bench = Bench(peers: ["pg-b": Scene.usable()], clock: StillClock())
        bench.node.end()
        let answer = try await bench.ask("POST", "/switchover", #"{"leader": "pg-a"}"#)
        #expect(answer.status == 503)
        #expect(
            answer.text == "Switchover status unknown: this node shuts down; operation may still be in progress")
    }

    @Test func whatNeverEndsIsUnknown() async throws {
        let bench = Bench(
            Scene.snapshot(), store: FakeStore([.success(Self.asked)]), peers: ["pg-b": Scene.usable()])
        let answer = try await bench.ask("POST", "/switchover", #"{"leader": "pg-a"}"#)
        #expect(answer.status == 503)
        #expect(
            answer.text == "Switchover status unknown after 20 seconds; operation may still be in progress")
    }

    @Test func whatTheStopWaitsForIsNamed() async throws {
        var snapshot = Scene.snapshot()
        snapshot.local.waitingFor = "logical walsender 7 of app, slot s"
        let bench = Bench(snapshot, store: FakeStore([.success(Self.asked)]), peers: ["pg-b": Scene.usable()])
        let answer = try await bench.ask("POST", "/switchover", #"{"leader": "pg-a"}"#)
        #expect(answer.status == 503)
        #expect(answer.text.hasSuffix(": the stop waits for logical walsender 7 of app, slot s"), "\(answer.text)")
    }

    @Test func aSwitchoverWithoutTheStoreIs503() async throws {
        let bench = Bench(store: FakeStore([.failure(.unreachable("gone"))]))
        #expect(try await bench.ask("POST", "/switchover", #"{"leader": "pg-a"}"#).status == 503)
        #expect(try await bench.ask("DELETE", "/switchover").status == 503)
    }

    @Test func deletingASchedule() async throws {
        let scheduled = Scene.view(
            leader: "pg-a",
            failover: FailoverRequest(
                leader: "pg-a", candidate: nil, scheduledAt: "2031-01-01T00:00:00+00:00", revision: 7))
        let bench = Bench(store: FakeStore([.success(scheduled)]))
        let deleted = try await bench.ask("DELETE", "/switchover")
        #expect(deleted.status == 200 && deleted.text == "scheduled switchover deleted")
        #expect(bench.store.writes == [.init(key: .failover, value: "{}", condition: .unchanged(since: 7))])
        let refused = Bench(store: FakeStore([.success(scheduled)], outcomes: [.success(.refused)]))
        #expect(try await refused.ask("DELETE", "/switchover").status == 409)
        let gone = Bench(store: FakeStore([.success(scheduled)], outcomes: [.failure(.unreachable("gone"))]))
        #expect(try await gone.ask("DELETE", "/switchover").status == 503)
        for view in [Scene.view(leader: "pg-a"), Self.asked] {
            let none = try await Bench(store: FakeStore([.success(view)])).ask("DELETE", "/switchover")
            #expect(none.status == 404 && none.text == "no switchover is scheduled")
        }
    }
}
