import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// What a node decided is kept, with its reasons as data, and published with the rest.
@Suite struct DecisionHistoryTests {
    @Test func theSnapshotHasTheLastDecisions() {
        var scene = HonestTimeTests.leader()
        let first = scene.machine.snapshot().decisions.entries
        #expect(first.last?.decision.reasons.map(\.code) == ["holding-lease"])
        #expect(!first.contains { if case .ask = $0.decision.action { true } else { false } })
        // Somebody else has the key.
        scene.now = scene.now + .seconds(10)
        _ = scene.step(.timer)
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        _ = scene.step(.store(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: HonestTimeTests.config)))))
        _ = scene.step(.store(.renewed(.success(.refused))))
        let last = scene.machine.snapshot().decisions.entries.last?.decision
        #expect(last?.reasons.map(\.code) == ["lease-refused"])
    }
}
