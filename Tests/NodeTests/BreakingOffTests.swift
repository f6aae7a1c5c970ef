import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// L1: an operation that hangs on a dead disk holds nobody up for ever.
@Suite struct BreakingOffTests {
    typealias Scene = GuardianOrderTests.Scene

    static func operations(_ effects: [CycleEffect]) -> [PostgreSQLOperation] {
        effects.compactMap { if case .node(.perform(let operation, _, _)) = $0 { operation } else { nil } }
    }

    /// Until when what runs is broken off.
    static func breakOffs(_ effects: [CycleEffect]) -> [BootInstant] {
        effects.compactMap { if case .node(.breakOff(let deadline)) = $0 { deadline } else { nil } }
    }

    static func touches(_ effects: [CycleEffect]) -> [Bool] {
        effects.compactMap { if case .store(.touch(_, _, let prolonging), _) = $0 { prolonging } else { nil } }
    }

    static func renews(_ effects: [CycleEffect]) -> Bool {
        effects.contains { effect in
            switch effect {
            case .store(.renew, _), .store(.refresh, _): true
            case .store, .node, .peers, .failsafe, .guardian, .local: false
            }
        }
    }

    static func timers(_ effects: [CycleEffect]) -> [BootInstant] {
        effects.compactMap { if case .local(.setTimer(let instant)) = $0 { instant } else { nil } }
    }

    static func begin(_ plan: Plan, _ scene: inout Scene) {
        var run = CycleMachine.Run(now: scene.now, wallTime: 0, writesLog: false)
        scene.machine.begin(plan, &run)
    }

    static let force = PostgreSQLOperation.stop(.byForce, timeout: .seconds(5))
    static let restart = Plan(.restart, [.postgreSQL(.stopToRestart(timeout: .seconds(300)))])

    /// A leader whose restart never returns, and was broken off because PostgreSQL hangs.
    static func brokenOff() -> Scene {
        var scene = HonestTimeTests.leader()
        begin(restart, &scene)
        var run = CycleMachine.Run(now: scene.now, wallTime: 0, writesLog: false)
        scene.machine.breakOff(for: giveUpKeyPlan(.byForce), &run)
        return scene
    }

    /// systemd waits for a removal or a copy no longer than for anything else.
    @Test func theEndOfTheDaemonBreaksACopyOff() throws {
        var scene = Scene()
        let source = Upstream(name: "n2", address: HostPort(host: "127.0.0.1", port: 5432))
        Self.begin(Plan(.clone, [.postgreSQL(.clone(from: source, replacing: .first))]), &scene)
        let number = try #require(scene.machine.progress?.number)
        #expect(Self.breakOffs(scene.step(.shutdownRequested)).count == 1)
        let stopped = scene.step(.node(.performed(plan: number, .failure(.cancelled))))
        #expect(Self.operations(stopped).count == 1)
        let next = try #require(scene.machine.progress?.number)
        let ended = scene.step(.node(.performed(plan: next, .success(.shutDown(nil)))))
        #expect(ended.contains { if case .local(.exit(code: 0)) = $0 { true } else { false } })
    }

    @Test func whatNeverReturnsIsWaitedForOnlySoLong() throws {
        var scene = Self.brokenOff()
        let hanging = try #require(scene.machine.progress?.number)
        #expect(Self.operations(scene.step(.timer, after: .milliseconds(4900))).isEmpty)
        #expect(Self.operations(scene.step(.timer, after: .milliseconds(100))) == [Self.force])
        // S1: the key goes when that has ended PostgreSQL, and not by what comes late.
        #expect(!LeaderKeyFlowTests.releases(scene.step(.node(.performed(plan: hanging, .success(.done))))))
        let number = try #require(scene.machine.progress?.number)
        #expect(LeaderKeyFlowTests.releases(scene.step(.node(.performed(plan: number, .success(.shutDown(nil)))))))
    }

    @Test func theTimerIsSetForIt() {
        var scene = Self.brokenOff()
        let until = scene.machine.progress?.brokenOffUntil
        let armed = Self.timers(scene.step(.woken("test"))).min() ?? scene.machine.schedule.timer
        #expect(until != nil && armed == until)
    }

    /// The time goes by, and the lease is renewed all the while.
    static func renew(until duration: Duration, _ scene: inout Scene) {
        scene.now = scene.now + duration
        scene.machine.tenure.holds(since: scene.now, ttl: .seconds(30), session: "s")
    }

    /// The stop of a leader whose daemon ends hangs with its disk: it is ended by force in time for the service manager,
    /// and the key goes to a member that has all that is known.
    @Test(arguments: [(999, true), (1000, true), (998, false)] as [(UInt64, Bool)])
    func theEndOfTheDaemonIsNotHeldUpByAStopThatHangs(_ received: UInt64, releases: Bool) throws {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        scene.machine.memory.ledTimeline = 1
        scene.machine.memory.ledPosition = WALPosition(999)
        var view = try #require(scene.machine.view)
        view.status = StatusRecord(optime: WALPosition(900), revision: 9)
        _ = scene.machine.sight.see(view, isMine: true, asked: scene.now, wallTime: 0)
        let began = scene.now
        let stops = Self.operations(scene.step(.shutdownRequested))
        #expect(stops.first == .stop(.fast, timeout: .seconds(30), heirs: ["n2"]))
        Self.renew(until: .seconds(34), &scene)
        let due = try #require(scene.machine.operationEnd)
        #expect(due - began < .seconds(36))
        let forced = scene.step(.timer, after: due - scene.now)
        #expect(Self.operations(forced) == [Self.force] && !LeaderKeyFlowTests.releases(forced))
        let number = try #require(scene.machine.progress?.number)
        let asked = scene.step(.node(.performed(plan: number, .success(.shutDown(nil)))))
        #expect(!LeaderKeyFlowTests.releases(asked))
        let peer = PeerStatus(isPrimary: false, position: WALPosition(received), timeline: 1)
        var answered = scene.step(.peers(.receipt(plan: number), ["n2": .status(peer)]))
        if releases { answered = LeaderKeyFlowTests.looked(answered, &scene) }
        #expect(LeaderKeyFlowTests.releases(answered) == releases)
        // Nothing is told of where the WAL ends: that is not known.
        let status = answered.compactMap { effect -> JSONObject? in
            if case .store(.release(let status), _) = effect { status } else { nil }
        }
        #expect(status.isEmpty)
    }

    /// A switchover promises that nothing is left behind, and is called off.
    @Test func aSwitchoverIsNotHeldUpEither() throws {
        var scene = HonestTimeTests.leader()
        let stop = PostgreSQLOperation.stop(.fastAfterCheckpoint, timeout: .seconds(30), heirs: ["n2"])
        let heirs = scene.machine.view?.members.filter { $0.name == "n2" } ?? []
        Self.begin(Plan(.handOver, [.postgreSQL(stop), .confirmReceipt(by: heirs), .releaseLeader]), &scene)
        // Sessions go on during the checkpoint before the stop.
        Self.renew(until: .seconds(154), &scene)
        let due = try #require(scene.machine.operationEnd)
        #expect(due - scene.now == .seconds(1))
        #expect(Self.operations(scene.step(.timer, after: due - scene.now)) == [Self.force])
        let number = try #require(scene.machine.progress?.number)
        _ = scene.step(.node(.performed(plan: number, .success(.shutDown(nil)))))
        let peer = PeerStatus(isPrimary: false, position: WALPosition(1000), timeline: 1)
        let ended = scene.step(.peers(.receipt(plan: number), ["n2": .status(peer)]), after: .seconds(6))
        #expect(!LeaderKeyFlowTests.releases(ended) && scene.machine.progress == nil)
    }

    /// What looks for the sessions that a dead postmaster has left, on a disk that does not answer.
    @Test func theKeyDoesNotWaitForADeadDisk() throws {
        var scene = HonestTimeTests.leader()
        scene.now = scene.now + .seconds(1)
        _ = scene.step(
            .node(.observed(PostgreSQLStatus(dataDirectory: .initialized, state: .crashed, observedAt: scene.now))))
        Self.begin(giveUpKeyPlan(), &scene)
        let due = try #require(scene.machine.operationEnd)
        #expect(due - scene.now <= .seconds(10))
        #expect(Self.operations(scene.step(.timer, after: due - scene.now)) == [Self.force])
        let number = try #require(scene.machine.progress?.number)
        #expect(LeaderKeyFlowTests.releases(scene.step(.node(.performed(plan: number, .success(.shutDown(nil)))))))
    }

    @Test func whatReturnsInTimeIsFollowedAtOnce() throws {
        var scene = Self.brokenOff()
        let number = try #require(scene.machine.progress?.number)
        let effects = scene.step(.node(.performed(plan: number, .failure(.cancelled))))
        #expect(Self.operations(effects) == [Self.force])
        #expect(scene.machine.progress?.successor == nil)
    }

    /// Where PostgreSQL cannot be ended, the lease must end: nothing that the node does meanwhile prolongs it.
    @Test func nobodyProlongsTheSessionOfALeaderThatGivesUp() throws {
        var scene = Self.brokenOff()
        var effects = scene.step(.timer, after: .seconds(5))
        var touched: [Bool] = []
        var revision: Int64 = 20
        for _ in 0..<12 {
            effects += scene.step(.timer, after: .seconds(8))
            #expect(!Self.renews(effects))
            let status = scene.status(writable: true)
            revision += 1
            let view = ShortLeaseTests.view(["n2:0.1"], config: HonestTimeTests.config, revision: revision)
            effects += scene.step(.node(.observed(status)))
            effects += scene.step(.store(.loaded(.success(view))))
            touched += Self.touches(effects)
            if !Self.touches(effects).isEmpty { _ = scene.step(.store(.touched(.success(())))) }
            #expect(!Self.renews(effects))
            effects = []
        }
        #expect(!touched.contains(true))
    }

    @Test func aFollowerProlongsItsSession() {
        var scene = Scene()
        _ = scene.step(.timer)
        _ = scene.step(.node(.observed(scene.status(writable: false))))
        let view = ShortLeaseTests.view(["n2:0.1"], config: HonestTimeTests.config, leader: "n2")
        #expect(Self.touches(scene.step(.store(.loaded(.success(view))))) == [true])
    }

    /// A shutdown leaves the key to the session where nobody has everything; its last word must not prolong that.
    @Test func theLastWordOfAShutdownProlongsNothing() throws {
        var scene = HonestTimeTests.leader(of: ["n1"])
        _ = scene.step(.shutdownRequested)
        let plan = try #require(scene.machine.progress?.number)
        let effects = scene.step(.node(.performed(plan: plan, .success(.shutDown(ShutdownTests.positions)))))
        #expect(effects.contains { if case .local(.exit(code: 0)) = $0 { true } else { false } })
        #expect(Self.touches(effects) == [false])
    }

    // MARK: Without a guardian

    /// Point 8: a promotion that was begun may let PostgreSQL write at any moment.
    @Test func aPromotionEndsWithTheLeaseAsAPrimaryDoes() throws {
        var scene = HonestTimeTests.leader()
        scene.now = scene.now + .seconds(1)
        _ = scene.step(.node(.observed(scene.status(writable: false))))
        Self.begin(Plan(.promote, [.postgreSQL(.promote)]), &scene)
        #expect(!scene.machine.local.mayAcceptWrites)
        let lease = try #require(scene.machine.lease)
        let stopBy = LeaseArithmetic.stopBy(lease)
        // The store hangs: a cycle is under way, and no answer comes.
        _ = scene.step(.woken("test"), after: .seconds(15))
        #expect(scene.machine.storeDeadline(scene.now) == stopBy)
        let looked = scene.step(.node(.observed(scene.status(writable: false))))
        #expect((Self.timers(looked).last ?? scene.machine.schedule.timer) == stopBy)
        let effects = scene.step(.timer, after: stopBy - scene.now)
        let deadline = try #require(Self.breakOffs(effects).first)
        #expect(deadline <= lease.deadline)
    }

    @Test(arguments: [Plan.Kind.demote, .demoteOffline])
    func aStopThatHangsIsEndedByForceBeforeTheLease(_ kind: Plan.Kind) throws {
        var scene = HonestTimeTests.leader()
        let lease = try #require(scene.machine.lease)
        Self.begin(Plan(kind, [.postgreSQL(.stop(.fast, timeout: .seconds(27)))]), &scene)
        let early = scene.step(.timer, after: LeaseArithmetic.haltBy(lease) - scene.now)
        #expect(!Self.operations(early).contains(Self.force))
        let effects = scene.step(.timer, after: LeaseArithmetic.haltBy(lease) + lease.margin / 2 - scene.now)
        #expect(Self.operations(effects) == [Self.force] && Self.breakOffs(effects).count == 1)
        #expect(scene.now < lease.deadline)
    }

    /// The guardian has fenced it, and the disk says nothing any more: the last look is told again and again.
    @Test func aServerThatIsGoneIsRememberedUntilItIsLookedAt() {
        var scene = HonestTimeTests.leader()
        let known = scene.machine.local
        _ = scene.step(.postmasterExited(41))
        #expect(!scene.machine.sight.isServerGone, "another server")
        _ = scene.step(.postmasterExited(42))
        _ = scene.step(.node(.observed(known)))
        #expect(scene.machine.sight.isServerGone)
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        #expect(!scene.machine.sight.isServerGone)
    }

    // MARK: One look

    @Test func oneLookThatFailsCostsNoLeadership() {
        var scene = HonestTimeTests.leader()
        var revision: Int64 = 20
        func cycle(_ directory: PostgreSQLStatus.DataDirectory) -> [CycleEffect] {
            var effects = scene.step(.timer, after: .seconds(8))
            var status = scene.status(writable: true)
            status.dataDirectory = directory
            effects += scene.step(.node(.observed(status)))
            revision += 1
            let view = ShortLeaseTests.view(["n2:0.1"], config: HonestTimeTests.config, revision: revision)
            effects += scene.step(.store(.loaded(.success(view))))
            guard Self.renews(effects) else { return effects }
            return effects
                + scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        }
        let failing = PostgreSQLStatus.DataDirectory.inaccessible("input/output error")
        #expect(Self.operations(cycle(failing)).isEmpty)
        #expect(scene.machine.schedule.next <= scene.now + CycleMachine.lookInterval)
        #expect(Self.operations(cycle(.initialized)).isEmpty)
        #expect(Self.operations(cycle(failing)).isEmpty)
        #expect(Self.operations(cycle(failing)) == [.stop(.immediate, timeout: .seconds(5))])
    }

    /// The cycle that breaks something off comes to its end: the next one looks again.
    @Test func aCycleEndsWithWhatItBreaksOff() {
        var setup = CycleMachine.Setup(
            scope: "test", me: NodeIdentity(name: "n1"),
            addresses: MemberKey.Addresses(
                connectionURL: "postgres://a:1/p", apiURL: "http://a:2/patroni", version: "4.1.5"), document: [:])
        setup.rules.decide = { _, _ in Decision(.breakOff(giveUpKeyPlan(.byForce)), []) }
        var bed = CommandTests.Bed()
        bed.machine = CycleMachine(setup, now: bed.now)
        var run = CycleMachine.Run(now: bed.now, wallTime: 0, writesLog: false)
        bed.machine.begin(Self.restart, &run)
        _ = bed.step(.timer)
        _ = bed.step(.node(.observed(bed.status())))
        #expect(bed.machine.stage != nil)
        #expect(Self.breakOffs(bed.step(.store(.loaded(.success(bed.view()))))).count == 1)
        #expect(bed.machine.stage == nil)
    }
}
