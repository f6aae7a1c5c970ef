import ClusterModel
import HighAvailability
import Testing

/// All members restart, one after another; `n1` decides, as the leader or as one whose turn it is.
@Suite struct RollingRestartTests {
    static let old = "2027-02-03 04:00:00+00:00"
    static let new = "2027-02-03 05:00:00+00:00"

    /// A member whose server was started at `start`.
    static func member(
        _ name: String, role: String = "replica", start: String? = old, state: String = "running",
        position: Int64 = 1000, streams: Bool = true, tags: JSONObject = [:]
    ) -> Member {
        var data = Scene.member(name, role: role, state: state, tags: tags).data
        data["matriarch"] = "1"
        data["postmaster_start_time"] = start.map { .string($0) }
        data["xlog_location"] = .int(position)
        if role == "replica", streams { data["replication_state"] = "streaming" }
        return Member(name: name, data: data)
    }

    static func rolling(
        done: Set<String> = [], turn: RollingRestart.Turn? = nil, members: [String] = ["n2", "n3", "n1"],
        state: RollingRestart.State = .running
    ) -> RollingRestart {
        RollingRestart(
            state: state, entries: members.map { .init(name: $0, startedAt: old, isDone: done.contains($0)) },
            turn: turn, requestedAt: "then", revision: 9)
    }

    static func view(
        leader: String?, _ rolling: RollingRestart?, members: [Member], failover: FailoverRequest? = nil,
        sync: SyncState = SyncState()
    ) -> ClusterView {
        var view = Scene.view(leader: leader, members: members, failover: failover, sync: sync)
        view.rollingRestart = rolling
        return view
    }

    static func started(_ local: PostgreSQLStatus, _ start: String) -> PostgreSQLStatus {
        var local = local
        local.facts?.postmasterStartTime = start
        return local
    }

    static func driving(
        _ rolling: RollingRestart, _ members: [Member], failover: FailoverRequest? = nil,
        sync: SyncState = SyncState(), own: String = old, peers: [String: PeerAnswer]? = nil,
        settings: JSONObject = [:]
    ) -> Observation {
        let view = view(
            leader: "n1", rolling, members: [member("n1", role: "primary")] + members, failover: failover, sync: sync)
        return Scene.seen(
            view, started(Scene.primary(), own), lease: Scene.lease(), renewal: .held, peers: peers, settings: settings)
    }

    static func following(_ rolling: RollingRestart, own: String = old, settings: JSONObject = [:]) -> Observation {
        let view = view(
            leader: "n2", rolling, members: [member("n1"), member("n2", role: "primary"), member("n3")])
        return Scene.seen(view, started(Scene.standby(), own), settings: settings)
    }

    static func wrote(_ change: (inout RollingRestart) -> Void) -> Row.Expectation {
        var written = rolling()
        change(&written)
        return .action(.write(.rollingRestart(written)))
    }

    static let both = [member("n2"), member("n3")]
    static let able: [String: PeerAnswer] = ["n2": Scene.peer(1000), "n3": Scene.peer(1000)]

    static let leading: [Row] = [
        Row(
            description: "replicas first", seen: driving(rolling(), both),
            expected: wrote { $0.turn = .init(member: "n2") }, because: ["rolling-turn"]),
        Row(
            description: "it was not restarted yet",
            seen: driving(rolling(turn: .init(member: "n2")), both), expected: .action(.wait),
            because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "it is down",
            seen: driving(
                rolling(turn: .init(member: "n2")), [member("n2", start: nil, state: "stopped"), member("n3")]),
            expected: .action(.wait), because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "it runs again and does not stream",
            seen: driving(
                rolling(turn: .init(member: "n2")), [member("n2", start: new, streams: false), member("n3")]),
            expected: .action(.wait), because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "it streams and is behind",
            seen: driving(
                rolling(turn: .init(member: "n2")), [member("n2", start: new, position: 999), member("n3")]),
            expected: .action(.wait), because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "its member key is gone", seen: driving(rolling(turn: .init(member: "n2")), [member("n3")]),
            expected: .action(.wait), because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "it is as it was: the next one",
            seen: driving(
                rolling(turn: .init(member: "n2")), [member("n2", start: new), member("n3")]),
            expected: wrote {
                $0.entries[0].isDone = true
                $0.turn = .init(member: "n3")
            }, because: ["rolling-turn"]),
        Row(
            description: "whoever was restarted meanwhile has no turn",
            seen: driving(
                rolling(), [member("n2", start: new), member("n3")]),
            expected: wrote {
                $0.entries[0].isDone = true
                $0.turn = .init(member: "n3")
            }, because: ["rolling-turn"]),
        Row(
            description: "nobody goes while another one is away",
            seen: driving(
                rolling(done: ["n2"]), [member("n2", start: new, streams: false), member("n3")]),
            expected: .action(.wait), because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "a standby that is synchronous no more",
            seen: driving(
                rolling(turn: .init(member: "n2", voters: 1)), [member("n2", start: new), member("n3")],
                sync: SyncState(leader: "n1"), settings: ["synchronous_mode": true]),
            expected: .action(.wait), because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "another one is synchronous in its place",
            seen: driving(
                rolling(turn: .init(member: "n2", voters: 1)), [member("n2", start: new), member("n3")],
                sync: SyncState(leader: "n1", voters: ["n3"]), settings: ["synchronous_mode": true]),
            expected: wrote {
                $0.entries[0].isDone = true
                $0.turn = .init(member: "n3", voters: 1)
            }, because: ["rolling-turn"]),
        Row(
            description: "the last replica's turn is over before the leader asks who could take over",
            seen: driving(
                rolling(done: ["n2"], turn: .init(member: "n3")), [member("n2", start: new), member("n3", start: new)]),
            expected: wrote {
                $0.entries[0].isDone = true
                $0.entries[1].isDone = true
            }, because: ["rolling-turn-over"]),
        Row(
            description: "a turn is over, and the next one is away",
            seen: driving(
                rolling(turn: .init(member: "n2")),
                [member("n2", start: new), member("n3", start: nil, state: "stopped")]),
            expected: wrote { $0.entries[0].isDone = true }, because: ["rolling-turn-over"]),
        Row(
            description: "the leader's turn: who could take over",
            seen: driving(
                rolling(done: ["n2", "n3"]), [member("n2", start: new), member("n3", start: new)]),
            expected: .asks(["n2", "n3"]), because: ["holding-lease", "rolling-turn"]),
        Row(
            description: "the one with most of the WAL does",
            seen: driving(
                rolling(done: ["n2", "n3"]), [member("n2", start: new), member("n3", start: new)],
                peers: ["n2": Scene.peer(990), "n3": Scene.peer(1000)]),
            expected: wrote {
                $0.entries[0].isDone = true
                $0.entries[1].isDone = true
                $0.turn = .init(member: "n1", candidate: "n3")
            }, because: ["rolling-turn", "rolling-hands-over"]),
        Row(
            description: "nobody could",
            seen: driving(
                rolling(done: ["n2", "n3"]), [member("n2", start: new), member("n3", start: new)],
                peers: ["n2": Scene.unreachable, "n3": Scene.unreachable]),
            expected: .action(.wait), because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "a request of an operator comes first",
            seen: driving(
                rolling(done: ["n2", "n3"]), [member("n2", start: new), member("n3", start: new)],
                failover: FailoverRequest(
                    leader: "n1", candidate: "n2", scheduledAt: "2050-01-01T00:00:00+00:00", revision: 4),
                peers: able),
            expected: .action(.wait), because: ["holding-lease", "rolling-waits-for"]),
        Row(
            description: "the switchover is asked for",
            seen: driving(
                rolling(done: ["n2", "n3"], turn: .init(member: "n1", candidate: "n2")), both),
            expected: .action(.write(.requestFailover(FailoverRequest(leader: "n1", candidate: "n2")))),
            because: ["rolling-hands-over"]),
        Row(
            description: "a turn as a replica that leads by now comes last",
            seen: driving(
                rolling(turn: .init(member: "n1")), both), expected: wrote { $0.turn = .init(member: "n2") },
            because: ["rolling-turn"]),
        Row(
            description: "all are done",
            seen: driving(
                rolling(done: ["n2", "n3"]), [member("n2", start: new), member("n3", start: new)], own: new),
            expected: wrote {
                for place in 0..<3 { $0.entries[place].isDone = true }
                $0.state = .done
            }, because: ["rolling-done"]),
        Row(
            description: "in pause it stands still", seen: driving(rolling(), both, settings: ["pause": true]),
            expected: .action(.wait), because: ["holding-lease"]),
        Row(
            description: "one that was stopped stays so", seen: driving(rolling(state: .failed), both),
            expected: .action(.wait), because: ["holding-lease"]),
    ]

    static let own: [Row] = [
        Row(
            description: "my turn", seen: following(rolling(turn: .init(member: "n1"))), expected: .plan(.restart),
            because: ["rolling-turn"]),
        Row(
            description: "somebody else's", seen: following(rolling(turn: .init(member: "n3"))),
            expected: .plan(.follow), because: ["must-follow"]),
        Row(
            description: "it is done", seen: following(rolling(turn: .init(member: "n1")), own: new),
            expected: .plan(.follow), because: ["must-follow"]),
        Row(
            description: "in pause",
            seen: following(
                rolling(turn: .init(member: "n1")), settings: ["pause": true]),
            expected: .plan(.follow), because: ["must-follow"]),
    ]

    static var streaming: Memory {
        var memory = Memory()
        memory.following = .upstream(Scene.upstream("n2"))
        return memory
    }

    @Test(arguments: leading) func theLeaderDrives(_ row: Row) { row.check() }

    /// Who leads a standby cluster is a standby, and drives it all the same.
    @Test func theLeaderOfAStandbyClusterDrives() {
        let view = Self.view(
            leader: "n1", Self.rolling(), members: [Self.member("n1", role: "standby_leader")] + Self.both)
        let seen = Scene.seen(
            view, Self.started(Scene.standby(), Self.old), lease: Scene.lease(), renewal: .held,
            settings: StandbyClusterTests.settings)
        Row(
            description: "replicas first", seen: seen,
            memory: StandbyClusterTests.told(StandbyClusterTests.far(leads: true)),
            expected: Self.wrote { $0.turn = .init(member: "n2") }, because: ["rolling-turn"]
        ).check()
    }

    @Test(arguments: own) func whoseTurnItIsRestarts(_ row: Row) {
        var row = row
        if case .plan(.restart) = row.expected { row.memory = Self.streaming }
        row.check()
    }

    /// Once in a turn: a server that is the one from before has not been restarted by it.
    @Test func aTurnIsTakenOnce() {
        let seen = Self.following(Self.rolling(turn: .init(member: "n1")))
        let (_, memory) = Scene.decided(seen, Self.streaming)
        let again = Scene.decided(seen, memory).0
        #expect(again.reasons.map(\.code) == ["rolling-member-failed"], "\(again)")
        guard case .write(.rollingRestart(let written)) = again.action else {
            Issue.record("\(again)")
            return
        }
        #expect(written.state == .failed && written.turn == nil)
        #expect(written.failure?["code"] == "rolling-member-failed")
        // One that goes on tries again.
        var resumed = Self.rolling(turn: .init(member: "n1"))
        resumed.attempt = 2
        #expect(Scene.decided(Self.following(resumed), memory).0.reasons.map(\.code) == ["rolling-turn"])
    }

    @Test func aServerThatDoesNotComeUpStopsIt() {
        let seen = Self.following(Self.rolling(turn: .init(member: "n1")))
        var (_, memory) = Scene.decided(seen, Self.streaming)
        memory.learnFailure(
            of: .startStandby(of: nil, timeout: .seconds(1)), in: .startStandby, "no space", isFinal: false,
            at: Scene.now)
        var down = seen
        down.local = Scene.stopped(.shutDownInRecovery, standbySignal: true)
        down.divergence = StuckTests.same
        let decision = Scene.decided(down, memory).0
        #expect(decision.reasons.map(\.code) == ["rolling-member-failed"], "\(decision)")
    }

    /// A switchover is asked for until the store has taken the request, and once: who leads still when the request is
    /// gone was not relieved.
    @Test func aSwitchoverThatDoesNotComeAboutStopsIt() {
        let rolling = Self.rolling(done: ["n2", "n3"], turn: .init(member: "n1", candidate: "n2"))
        let seen = Self.driving(rolling, Self.both)
        var (decision, memory) = Scene.decided(seen)
        (decision, memory) = Scene.decided(seen, memory)
        #expect(decision.reasons.map(\.code) == ["rolling-hands-over"], "the write was lost")
        memory.rolling.switchoverIsAskedFor()
        (decision, memory) = Scene.decided(seen, memory)
        #expect(decision.reasons.map(\.code) == ["rolling-switchover-failed"], "\(decision)")
    }

    @Test func aMemberHasItsTime() {
        var seen = Self.driving(Self.rolling(turn: .init(member: "n2")), Self.both)
        let (first, memory) = Scene.decided(seen)
        #expect(first.reasons.last?.code == "rolling-waits-for")
        seen.now = seen.now + .seconds(3600)
        seen.lease = Lease(since: seen.now, ttl: .seconds(30), session: "s-n1")
        seen.local.observedAt = seen.now
        let (late, _) = Scene.decided(seen, memory)
        #expect(late.reasons.map(\.code) == ["rolling-out-of-time"], "\(late)")
        // What another turn took is not counted.
        seen.view?.rollingRestart?.turn = .init(member: "n3")
        #expect(Scene.decided(seen, memory).0.reasons.last?.code == "rolling-waits-for")
    }

    /// The codes that only a course of decisions shows.
    static let codes: [(RollingReason, because: [String])] = [
        (.memberFailed("n1", why: "no space"), because: ["rolling-member-failed"]),
        (.switchoverFailed("n2"), because: ["rolling-switchover-failed"]),
        (.outOfTime("n2", .gone, limit: .seconds(9)), because: ["rolling-out-of-time"]),
    ]

    @Test(arguments: codes) func reasonsNameTheMember(_ reason: RollingReason, _ because: [String]) {
        #expect([Reason.rolling(reason).code] == because)
        #expect("\(Reason.rolling(reason))".contains("n"))
    }
}
