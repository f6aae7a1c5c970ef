import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// What happens between the wish to give the leader key away and its going (S1).
@Suite struct LeaderKeyFlowTests {
    static let positions = ShutdownPositions(checkpoint: WALPosition(1000), required: WALPosition(990), timeline: 1)

    static func releases(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .store(.release, _) = $0 { true } else { false } }
    }

    static func stops(_ effects: [CycleEffect]) -> [PostgreSQLOperation] {
        effects.compactMap { effect in
            if case .node(.perform(.stop(let mode, let timeout, let heirs), _, _)) = effect {
                .stop(mode, timeout: timeout, heirs: heirs)
            } else {
                nil
            }
        }
    }

    /// A leader that was asked to hand over and has stopped PostgreSQL, which archives still or has ended.
    static func handingOver(_ outcome: OperationResult) throws -> GuardianOrderTests.Scene {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        let plan = Plan(
            .handOver,
            [
                .postgreSQL(.stop(.fastAfterCheckpoint, timeout: .seconds(300), heirs: ["n2"])),
                .confirmReceipt(by: scene.machine.view?.members.filter { $0.name == "n2" } ?? []), .releaseLeader,
            ])
        var run = CycleMachine.Run(now: scene.now, wallTime: 0, writesLog: false)
        scene.machine.begin(plan, &run)
        let number = try #require(scene.machine.progress?.number)
        _ = scene.step(.node(.performed(plan: number, .success(outcome))))
        return scene
    }

    static func looks(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .node(.observe) = $0 { true } else { false } }
    }

    /// PostgreSQL was shut down.
    static func down(_ scene: GuardianOrderTests.Scene) -> PostgreSQLStatus {
        var status = scene.status(writable: true)
        status.state = .stopped
        status.postmaster = nil
        status.readiness = .down
        status.facts = nil
        status.walEnd = WALPosition(1000)
        status.control = ControlData(
            state: .shutDown, systemIdentifier: "7000000000000000001", checkpoint: WALPosition(1000),
            checkpointTimeline: 1)
        return status
    }

    /// The last look before the key goes finds `status`.
    static func looked(
        _ asked: [CycleEffect], _ scene: inout GuardianOrderTests.Scene, finding status: PostgreSQLStatus? = nil
    ) -> [CycleEffect] {
        #expect(looks(asked) && !releases(asked), "PostgreSQL is looked at before the key goes")
        var status = status ?? down(scene)
        status.observedAt = scene.now
        return scene.step(.node(.observed(status)))
    }

    /// The members say that they have everything, and the last look finds `status`.
    static func received(
        _ scene: inout GuardianOrderTests.Scene, finding status: PostgreSQLStatus? = nil, position: UInt64 = 1000
    ) throws -> [CycleEffect] {
        let number = try #require(scene.machine.progress?.number)
        let peer = PeerStatus(isPrimary: false, position: WALPosition(position), timeline: 1)
        let answered = scene.step(.peers(.receipt(plan: number), ["n2": .status(peer)]))
        return looked(answered, &scene, finding: status)
    }

    @Test func aServerThatArchivesHandsOverAndIsEndedAfterwards() throws {
        var scene = try Self.handingOver(.archiving(Self.positions))
        var archiving = scene.status(writable: true)
        archiving.readiness = .rejecting
        archiving.facts = nil
        archiving.finish = .shutDown
        scene.now = scene.now + .seconds(1)
        archiving.observedAt = scene.now
        // The postmaster is there and has no standby signal: it is no reason to break anything off.
        let looked = scene.step(.node(.observed(archiving)))
        #expect(!looked.contains { if case .node(.breakOff) = $0 { true } else { false } })
        #expect(Self.releases(try Self.received(&scene, finding: archiving)))
        let released = scene.step(.store(.released(.success(true))))
        #expect(Self.stops(released) == [.stop(.fast, timeout: archivingPatience)])
    }

    @Test func aServerThatEndedIsNotStoppedTwice() throws {
        var scene = try Self.handingOver(.shutDown(Self.positions))
        #expect(Self.releases(try Self.received(&scene)))
        #expect(Self.stops(scene.step(.store(.released(.success(true))))).isEmpty)
        #expect(scene.machine.progress == nil)
    }

    @Test func anOperatorWhoStartsItAgainKeepsTheKeyHere() throws {
        var scene = try Self.handingOver(.shutDown(Self.positions))
        #expect(!Self.releases(try Self.received(&scene, finding: scene.status(writable: true))))
        #expect(scene.machine.progress == nil)
        #expect(scene.machine.lease != nil)
    }

    /// Seeds 3882 (failsafe) and 3969 (synchronous) of the simulation: a primary that may take no time to start was
    /// started by hand while the members were asked.
    @Test(arguments: [true, false]) func whoIsStartedWhileTheMembersAreAskedKeepsTheKey(_ isStarted: Bool) throws {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        scene.machine.configuration.settings = try #require(
            DynamicConfiguration(document: ["ttl": 30, "primary_start_timeout": 0]))
        _ = scene.step(.postmasterExited(42))
        _ = scene.step(.node(.observed(Self.down(scene))))
        let view = ShortLeaseTests.view(["n2:0.1"], config: ["ttl": 30, "primary_start_timeout": 0], revision: 6)
        var effects = scene.step(.store(.loaded(.success(view))))
        #expect(effects.contains { if case .store(.renew, _) = $0 { true } else { false } })
        effects = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        #expect(effects.contains { if case .peers(_, .decision, _) = $0 { true } else { false } })
        let peer = PeerStatus(isPrimary: false, position: WALPosition(1000), timeline: 1)
        effects = scene.step(.peers(.decision, ["n2": .status(peer)]), after: .seconds(2))
        effects = Self.looked(effects, &scene, finding: isStarted ? scene.status(writable: true) : nil)
        #expect(Self.releases(effects) != isStarted)
        #expect((scene.machine.lease != nil) == isStarted)
    }

    /// The stop has ended PostgreSQL, and the release waits for a renewal that is under way.
    @Test(arguments: [true, false]) func norDoesItGoByAStopOfBeforeTheStoreAnswered(_ isStarted: Bool) throws {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        _ = scene.step(.woken("the next cycle"), after: .seconds(7))
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        let view = ShortLeaseTests.view(["n2:0.1"], config: ["ttl": 30], revision: 6)
        _ = scene.step(.store(.loaded(.success(view))))
        BreakingOffTests.begin(giveUpKeyPlan(), &scene)
        let number = try #require(scene.machine.progress?.number)
        #expect(!Self.releases(scene.step(.node(.performed(plan: number, .success(.shutDown(nil)))))))
        let renewed = CycleEvent.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s"))))
        let asked = scene.step(renewed, after: .seconds(2))
        let found = isStarted ? scene.status(writable: true) : Self.down(scene)
        let effects = Self.looked(asked, &scene, finding: found)
        #expect(Self.releases(effects) != isStarted)
        #expect(Self.stops(effects).isEmpty != isStarted, "what runs again is ended again")
    }

    /// Nor by a look that the daemon has taken long to come to, and the looks go on until one is young.
    @Test func aDaemonThatStoodStillLooksAgain() {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        scene.now = scene.now + .seconds(1)
        _ = scene.step(.node(.observed(Self.down(scene))))
        var run = CycleMachine.Run(now: scene.now + .milliseconds(10), wallTime: 0, writesLog: false)
        scene.machine.begin(Plan(.shutdown, [.releaseLeader]), &run)
        #expect(Self.looks(run.all) && !Self.releases(run.all))
        var old = Self.down(scene)
        old.observedAt = scene.now + .milliseconds(20)
        let late = scene.step(.node(.observed(old)), after: .seconds(7))
        #expect(late.contains { if case .node(.observe(scene.now, _)) = $0 { true } else { false } }, "one of now")
        #expect(Self.releases(Self.looked(late, &scene)))
    }

    /// The store refuses `/status` with the end of the WAL, and with it the release: this node goes on.
    @Test func aReleaseThatTheStoreRefusesEndsTheSwitchover() throws {
        var scene = try Self.handingOver(.shutDown(Self.positions))
        let effects = try Self.received(&scene)
        let status = effects.compactMap { effect -> JSONObject? in
            if case .store(.release(let status), _) = effect { status } else { nil }
        }
        #expect(status.first?["optime"] == 990)
        _ = scene.step(.store(.released(.failure(.unauthorized("permission denied")))))
        #expect(scene.machine.progress == nil)
        #expect(scene.machine.view?.leaderName == "n1")
    }

    /// `/status` never goes back, and a control file that tells of less than was flushed is an older copy's: nobody has
    /// everything then, and the key stays.
    @Test(arguments: [(995, 995), (1000, 1000), (1001, nil)] as [(UInt64, Int64?)])
    func theEndOfTheWALDoesNotGoBack(_ told: UInt64, _ written: Int64?) throws {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        var view = try #require(scene.machine.view)
        view.status = StatusRecord(optime: WALPosition(told), revision: 9)
        _ = scene.machine.sight.see(view, isMine: true, asked: scene.now, wallTime: 0)
        let members = view.members.filter { $0.name == "n2" }
        var run = CycleMachine.Run(now: scene.now, wallTime: 0, writesLog: false)
        scene.machine.begin(
            Plan(
                .handOver,
                [
                    .postgreSQL(.stop(.fast, timeout: .seconds(300), heirs: ["n2"])), .confirmReceipt(by: members),
                    .releaseLeader,
                ]), &run)
        let number = try #require(scene.machine.progress?.number)
        _ = scene.step(.node(.performed(plan: number, .success(.shutDown(Self.positions)))))
        guard let written else {
            #expect(scene.machine.progress == nil && scene.machine.lease != nil, "it is called off")
            return
        }
        let effects = try Self.received(&scene)
        let status = effects.compactMap { effect -> JSONObject? in
            if case .store(.release(let status), _) = effect { status } else { nil }
        }
        #expect(status.first?["optime"] == .int(written))
    }

    /// PostgreSQL was down for it, or may have been: whatever has ended the plan, it is not begun again.
    @Test(arguments: [true, false]) func aHandOverThatFailsOrIsBrokenOffIsNotBegunAgain(_ fails: Bool) throws {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        var view = try #require(scene.machine.view)
        view.failover = FailoverRequest(leader: "n1", candidate: "n2", revision: 7)
        _ = scene.machine.sight.see(view, isMine: true, asked: scene.now, wallTime: 0)
        var run = CycleMachine.Run(now: scene.now, wallTime: 0, writesLog: false)
        scene.machine.begin(Plan(.handOver, [.postgreSQL(.stop(.fast, timeout: .seconds(300), heirs: ["n2"]))]), &run)
        let number = try #require(scene.machine.progress?.number)
        if !fails { scene.machine.breakOff(for: giveUpKeyPlan(), &run) }
        let effects = scene.step(.node(.performed(plan: number, .failure(.timedOut("the stop")))))
        #expect(scene.machine.memory.calledOff == 7)
        #expect(scene.machine.memory.calledOffBecause != nil)
        let ended = effects.compactMap { effect -> String? in
            guard case .store(.write(.failover, let value, _, .clearFailover), _) = effect else { return nil }
            return value.object?["failed"]?.string ?? ""
        }
        // Whoever has asked is told why.
        #expect(ended.first?.contains("the stop") == (fails ? true : nil))
    }

    @Test func theTimeOfAStartIsNotThatOfAStop() throws {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        scene.machine.configuration.settings = try #require(
            DynamicConfiguration(document: ["ttl": 30, "primary_start_timeout": 0, "primary_stop_timeout": 7]))
        let stop = try #require(Self.stops(scene.step(.shutdownRequested)).first)
        #expect(stop == .stop(.fast, timeout: .seconds(30), heirs: ["n2"]))
    }

    @Test(
        arguments: [
            (["primary_start_timeout": 0], 60, 30), (["primary_stop_timeout": 7], 60, 30), (["ttl": 20], 60, 20),
            (["ttl": 300], 60, 60), (["primary_stop_timeout": 7, "synchronous_mode": true], 7, 7),
            (["primary_stop_timeout": 700, "synchronous_mode": true], 700, 700),
            (["master_stop_timeout": 8, "synchronous_mode": "quorum"], 8, 8),
            (["primary_stop_timeout": 0, "master_stop_timeout": 8, "synchronous_mode": true], 60, 30),
        ] as [(JSONObject, Int, Int)])
    func stopTimeout(document: JSONObject, whole: Int, withHeirs: Int) throws {
        let settings = try #require(DynamicConfiguration(document: document))
        #expect(settings.stopTimeout == .seconds(whole))
        #expect(settings.handOverTimeout == .seconds(withHeirs))
    }

    /// The winner of the key ends a request that was under way; one for later stays.
    @Test(arguments: [nil, "2031-01-02T00:00:00+00:00"])
    func theWinnerEndsWhatWasUnderWay(_ scheduledAt: String?) {
        var bed = CommandTests.Bed.ready()
        var view = bed.view(leader: nil)
        view.failover = FailoverRequest(leader: nil, candidate: "n1", scheduledAt: scheduledAt, revision: 7)
        _ = bed.machine.sight.see(view, isMine: false, asked: bed.now, wallTime: bed.wall)
        bed.machine.schedule.begin(at: bed.now)
        bed.machine.schedule.cycle?.stage = .acting
        let effects = bed.step(.store(.acquired(.success(.held(since: bed.now, ttl: .seconds(30), session: "s")))))
        let ends = effects.contains {
            if case .store(.write(.failover, _, _, .clearFailover), _) = $0 { true } else { false }
        }
        #expect(ends == (scheduledAt == nil))
    }

    /// A key that was won counts as won only while it is there.
    @Test(arguments: ["n2", nil]) func aKeyThatIsLostIsWonNoMore(_ leader: String?) {
        var bed = CommandTests.Bed.ready()
        bed.machine.memory.hasWonKey = true
        _ = bed.step(.woken("test"))
        _ = bed.settle(leader: leader)
        #expect(!bed.machine.memory.hasWonKey)
    }
}
