import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// A daemon that is told to end while it leads: who gets the key, and when.
@Suite struct ShutdownTests {
    static let positions = ShutdownPositions(checkpoint: WALPosition(1000), required: WALPosition(990), timeline: 1)

    /// Seed 7104553 of the simulation: an operator had started a PostgreSQL again that the daemon took for ended.
    @Test(arguments: [
        (isKnownToRun: true, positions, asks: true, releases: false),
        (true, nil, true, false),
        (false, positions, true, false),
        (false, nil, false, true),
    ])
    func theKeyGoesToOneThatHasEverything(
        isKnownToRun: Bool, found: ShutdownPositions?, asks: Bool, releases: Bool
    ) throws {
        var scene = HonestTimeTests.leader()
        if !isKnownToRun {
            scene.now = scene.now + .seconds(1)
            let ended = PostgreSQLStatus(dataDirectory: .initialized, state: .stopped, observedAt: scene.now)
            _ = scene.step(.node(.observed(ended)))
        }
        _ = scene.step(.shutdownRequested)
        let plan = try #require(scene.machine.progress?.number)
        let effects = scene.step(.node(.performed(plan: plan, .success(.shutDown(found)))))
        let asked = effects.contains { if case .peers(_, .receipt, _) = $0 { true } else { false } }
        let released = effects.contains { if case .store(.release, _) = $0 { true } else { false } }
        #expect(asked == asks)
        #expect(released == releases)
    }

    /// Seed 7186468: a member that came back from long ago took the key of a leader that was only being restarted.
    @Test func withNobodyElseThereTheKeyWaitsForThisNode() throws {
        var scene = HonestTimeTests.leader(of: ["n1"])
        _ = scene.step(.shutdownRequested)
        let plan = try #require(scene.machine.progress?.number)
        let effects = scene.step(.node(.performed(plan: plan, .success(.shutDown(Self.positions)))))
        #expect(!effects.contains { if case .store(.release, _) = $0 { true } else { false } })
        #expect(effects.contains { if case .local(.exit(code: 0)) = $0 { true } else { false } })
    }

    /// S6: who is outside /sync may not lead, and so is not asked whether it has everything.
    @Test func inSynchronousModeOnlyAVoterIsAnHeir() {
        var view = ShortLeaseTests.view(["n2:0.1", "n3:0.1"], config: ["ttl": 30, "synchronous_mode": true])
        view.sync = SyncState(leader: "n1", voters: ["n3"])
        var scene = GuardianOrderTests.Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        let armed = scene.step(.node(.observed(scene.status(writable: true))))
        HonestTimeTests.acknowledge(armed, &scene)
        _ = scene.step(.store(.loaded(.success(view))))
        let renewed = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        HonestTimeTests.acknowledge(renewed, &scene)
        let heirs = scene.step(.shutdownRequested).compactMap { effect -> [String]? in
            if case .node(.perform(.stop(_, _, let heirs), _, _)) = effect { heirs } else { nil }
        }
        #expect(heirs == [["n3"]])
    }
}
