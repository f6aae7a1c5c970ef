import ClusterModel
import HighAvailability
import Testing

/// Failsafe mode (ha-loop.md §16, docs/failsafe.md), on both sides.
@Suite struct FailsafeTests {
    private static let on: JSONObject = ["failsafe_mode": true, "ttl": 30]
    private static let down = "no endpoint answers"
    private static let leading = Scene.view(leader: "n1")
    private static let all = ["n1": "http://n1", "n2": "http://n2", "n3": "http://n3"]
    private static let others = ["n2": "http://n2", "n3": "http://n3"]
    private static let ping = FailsafePing(
        name: "n2", connectionURL: "postgres://127.0.0.1:5432/postgres", apiURL: "http://127.0.0.1:8002/patroni",
        slots: ["n1": WALPosition(900)])

    /// A primary without the store, whose last renewal is that old.
    private static func silent(
        _ age: Duration = .seconds(10), members: [String: String]? = all, answers: [String: FailsafeAnswer]? = nil,
        granted: [String]? = nil, settings: JSONObject = on, local: PostgreSQLStatus = Scene.primary(),
        view: ClusterView? = leading, failure: String? = down, running: RunningPlan? = nil, pulse: Pulse? = nil
    ) -> Observation {
        var seen = Scene.seen(
            view, local, lease: Scene.lease(heldFor: age), running: running, settings: settings, storeFailure: failure)
        seen.failsafe.members = members
        seen.answers.failsafe = answers
        seen.failsafe.granted = granted
        seen.pulse = pulse
        return seen
    }

    private static let yes: [String: FailsafeAnswer] = ["n2": .accepted(WALPosition(1000)), "n3": .accepted(nil)]
    private static let no: [String: FailsafeAnswer] = ["n2": .accepted(nil), "n3": .unreachable("timed out")]
    private static let asks = Row.Expectation.action(.ask(.failsafe(others)))

    static let leaders: [Row] = [
        Row(
            description: "a renewal is due, and the store is silent: the others are asked",
            seen: silent(), expected: asks, because: ["store-unreachable"]),
        Row(
            description: "not before it is due", seen: silent(.seconds(9)), expected: .action(.wait),
            because: ["store-unreachable"]),
        Row(
            description: "not where the mode is off", seen: silent(settings: ["ttl": 30]), expected: .action(.wait),
            because: ["store-unreachable"]),
        Row(
            description: "not in pause, where nothing is demoted",
            seen: silent(settings: ["failsafe_mode": true, "pause": true]), expected: .action(.wait),
            because: ["store-unreachable"]),
        Row(
            description: "a leader alone in /failsafe asks nobody, and goes on by that",
            seen: silent(members: ["n1": "x"]),
            expected: .action(.ask(.failsafe([:]))), because: ["store-unreachable"]),
        Row(
            description: "nobody is asked by a /failsafe that was never seen", seen: silent(members: nil),
            expected: .action(.wait), because: ["store-unreachable", "failsafe-members-unknown"]),
        Row(
            description: "nor by one that lacks this node", seen: silent(members: others), expected: .action(.wait),
            because: ["store-unreachable", "failsafe-members-unknown"]),
        Row(
            description: "and then the primary stops in time", seen: silent(.seconds(22), members: others),
            expected: .plan(.demoteOffline),
            because: ["store-unreachable-too-long", "failsafe-members-unknown"]),
        Row(
            description: "what begins after the time to stop comes too late", seen: silent(.seconds(22)),
            expected: .plan(.demoteOffline), because: ["store-unreachable-too-long"]),
        Row(
            description: "all have promised", seen: silent(.seconds(1), answers: yes, granted: ["n2", "n3"]),
            expected: .action(.wait), because: ["store-unreachable", "failsafe-granted"]),
        Row(
            description: "one has not, and there is time to ask again", seen: silent(.seconds(12), answers: no),
            expected: .action(.wait), because: ["store-unreachable", "failsafe-not-all"]),
        Row(
            description: "one has not, and there is none", seen: silent(.seconds(22), answers: no),
            expected: .plan(.demoteOffline), because: ["store-unreachable-too-long", "failsafe-not-all"]),
        Row(
            description: "between two questions", seen: silent(.seconds(3), granted: ["n2", "n3"]),
            expected: .action(.wait), because: ["store-unreachable", "failsafe-granted"]),
        Row(
            description: "the next one is due", seen: silent(.seconds(10), granted: ["n2", "n3"]), expected: asks,
            because: ["store-unreachable"]),
        Row(
            description: "also while an operator has PostgreSQL restarted",
            seen: silent(running: RunningPlan(plan: Plan(.restart, []), since: Scene.now)), expected: asks,
            because: ["operation-running", "store-unreachable"]),
        Row(
            description: "nobody promises for a server that hangs",
            seen: silent(
                pulse: Pulse(
                    takenAt: Scene.now, postmaster: 100, unflushedSince: Scene.now - .seconds(31),
                    processes: .init(total: 7, uninterruptible: 2))), expected: .action(.wait),
            because: ["store-unreachable", "silent-flushes"]),
        Row(
            description: "a standby asks nobody", seen: silent(local: Scene.standby()), expected: .action(.wait),
            because: ["store-unreachable"]),
        Row(
            description: "the store is back and the key gone: it is taken back",
            seen: silent(.seconds(3), granted: ["n2", "n3"], view: Scene.view(failsafe: all), failure: nil),
            expected: .action(.acquireLeader), because: ["running-primary-reclaims"]),
        Row(
            description: "a store that does not give it back at once is no reason to let the promises end",
            seen: silent(.seconds(10), granted: ["n2", "n3"], view: Scene.view(failsafe: all), failure: nil),
            expected: asks, because: ["running-primary-reclaims"]),
        Row(
            description: "nor is a plan that runs meanwhile",
            seen: silent(
                .seconds(3), granted: ["n2", "n3"], view: Scene.view(failsafe: all), failure: nil,
                running: RunningPlan(plan: Plan(.restart, []), since: Scene.now)), expected: .action(.wait),
            because: ["operation-running", "leader-key-free"]),
        Row(
            description: "somebody else has the key: it stops at once",
            seen: silent(.seconds(3), granted: ["n2", "n3"], view: Scene.view(leader: "n2"), failure: nil),
            expected: .plan(.demote), because: ["leader-key-held-by", "primary-without-lease"]),
    ]

    @Test(arguments: leaders) func leader(_ row: Row) { row.check() }

    /// A standby that has promised n2 something that holds for so much longer.
    private static func bound(
        _ left: Duration? = .seconds(20), view: ClusterView = Scene.view(failsafe: all),
        local: PostgreSQLStatus = Scene.standby(), settings: JSONObject = on, began: Duration? = nil,
        lease: Lease? = nil, renewal: Observation.Renewal? = nil, peers: [String: PeerAnswer]? = nil
    ) -> Observation {
        var seen = Scene.seen(view, local, lease: lease, renewal: renewal, peers: peers, settings: settings)
        seen.failsafe.promise = left.map { FailsafePromise(ping, until: Scene.now + $0) }
        seen.failsafe.began = began.map { Scene.now - $0 }
        return seen
    }

    private static let equal = ["n2": Scene.peer(1000), "n3": Scene.peer(1000)]
    private static let following: Memory = {
        var memory = Memory()
        memory.following = .upstream(Upstream(Scene.member("n2")))
        return memory
    }()

    static let members: [Row] = [
        Row(
            description: "who has promised follows, and does not race", seen: bound(peers: equal), memory: following,
            expected: .action(.wait), because: ["following"]),
        Row(
            description: "also by a configuration that has the mode off: a promise is one",
            seen: bound(settings: ["ttl": 30], peers: equal), memory: following, expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "when the promise is over there is a race", seen: bound(.zero),
            expected: .asks(["n2", "n3"]), because: ["leader-key-free"]),
        Row(
            description: "and it may be won", seen: bound(.zero, peers: equal), expected: .action(.acquireLeader),
            because: ["healthiest"]),
        Row(
            description: "a key that came by a late claim is given back before it makes a second primary",
            seen: bound(
                view: Scene.view(leader: "n1", failsafe: all), lease: Scene.lease(), renewal: .held),
            expected: .action(.releaseLeader), because: ["holding-lease", "failsafe-bound"]),
        Row(
            description: "likewise where /failsafe names others alone",
            seen: bound(
                nil, view: Scene.view(leader: "n1", failsafe: others), lease: Scene.lease(), renewal: .held),
            expected: .action(.releaseLeader), because: ["holding-lease", "not-in-failsafe"]),
        Row(
            description: "whoever /failsafe lacks could not lead, and is not waited for where it is ahead (L1)",
            seen: bound(
                nil, view: Scene.view(failsafe: ["n1": "x", "n3": "x"]),
                peers: ["n2": Scene.peer(5000), "n3": Scene.peer(1000)]),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "unless it is a primary still",
            seen: bound(
                nil, view: Scene.view(failsafe: ["n1": "x", "n3": "x"]),
                peers: ["n2": Scene.peer(1000, primary: true), "n3": Scene.peer(1000)]),
            expected: .action(.wait), because: ["peer-is-primary"]),
        Row(
            description: "a daemon that has just begun may have promised before",
            seen: bound(nil, began: .seconds(5), peers: equal),
            expected: .action(.wait), because: ["failsafe-may-be-bound"]),
        Row(
            description: "for a ttl", seen: bound(nil, began: .seconds(30), peers: equal),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "not where /failsafe names nobody else",
            seen: bound(nil, view: Scene.view(failsafe: ["n1": "x"]), began: .seconds(5), peers: equal),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "nor where the mode is off", seen: bound(nil, settings: [:], began: .seconds(5), peers: equal),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "for as long as the leader has told, where the ttl was made shorter since",
            seen: bound(
                nil, view: told(60), settings: ["failsafe_mode": true, "ttl": 20], began: .seconds(59),
                peers: equal), expected: .action(.wait), because: ["failsafe-may-be-bound"]),
        Row(
            description: "or the mode turned off",
            seen: bound(nil, view: told(60), settings: [:], began: .seconds(59), peers: equal),
            expected: .action(.wait), because: ["failsafe-may-be-bound"]),
        Row(
            description: "and no longer",
            seen: bound(nil, view: told(60), settings: [:], began: .seconds(60), peers: equal),
            expected: .action(.acquireLeader), because: ["healthiest"]),
        Row(
            description: "where the ttl was made longer by that",
            seen: bound(nil, view: told(20), began: .seconds(29), peers: equal),
            expected: .action(.wait), because: ["failsafe-may-be-bound"]),
        Row(
            description: "a running primary takes its own key back however young its daemon is",
            seen: bound(nil, local: Scene.primary(), began: .seconds(5)), expected: .action(.acquireLeader),
            because: ["running-primary-reclaims"]),
        Row(
            description: "but one that has let another lead stops", seen: bound(local: Scene.primary()),
            expected: .plan(.demote), because: ["leader-key-held-by", "primary-without-lease"]),
        Row(
            description: "an operator's failover does not pass over a promise",
            seen: bound(view: requested, peers: equal), memory: following, expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "nor over /failsafe: the request ends, and does not come true at another time",
            seen: bound(nil, view: requested(members: others), peers: equal),
            expected: .action(.write(.clearFailover(9))), because: ["not-in-failsafe"]),
    ]

    /// The leader has written that its members' promises hold for so long.
    private static func told(_ seconds: Int64) -> ClusterView {
        var view = Scene.view(failsafe: all)
        view.status.failsafeTTL = .seconds(seconds)
        return view
    }

    private static let requested = requested(members: all)
    private static func requested(members: [String: String]) -> ClusterView {
        Scene.view(failover: FailoverRequest(leader: nil, candidate: "n1", revision: 9), failsafe: members)
    }

    @Test(arguments: members) func member(_ row: Row) { row.check() }

    @Test(arguments: ["n2", nil], [all, ["n1": "x", "n3": "x"]])
    func aLeaderHandsOverToWhomFailsafeNames(_ candidate: String?, _ members: [String: String]) {
        let seen = Self.asked(.zero, candidate: candidate, members: members)
        let (decision, _) = Scene.decided(seen)
        let mayLead: Set = members == Self.all ? ["n2", "n3"] : ["n3"]
        guard case .ask(.peers(let asked)) = decision.action else {
            Issue.record("\(decision)")
            return
        }
        #expect(Set(asked.map(\.name)).isSubset(of: mayLead), "\(decision)")
    }

    private static func asked(
        _ left: Duration, candidate: String? = "n2", members: [String: String] = all
    ) -> Observation {
        let request = FailoverRequest(leader: "n1", candidate: candidate, revision: 9)
        var seen = Scene.seen(
            Scene.view(leader: "n1", failover: request, failsafe: members), Scene.primary(), lease: Scene.lease(),
            renewal: .held, settings: on)
        seen.failsafe.othersBoundUntil = Scene.now + left
        return seen
    }

    static let handOvers: [Row] = [
        Row(
            description: "a hand-over waits until somebody may take over", seen: asked(.seconds(9)),
            expected: .action(.wait), because: ["failsafe-others-bound"]),
        Row(
            description: "and begins then", seen: asked(.zero), expected: .asks(["n2"]), because: ["requested"]),
    ]

    @Test(arguments: handOvers) func handOver(_ row: Row) { row.check() }

    // MARK: The lease

    private static func granted(
        _ answers: [String: FailsafeAnswer], asked: Set<String> = ["n2", "n3"], sent: Duration = .milliseconds(300),
        present: Lease? = Scene.lease(heldFor: .seconds(10))
    ) -> Lease? {
        failsafeLease(present, asked: asked, answers, sent: Scene.now - sent, ttl: .seconds(30), at: Scene.now)
    }

    @Test func theLeaseCountsFromBeforeTheQuestion() {
        var present = Scene.lease(heldFor: .seconds(10))
        present.safetyMargin = .seconds(4)
        let lease = Self.granted(Self.yes, sent: .seconds(2), present: present)
        #expect(lease?.since == Scene.now - .seconds(2) && lease?.ttl == .seconds(30))
        #expect(lease?.session == "s-n1" && lease?.margin == .seconds(4))
    }

    @Test func allOfThemOrNobody() {
        #expect(Self.granted(Self.yes) != nil)
        #expect(Self.granted([:], asked: []) != nil)
        #expect(Self.granted(Self.no) == nil)
        #expect(Self.granted(["n2": .accepted(nil)]) == nil)
        #expect(Self.granted(["n2": .accepted(nil), "n3": .refused("Running as a leader")]) == nil)
    }

    @Test func nothingIsGrantedAfterTheLeaseHasEnded() {
        #expect(Self.granted(Self.yes, present: Scene.lease(heldFor: .seconds(30))) == nil)
        #expect(Self.granted(Self.yes, present: nil) == nil)
        // Nor is a longer one cut short.
        #expect(Self.granted(Self.yes, sent: .seconds(12)) == nil)
    }

    /// An edit has made the ttl shorter: the wide margin of the lease before must not end it.
    @Test func aShorterLeaseProlongsWhereItsStopComesLater() {
        func granted(_ held: Duration) -> Lease? {
            let present = Lease(since: Scene.now - held, ttl: .seconds(40), session: "s-n1")
            return failsafeLease(
                present, asked: ["n2", "n3"], Self.yes, sent: Scene.now, ttl: .seconds(5), at: Scene.now)
        }
        #expect(granted(.seconds(20)) == nil)
        #expect(granted(.seconds(29))?.deadline == Scene.now + .seconds(5))
    }

    // MARK: The promise

    @Test func thePromiseHoldsForTheLongerTTL() throws {
        let settings = try #require(DynamicConfiguration(document: ["ttl": 20, "failsafe_mode": true]))
        func until(_ ttl: Duration?) -> Duration {
            var ping = Self.ping
            ping.ttl = ttl
            return FailsafePromise(ping, settings, at: Scene.now).until - Scene.now
        }
        #expect(until(nil) == .seconds(20) && until(.seconds(5)) == .seconds(20) && until(.seconds(40)) == .seconds(40))
    }

    @Test func whoMayLeadPromisesNothing() {
        func refusal(
            _ local: PostgreSQLStatus = Scene.standby(), _ kind: Plan.Kind? = nil, _ document: JSONObject = Self.on,
            hasLease: Bool = false, isClaiming: Bool = false, from name: String = "n2"
        ) -> String? {
            failsafeRefusal(
                NodeIdentity(name: "n1"), local, kind.map { RunningPlan(plan: Plan($0, []), since: Scene.now) },
                DynamicConfiguration(document: document) ?? DynamicConfiguration(), hasLease: hasLease,
                isClaiming: isClaiming, from: name)
        }
        #expect(refusal() == nil && refusal(Scene.stopped()) == nil && refusal(Scene.empty) == nil)
        #expect(refusal(Scene.primary()) == "Running as a leader")
        #expect(refusal(Scene.standby(), .promote) == "Running as a leader")
        #expect(refusal(hasLease: true) != nil && refusal(isClaiming: true) != nil && refusal(from: "n1") != nil)
        #expect(refusal(Scene.standby(), nil, [:]) != nil)
    }

    @Test func whatIsSent() {
        var ping = Self.ping
        ping.ttl = .milliseconds(4500)
        #expect(FailsafePing(json: ping.json) == ping)
        #expect(ping.json["slots"] == ["n1": 900] && ping.json["conn_url"]?.string == Self.ping.connectionURL)
        #expect(FailsafePing(json: ["name": "a", "conn_url": "b"]) == nil)
        let endless: JSONObject = [
            "name": "a", "conn_url": "b", "api_url": "c", "ttl_milliseconds": 1_000_000_000_000_000,
        ]
        #expect(FailsafePing(json: endless)?.ttl == .seconds(3600))
    }

    @Test func whatAMemberSees() {
        let view = Scene.view(members: [Scene.member("n1"), Scene.member("n3")]).led(by: Self.ping)
        #expect(view.leaderName == "n2" && view.leaderMember?.connectionURL == Self.ping.connectionURL)
        #expect(view.members.map(\.name) == ["n1", "n2", "n3"] && view.status.slots == ["n1": WALPosition(900)])
        // Whom the store names leads.
        #expect(Scene.view(leader: "n3").led(by: Self.ping).leaderName == "n3")
        let standing = Scene.view().standing(at: ["n3": WALPosition(77)])
        #expect(standing.member("n3")?.position == WALPosition(77) && standing.member("n2")?.position == nil)
    }
}
