import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// In a pause the guardian guards no lease (ha-loop.md §15), and afterwards it does.
@Suite struct PausedGuardianTests {
    private static func load(_ scene: inout GuardianOrderTests.Scene, isPaused: Bool, _ revision: Int64) -> [GuardOrder]
    {
        let config: JSONObject = ["ttl": 30, "pause": .bool(isPaused)]
        var effects = scene.step(.woken("/config"), after: .seconds(12))
        effects += scene.step(.node(.observed(scene.status(writable: true))))
        effects += scene.step(
            .store(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: config, revision: revision)))))
        effects += scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        var orders = GuardianOrderTests.orders(effects)
        var taken = 0
        // What it takes may be followed by the next one, which waits for that.
        while taken < orders.count {
            effects = scene.step(.guardian(orders[taken], .success(GuardianStatus(pid: 1))))
            orders += GuardianOrderTests.orders(effects)
            taken += 1
        }
        scene.machine.schedule.cycle = nil
        return orders
    }

    @Test func theOrderIsToEndNobody() throws {
        var scene = GuardianOrderTests.Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        let first = Self.load(&scene, isPaused: false, 5)
        guard case .enforce? = first.last else {
            Issue.record("\(first)")
            return
        }
        #expect(Self.load(&scene, isPaused: true, 6).last == .disarm)
        let resumed = Self.load(&scene, isPaused: false, 7)
        guard case .enforce? = resumed.last else {
            Issue.record("\(resumed)")
            return
        }
    }
}
