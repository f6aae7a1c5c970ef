import ClusterModel
import HighAvailability
import JSON
import Ports
import Testing

@testable import Node

/// Time by injection: what a stepped clock, a suspended host and a slow reply do to a leader.
@Suite struct HonestTimeTests {
    static let config: JSONObject = ["ttl": 30]

    /// A leader whose lease was just renewed.
    static func leader(of members: [String] = ["n2:0.1"]) -> GuardianOrderTests.Scene {
        var scene = GuardianOrderTests.Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        let armed = scene.step(.node(.observed(scene.status(writable: true))))
        acknowledge(armed, &scene)
        _ = scene.step(.store(.loaded(.success(ShortLeaseTests.view(members, config: config)))))
        let renewed = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        acknowledge(renewed, &scene)
        return scene
    }

    static func acknowledge(_ effects: [CycleEffect], _ scene: inout GuardianOrderTests.Scene) {
        for order in GuardianOrderTests.orders(effects) {
            let next = scene.step(.guardian(order, .success(GuardianStatus(pid: 1))))
            acknowledge(next, &scene)
        }
    }

    static func stops(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .node(.perform(.stop, _, _)) = $0 { true } else { false } }
    }

    @Test(arguments: [Int64.min, -1, 0, 86_400_000_000_000, Int64.max / 2])
    func aWallClockThatStepsChangesNothing(wallTime: Int64) {
        var scene = Self.leader()
        let deadline = scene.machine.snapshot().lease?.deadline
        scene.now = scene.now + .seconds(1)
        let effects = scene.machine.step(.timer, now: scene.now, wallTime: wallTime)
        #expect(!Self.stops(effects))
        #expect(scene.machine.snapshot().lease?.deadline == deadline)
        #expect(scene.machine.snapshot().isLeader(at: scene.now))
    }

    @Test func aHostThatWasSuspendedIsNoLeaderBeforeItsFirstStep() {
        let scene = Self.leader()
        let snapshot = scene.machine.snapshot()
        #expect(snapshot.isLeader(at: scene.now))
        // CLOCK_BOOTTIME has gone on: what was published before ends by itself, and whatever event comes first, the
        // machine stops PostgreSQL with it.
        #expect(!snapshot.isLeader(at: scene.now + .seconds(60)))
        var asleep = scene
        #expect(
            Self.stops(
                asleep.step(.timer, after: .seconds(60)) + asleep.step(.store(.loaded(.failure(.unreachable("x")))))))
    }

    @Test func aReplyThatWasSlowCountsFromBeforeItsRequest() {
        var scene = Self.leader()
        _ = scene.step(.woken("the next cycle"), after: .seconds(7))
        let sent = scene.now
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        _ = scene.step(.store(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: Self.config, revision: 6)))))
        let effects = scene.step(
            .store(.renewed(.success(.held(since: sent, ttl: .seconds(30), session: "s")))), after: .seconds(9))
        #expect(scene.machine.snapshot().lease?.deadline == sent + .seconds(30))
        #expect(
            GuardianOrderTests.orders(effects).first
                == .enforce(Lease(since: sent, ttl: .seconds(30), session: "s"), postmaster: 42))
    }

    @Test func aReplyThatComesAfterTheLeaseRenewsNothing() {
        var scene = Self.leader()
        _ = scene.step(.woken("the next cycle"), after: .seconds(7))
        let sent = scene.now
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        _ = scene.step(.store(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: Self.config, revision: 6)))))
        _ = scene.step(
            .store(.renewed(.success(.held(since: sent, ttl: .seconds(30), session: "s")))), after: .seconds(31))
        #expect(!scene.machine.snapshot().isLeader(at: scene.now))
    }

    /// Health checks hear at once that another node leads, also while PostgreSQL has yet to be looked at.
    @Test func aKeyThatIsGoneIsPublishedBeforeTheRestOfTheCycle() {
        var scene = Self.leader()
        _ = scene.step(.woken("the next cycle"), after: .seconds(7))
        let seen = ShortLeaseTests.view(["n2:0.1"], config: Self.config, revision: 6, leader: "n2")
        let published = scene.step(.store(.loaded(.success(seen)))).compactMap { effect -> NodeSnapshot? in
            if case .local(.publish(let published)) = effect { published.snapshot } else { nil }
        }
        #expect(published.count == 1 && published[0].lease == nil)
    }

    /// Seed 5006378 of the simulation: a daemon was frozen between its first look and its renewal, while another led.
    @Test func onlyWhoseClaimHasNotEndedPutsAKeyThatIsGoneAgain() {
        func renewal(_ adopted: Lease?, frozenFor pause: Duration) -> Bool? {
            var scene = GuardianOrderTests.Scene(adopted: adopted)
            _ = scene.step(.timer)
            Self.acknowledge(scene.step(.node(.observed(scene.status(writable: true)))), &scene)
            let looked = ShortLeaseTests.view(["n2:0.1"], config: Self.config)
            for case .store(.renew(_, let replacingGone), _) in scene.step(
                .store(.loaded(.success(looked))), after: pause)
            {
                return replacingGone
            }
            return nil
        }
        #expect(renewal(GuardianOrderTests.lease, frozenFor: .zero) == true)
        #expect(renewal(nil, frozenFor: .zero) == false)
        #expect(renewal(GuardianOrderTests.lease, frozenFor: .seconds(40)) != true)
    }

    /// Seed 6062031 of the simulation: a node stood still between its race and its claim, while another led and went.
    @Test(arguments: [(Duration.zero, true), (.seconds(14), false)])
    func aRaceThatWasWonLongAgoIsRunAgain(_ pause: Duration, claims: Bool) {
        var scene = GuardianOrderTests.Scene()
        _ = scene.step(.timer)
        Self.acknowledge(scene.step(.node(.observed(scene.status(writable: false)))), &scene)
        // It has known a leader, and does not wait for daemons that begin beside it.
        scene.machine.memory.lastLeader = "n2"
        let free = ShortLeaseTests.view(["n1", "n2"], config: Self.config, leader: nil)
        let asked = scene.step(.store(.loaded(.success(free))))
        #expect(asked.contains { if case .peers = $0 { true } else { false } })
        let effects = scene.step(.peers(.decision, ["n2": .unreachable("timed out")]), after: pause)
        #expect(effects.contains { if case .store(.acquire, _) = $0 { true } else { false } } == claims)
        #expect(effects.contains { if case .store(.load, _) = $0 { true } else { false } } == !claims)
    }

    /// Seed 200040242 of the simulation: a member whose key had run out came back while the others were asked. Who has
    /// been there before, has gone or is this node itself has nothing to be asked for.
    @Test(
        arguments: [
            ("members/n3", 7, true, false), ("members/n3", 7, false, true), ("members/n2", 7, true, true),
            ("members/n1", 7, true, true), ("config", 7, true, true), ("members/n3", 5, true, true),
        ] as [(String, Revision, Bool, Bool)])
    func whoComesDuringARaceIsAskedToo(_ leaf: String, _ revision: Revision, isThere: Bool, claims: Bool) {
        var scene = GuardianOrderTests.Scene()
        _ = scene.step(.timer)
        Self.acknowledge(scene.step(.node(.observed(scene.status(writable: false)))), &scene)
        scene.machine.memory.lastLeader = "n2"
        let free = ShortLeaseTests.view(["n1", "n2"], config: Self.config, leader: nil)
        _ = scene.step(.store(.loaded(.success(free))))
        let data = DCSValue.object(["conn_url": "postgres://10.0.0.3:5432/postgres", "state": "running"])
        _ = scene.step(.storeChanged(.changed(leaf: leaf, value: isThere ? data : nil, revision: revision)))
        let effects = scene.step(.peers(.decision, ["n2": .unreachable("timed out")]))
        #expect(effects.contains { if case .store(.acquire, _) = $0 { true } else { false } } == claims)
        #expect(effects.contains { if case .store(.load, _) = $0 { true } else { false } } == !claims)
    }

    /// The same seed: who comes back is asked only once its key stands, and its own comparison may take seconds.
    @Test(arguments: [(true, ["n2"], true), (true, ["n1", "n2"], false), (false, ["n2"], false)])
    func whoseKeyHasRunOutPutsItFirst(_ wasAway: Bool, _ members: [String], puts: Bool) {
        var scene = GuardianOrderTests.Scene()
        _ = scene.step(.timer)
        _ = scene.step(.node(.observed(scene.status(writable: false))))
        let silence: Result<ClusterView, DCSError> = .failure(.unreachable("no endpoint answers"))
        let before = ShortLeaseTests.view(["n1", "n2"], config: Self.config, leader: "n2")
        _ = scene.step(.store(.loaded(wasAway ? silence : .success(before))))
        _ = scene.step(.woken("test"), after: .seconds(40))
        let view = ShortLeaseTests.view(members, config: Self.config, revision: 9, leader: nil)
        let effects = scene.step(.store(.loaded(.success(view))))
        #expect(effects.contains { if case .store(.touch, _) = $0 { true } else { false } } == puts)
    }

    @Test func aDaemonThatLeavesStopsNothing() {
        var scene = Self.leader()
        let effects = scene.step(.leaveRequested)
        #expect(effects.contains { if case .local(.exit(code: 0)) = $0 { true } else { false } })
        #expect(!Self.stops(effects))
    }
}
