import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// In a pause the guardian guards no lease (ha-loop.md §15), and afterwards it does.
@Suite struct PausedGuardianTests {
    private static func load(
        _ scene: inout GuardianOrderTests.Scene, isPaused: Bool, _ revision: Int64, life: Int = 0
    ) -> [GuardOrder] {
        let config: JSONObject = ["ttl": 30, "pause": .bool(isPaused)]
        var effects = scene.step(.woken("/config"), after: .seconds(12))
        effects += scene.step(.node(.observed(scene.status(writable: true))))
        var view = ShortLeaseTests.view(["n2:0.1"], config: config, revision: revision)
        view.life = life
        effects += scene.step(.store(.loaded(.success(view))))
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

    /// Seed 3659 of the simulation: the store was set back and had grown again when it was seen, and the end of the
    /// pause had the number there that the pause had had before.
    @Test func aPauseOfTheStoresFormerLifeIsOver() {
        var scene = GuardianOrderTests.Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        #expect(Self.load(&scene, isPaused: true, 6).last == .disarm)
        let resumed = Self.load(&scene, isPaused: false, 6, life: 1)
        guard case .enforce? = resumed.last else {
            Issue.record("\(resumed)")
            return
        }
    }

    /// Seed 200029650 of the simulation: a leader outlived its lease in a pause without a store, and the first answer
    /// of the store was that the pause is over. Its key still stood, and its guardian ended PostgreSQL.
    @Test(arguments: [true, false]) func aLeaseThatEndedInAPauseIsRenewedBeforeThePauseEnds(_ isHeld: Bool) throws {
        var scene = GuardianOrderTests.Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        _ = Self.load(&scene, isPaused: true, 6)
        _ = scene.step(.woken("test"), after: .seconds(60))
        var effects = scene.step(.node(.observed(scene.status(writable: true))))
        let config: JSONObject = ["ttl": 30, "pause": false]
        let resumed = ShortLeaseTests.view(["n2:0.1"], config: config, revision: 9)
        effects += scene.step(.store(.loaded(.success(resumed))))
        #expect(GuardianOrderTests.orders(effects).isEmpty)
        #expect(effects.contains { if case .store(.renew, _) = $0 { true } else { false } })
        let lease = Lease(since: scene.now, ttl: .seconds(30), session: "s")
        effects = scene.step(
            .store(
                .renewed(
                    isHeld
                        ? .success(.held(since: scene.now, ttl: .seconds(30), session: "s"))
                        : .failure(.unreachable("down")))))
        // The next look follows at once, and goes by what it says.
        #expect(effects.contains { if case .store(.load, _) = $0 { true } else { false } })
        #expect(GuardianOrderTests.orders(effects).isEmpty)
        effects = scene.step(.node(.observed(scene.status(writable: true))))
        effects += scene.step(.store(.loaded(isHeld ? .success(resumed) : .failure(.unreachable("down")))))
        guard case .enforce(let enforced, _)? = GuardianOrderTests.orders(effects).last else {
            Issue.record("\(effects)")
            return
        }
        #expect((enforced == lease) == isHeld)
        #expect(effects.contains { if case .node(.perform) = $0 { true } else { false } } == !isHeld)
    }
}
