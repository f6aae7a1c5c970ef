import ClusterModel
import HighAvailability
import Testing

@Suite struct RequestTests {
    static let clear = Action.write(.clearFailover(7))
    /// 2031-01-01T00:00:00Z.
    static let newYear: Int64 = 1_924_992_000_000_000_000

    static let rows: [Row] = [
        Row(
            description: "the leader asks the candidate",
            seen: leader(requested("n1", "n2")), expected: .asks(["n2"]), because: ["requested"]),
        Row(
            description: "and hands over",
            seen: leader(requested("n1", "n2"), peers: ["n2": Scene.peer(1000)]), expected: .plan(.handOver),
            because: ["requested"]),
        Row(
            description: "not where it receives nothing: it may come within moments",
            seen: unreceived(requested("n1", "n2")), expected: .action(.wait),
            because: ["requested", "candidates-receive-nothing"]),
        Row(
            description: "which ends the request after a while, without having taken PostgreSQL down",
            seen: unreceived(requested("n1", "n2")), memory: waiting(for: 10), expected: .action(clear),
            because: ["requested", "candidates-receive-nothing"]),
        Row(
            description: "the wait for another request does not count",
            seen: unreceived(requested("n1", "n2")), memory: waiting(for: 10, request: 6), expected: .action(.wait),
            because: ["requested", "candidates-receive-nothing"]),
        Row(
            description: "nor where nobody does",
            seen: unreceived(requested("n1", nil), sendsTo: []), memory: waiting(for: 10), expected: .action(clear),
            because: ["requested", "candidates-receive-nothing"]),
        Row(
            description: "a candidate that streams by way of another member receives",
            seen: unreceived(
                requested("n1", "n2", members: [member("n2", ["tags": ["replicatefrom": "n3"]]), Scene.member("n3")])),
            expected: .plan(.handOver), because: ["requested"]),
        Row(
            description: "so does one that has the archive",
            seen: unreceived(
                requested("n1", "n2", members: [member("n2", ["replication_state": "in archive recovery"])])),
            expected: .plan(.handOver), because: ["requested"]),
        Row(
            description: "and one whose slot is read",
            seen: unreceived(requested("n1", "n2"), sendsTo: [], slot: "n2"), expected: .plan(.handOver),
            because: ["requested"]),
        Row(
            description: "where it is not known who receives, the hand-over tells",
            seen: unreceived(requested("n1", "n2"), sendsTo: [], isStale: true), expected: .plan(.handOver),
            because: ["requested"]),
        Row(
            description: "without a candidate all are asked",
            seen: leader(requested("n1", nil)), expected: .asks(["n2", "n3"]), because: ["requested"]),
        Row(
            description: "one is enough",
            seen: leader(requested("n1", nil), peers: ["n2": Scene.unreachable, "n3": Scene.peer(1000)]),
            expected: .plan(.handOver), because: ["requested"]),
        Row(
            description: "a dead candidate ends the request",
            seen: leader(requested("n1", "n2"), peers: ["n2": Scene.unreachable]), expected: .action(clear),
            because: ["no-healthy-candidate"]),
        Row(
            description: "a lagging candidate ends the request",
            seen: leader(
                requested("n1", "n2", optime: 5000), peers: ["n2": Scene.peer(1000)],
                settings: ["maximum_lag_on_failover": 3999]), expected: .action(clear),
            because: ["no-healthy-candidate"]),
        Row(
            description: "a candidate that says it may not lead ends the request",
            seen: leader(requested("n1", "n2"), peers: ["n2": Scene.peer(1000, tags: ["nofailover": true])]),
            expected: .action(clear), because: ["no-healthy-candidate"]),
        Row(
            description: "a candidate on an earlier timeline may have parted: its position says nothing (S3)",
            seen: Scene.seen(
                requested("n1", "n2"), Scene.primary(timeline: 2), lease: Scene.lease(), renewal: .held,
                peers: ["n2": Scene.peer(9000, timeline: 1)]), expected: .action(clear),
            because: ["no-healthy-candidate"]),
        Row(
            description: "a request to step down another leader ends",
            seen: leader(requested("n3", "n2")), expected: .action(clear), because: ["request-names-another-leader"]),
        Row(
            description: "a request for the leader itself ends",
            seen: leader(requested(nil, "n1")), expected: .action(clear), because: ["request-names-me"]),
        Row(
            description: "a failover without a leader's name is done",
            seen: leader(requested(nil, "n2"), peers: ["n2": Scene.peer(1000)]), expected: .plan(.handOver),
            because: ["requested"]),
        Row(
            description: "a switchover outside /sync ends in synchronous mode",
            seen: leader(
                requested("n1", "n2", sync: SyncState(leader: "n1", voters: ["n3"])), peers: ["n2": Scene.peer(1000)],
                settings: ["synchronous_mode": true]), expected: .action(clear), because: ["no-healthy-candidate"]),
        Row(
            description: "a failover may go there",
            seen: leader(
                requested(nil, "n2", sync: SyncState(leader: "n1", voters: ["n3"])), peers: ["n2": Scene.peer(1000)],
                settings: ["synchronous_mode": true]), expected: .plan(.handOver), because: ["requested"]),
        Row(
            description: "in quorum mode all voters are asked",
            seen: leader(
                requested("n1", "n2", sync: SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1)),
                settings: ["synchronous_mode": "quorum"]), expected: .asks(["n2", "n3"]), because: ["requested"]),
        Row(
            description: "the candidate needs their votes",
            seen: leader(
                requested("n1", "n2", sync: SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1)),
                peers: ["n2": Scene.peer(1000), "n3": Scene.unreachable], settings: ["synchronous_mode": "quorum"]),
            expected: .action(clear), because: ["no-quorum"]),
        Row(
            description: "and is handed over to with them",
            seen: leader(
                requested("n1", "n2", sync: SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1)),
                peers: ["n2": Scene.peer(1000), "n3": Scene.peer(1000)], settings: ["synchronous_mode": "quorum"]),
            expected: .plan(.handOver), because: ["requested"]),
        Row(
            description: "before its time a schedule waits",
            seen: leader(requested("n1", "n2", at: "2031-01-01T00:00:00Z"), wallTime: newYear - 1),
            expected: .action(.wait), because: ["holding-lease"]),
        Row(
            description: "at its time it is done",
            seen: leader(
                requested("n1", "n2", at: "2031-01-01T00:00:00Z"), peers: ["n2": Scene.peer(1000)], wallTime: newYear),
            expected: .plan(.handOver), because: ["requested"]),
        Row(
            description: "long after it, it is dropped",
            seen: leader(requested("n1", "n2", at: "2031-01-01T00:00:00Z"), wallTime: newYear + 16_000_000_000),
            expected: .action(clear), because: ["schedule-missed"]),
        Row(
            description: "a time without an offset is dropped",
            seen: leader(requested("n1", "n2", at: "2031-01-01T00:00:00"), wallTime: newYear), expected: .action(clear),
            because: ["schedule-invalid"]),
        Row(
            description: "in pause a schedule is kept",
            seen: leader(
                requested("n1", "n2", at: "2020-01-01T00:00:00Z"), settings: ["pause": true], wallTime: newYear),
            expected: .action(.wait), because: ["holding-lease"]),
    ]

    static func member(_ name: String, _ more: JSONObject) -> Member {
        var data = Scene.member(name).data
        for member in more.members { data[member.key] = member.value }
        return Member(name: name, data: data)
    }

    static func unreceived(
        _ view: ClusterView, sendsTo receivers: [String] = ["n3"], slot: String? = nil, isStale: Bool = false
    ) -> Observation {
        var status = Scene.primary(sendsTo: receivers)
        status.facts?.isDetailStale = isStale
        if let slot {
            status.facts?.slots = [.init(name: slot, isLogical: false, isActive: true, restartPosition: nil)]
        }
        return Scene.seen(
            view, status, lease: Scene.lease(), renewal: .held, peers: ["n2": Scene.peer(1000), "n3": Scene.peer(1000)])
    }

    static func waiting(for seconds: Int, request: Revision = 7) -> Memory {
        var memory = Memory()
        memory.unreceived = .init(request, since: Scene.now - .seconds(seconds))
        return memory
    }

    @Test(arguments: rows) func decides(_ row: Row) {
        row.check()
    }

    @Test func theKeyIsHandedOverOnlyWhenACandidateHasEverything() {
        let (decision, _) = Scene.decided(Self.leader(Self.requested("n1", "n2"), peers: ["n2": Scene.peer(1000)]))
        guard case .carryOut(let plan) = decision.action else {
            Issue.record("\(decision)")
            return
        }
        #expect(
            plan.steps == [
                .postgreSQL(.stop(.fastAfterCheckpoint, timeout: .seconds(30), heirs: ["n2"])),
                .confirmReceipt(by: [Scene.member("n2")]), .releaseLeader,
            ])
    }

    // MARK: Over REST (rest-api.md §12.2–12.5)

    static let refusals: [(SwitchoverRequest, JSONObject, SwitchoverRequest.Refusal.Kind, String)] = [
        (
            .init(kind: .failover, leader: nil, candidate: nil), [:], .malformed,
            "Failover could be performed only to a specific candidate"
        ),
        (
            .init(kind: .switchover, leader: nil, candidate: "n2"), [:], .malformed,
            "Switchover could be performed only from a specific leader"
        ),
        (
            .init(kind: .failover, leader: nil, candidate: "n2", scheduledAt: "2031-01-01T00:00:00Z"), [:], .malformed,
            "Failover can't be scheduled"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: "n2", scheduledAt: "2031-01-01T00:00:00Z"),
            ["pause": true], .malformed, "Can't schedule switchover in the paused state"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: nil), ["pause": true], .malformed,
            "Switchover is possible only to a specific candidate in a paused state"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: "n1"), [:], .malformed,
            "Switchover target and source are the same"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: "n2", scheduledAt: "tomorrow"), [:], .unprocessable,
            "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: "n2", scheduledAt: "2031-01-01T00:00:00"), [:],
            .malformed,
            "Timezone information is mandatory for the scheduled switchover"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: "n2", scheduledAt: "2001-01-01T00:00:00Z"), [:],
            .unprocessable,
            "Cannot schedule switchover in the past"
        ),
    ]

    @Test(arguments: refusals) func refuses(
        _ request: SwitchoverRequest, _ settings: JSONObject, _ kind: SwitchoverRequest.Refusal.Kind, _ text: String
    ) {
        #expect(throws: SwitchoverRequest.Refusal(kind, text)) {
            try request.check(
                DynamicConfiguration(document: settings) ?? DynamicConfiguration(), wallTime: 1_700_000_000_000_000_000)
        }
    }

    static let infeasible: [(SwitchoverRequest, ClusterView, JSONObject, String)] = [
        (
            .init(kind: .switchover, leader: "n2", candidate: nil), Scene.view(leader: "n1"), [:],
            "leader name does not match"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: "n9"), Scene.view(leader: "n1"), [:],
            "candidate does not exists"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: nil),
            Scene.view(leader: "n1", members: [Scene.member("n1")]), [:],
            "switchover is not possible: cluster does not have members except leader"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: "n2"),
            Scene.view(leader: "n1", sync: SyncState(leader: "n1", voters: ["n3"])), ["synchronous_mode": true],
            "candidate name does not match with sync_standby"
        ),
        (
            .init(kind: .switchover, leader: "n1", candidate: nil),
            Scene.view(leader: "n1", sync: SyncState(leader: "n1")), ["synchronous_mode": true],
            "switchover is not possible: can not find sync_standby"
        ),
    ]

    @Test(arguments: infeasible) func isInfeasible(
        _ request: SwitchoverRequest, _ view: ClusterView, _ settings: JSONObject, _ text: String
    ) {
        #expect(throws: SwitchoverRequest.Refusal(.precondition, text)) {
            try request.candidates(view, DynamicConfiguration(document: settings) ?? DynamicConfiguration())
        }
    }

    @Test func nobodyUsableAmongTheAnswers() {
        let request = SwitchoverRequest(kind: .failover, leader: nil, candidate: "n2")
        #expect(
            throws: SwitchoverRequest.Refusal(
                .precondition, "failover is not possible: no good candidates have been found")
        ) {
            try request.check(answers: ["n2": Scene.peer(1, tags: ["nofailover": true])], of: [Scene.member("n2")])
        }
    }

    /// By one view after another.
    private static func outcome(
        _ request: SwitchoverRequest, _ views: ClusterView...
    ) throws(SwitchoverRequest.Refusal) -> String? {
        var course = SwitchoverCourse(request, formerLeader: "n1")
        for view in views { if let done = try course.outcome(view) { return done } }
        return nil
    }

    private static let switchover = SwitchoverRequest(kind: .switchover, leader: "n1", candidate: "n2")

    @Test func pollingTellsTheOutcome() throws {
        let pending = FailoverRequest(leader: "n1", candidate: "n2")
        let outcome = { (view: ClusterView) in try Self.outcome(Self.switchover, view) }
        #expect(try outcome(Scene.view(leader: "n1", failover: pending)) == nil)
        #expect(try outcome(Scene.view(failover: pending)) == nil)
        #expect(try outcome(Scene.view(leader: "n2")) == "Successfully switched over to \"n2\"")
        #expect(try outcome(Scene.view(leader: "n3")) == "Switched over to \"n3\" instead of \"n2\"")
        #expect(throws: SwitchoverRequest.Refusal(.unavailable, "Switchover failed")) {
            try outcome(Scene.view(leader: "n1"))
        }
        let failover = SwitchoverRequest(kind: .failover, leader: nil, candidate: "n2")
        #expect(
            try Self.outcome(failover, Scene.view(leader: "n2")) == "Successfully failed over to \"n2\"")
    }

    /// `n2` or `n3`, of ours, has the key, and is what its member key says.
    private static func held(by name: String, role: String) -> ClusterView {
        let members = ["n1", "n2", "n3"].map { other in
            var data = Scene.member(other, role: other == name ? role : "replica").data
            data["matriarch"] = "0.1.0"
            return Member(name: other, data: data)
        }
        return Scene.view(leader: name, members: members)
    }

    @Test func whoHasTheKeyIsToBePromotedFirst() throws {
        let taken = Self.held(by: "n2", role: "replica")
        #expect(try Self.outcome(Self.switchover, taken) == nil)
        let success = #"Successfully switched over to "n2""#
        for role in ["primary", "standby_leader"] {
            #expect(try Self.outcome(Self.switchover, taken, Self.held(by: "n2", role: role)) == success)
        }
        // What the node that looks is itself, it knows before.
        var course = SwitchoverCourse(Self.switchover, formerLeader: "n1")
        #expect(try course.outcome(taken, leads: "n2") == success)
        // It gives the key back: the next one ends it.
        #expect(
            try Self.outcome(Self.switchover, taken, Scene.view(), Self.held(by: "n3", role: "primary"))
                == #"Switched over to "n3" instead of "n2""#)
        #expect(try Self.outcome(Self.switchover, taken, Scene.view()) == nil)
        let why = "Switchover failed: n2 took the leader key and was not promoted"
        #expect(throws: SwitchoverRequest.Refusal(.unavailable, why)) {
            try Self.outcome(Self.switchover, taken, Scene.view(), Self.held(by: "n1", role: "primary"))
        }
    }

    static func requested(
        _ leader: String?, _ candidate: String?, at schedule: String? = nil, optime: UInt64 = 1000,
        sync: SyncState = SyncState(), members: [Member]? = nil
    ) -> ClusterView {
        Scene.view(
            leader: "n1", members: members, optime: optime,
            failover: FailoverRequest(leader: leader, candidate: candidate, scheduledAt: schedule, revision: 7),
            sync: sync)
    }

    static func leader(
        _ view: ClusterView, peers: [String: PeerAnswer]? = nil, settings: JSONObject = [:], wallTime: Int64 = 0
    ) -> Observation {
        Scene.seen(
            view, Scene.primary(), lease: Scene.lease(), renewal: .held, peers: peers, settings: settings,
            wallTime: wallTime)
    }
}
