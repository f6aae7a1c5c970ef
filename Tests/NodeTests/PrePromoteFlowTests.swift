import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// What the operator's command before a promotion says, and what comes of it.
@Suite struct PrePromoteFlowTests {
    static func promotions(_ effects: [CycleEffect]) -> Int {
        effects.count { if case .node(.perform(.promote, _, _)) = $0 { true } else { false } }
    }

    static func asking() throws -> (scene: GuardianOrderTests.Scene, plan: Int) {
        var scene = HonestTimeTests.leader(of: ["n2:0.1"])
        var run = CycleMachine.Run(now: scene.now, wallTime: 0, writesLog: false)
        scene.machine.begin(Plan(.promote, [.postgreSQL(.prePromote), .postgreSQL(.promote)]), &run)
        return (scene, try #require(scene.machine.progress?.number))
    }

    @Test func aYesLeadsToThePromotion() throws {
        var (scene, plan) = try Self.asking()
        #expect(Self.promotions(scene.step(.node(.performed(plan: plan, .success(.done))))) == 1)
    }

    /// It has taken its time, or the daemon has stood still: somebody else may lead soon (S5).
    @Test func aYesThatComesTooLateLeadsToNone() throws {
        var (scene, plan) = try Self.asking()
        let late = scene.step(.node(.performed(plan: plan, .success(.done))), after: .seconds(25))
        #expect(Self.promotions(late) == 0)
        #expect(scene.machine.memory.refusedPromotion == nil)
    }

    @Test func aNoIsRemembered() throws {
        var (scene, plan) = try Self.asking()
        let effects = scene.step(.node(.performed(plan: plan, .failure(.failed("it ended with status 1")))))
        #expect(Self.promotions(effects) == 0)
        #expect(scene.machine.memory.refusedPromotion?.why == "pre_promote failed: it ended with status 1")
        #expect(scene.machine.memory.refusedPromotion?.at == scene.now)
    }
}
