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

    static func received(_ scene: inout GuardianOrderTests.Scene) throws -> [CycleEffect] {
        let number = try #require(scene.machine.progress?.number)
        let status = PeerStatus(isPrimary: false, position: WALPosition(1000), timeline: 1)
        return scene.step(.peers(.receipt(plan: number), ["n2": .status(status)]))
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
        #expect(Self.releases(try Self.received(&scene)))
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
        scene.now = scene.now + .seconds(1)
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        #expect(!Self.releases(try Self.received(&scene)))
        #expect(scene.machine.progress == nil)
        #expect(scene.machine.lease != nil)
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
        let peer = PeerStatus(isPrimary: false, position: WALPosition(1000), timeline: 1)
        let effects = scene.step(.peers(.receipt(plan: number), ["n2": .status(peer)]))
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
}
