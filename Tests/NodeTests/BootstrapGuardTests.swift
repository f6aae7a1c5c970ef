import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// The server of a cluster that is being made accepts writes before this node has the leader key, and its daemon may
/// die at any moment (S1).
@Suite struct BootstrapGuardTests {
    typealias Scene = GuardianOrderTests.Scene

    /// A daemon that has just begun to make a cluster, and what it has done last.
    private static func beginning() -> (Scene, [CycleEffect]) {
        var scene = Scene()
        HonestTimeTests.acknowledge(scene.step(.timer), &scene)
        let empty = BootstrapFlowTests.status(.stopped, identifier: nil, at: scene.now)
        HonestTimeTests.acknowledge(scene.step(.node(.observed(empty))), &scene)
        HonestTimeTests.acknowledge(scene.step(.store(.loaded(.success(ClusterView())))), &scene)
        let begun = scene.step(.store(.wrote(.initialize, .success(.written(5)))))
        return (scene, begun)
    }

    private static func unled(_ scene: Scene, postmaster: Int32? = nil) -> [GuardOrder] {
        [.enforce(Lease(since: scene.now, ttl: .seconds(30)), postmaster: postmaster)]
    }

    @Test func theGuardianKnowsADeadlineBeforeAnythingIsMade() throws {
        let (scene, effects) = Self.beginning()
        #expect(GuardianOrderTests.orders(effects) == Self.unled(scene))
        let told = try #require(effects.firstIndex { if case .guardian = $0 { true } else { false } })
        let begun = try #require(effects.firstIndex { if case .node(.perform) = $0 { true } else { false } })
        #expect(told < begun)
        #expect(scene.machine.snapshot().lease == nil)
    }

    @Test func itIsMovedOnUntilOthersMayKnowOfTheCluster() {
        var (scene, effects) = Self.beginning()
        HonestTimeTests.acknowledge(effects, &scene)
        effects = scene.step(.timer, after: .seconds(11))
        #expect(GuardianOrderTests.orders(effects) == Self.unled(scene))
        HonestTimeTests.acknowledge(effects, &scene)
        _ = scene.step(.node(.performed(plan: 1, .success(.done))), after: .seconds(2))
        effects = scene.step(.node(.observed(scene.status(writable: true))), after: .seconds(1))
        HonestTimeTests.acknowledge(effects, &scene)
        effects = scene.step(.store(.wrote(.bootstrapConfig, .success(.written(6)))), after: .seconds(1))
        #expect(effects.contains { if case .store(.write(.initialize, _, _, _), _) = $0 { true } else { false } })
        #expect(GuardianOrderTests.orders(effects) == Self.unled(scene, postmaster: 42))
        HonestTimeTests.acknowledge(effects, &scene)
        // Others count a ttl from when they read it, and lead then.
        for event: CycleEvent in [
            .timer, .store(.wrote(.bootstrapInitialize, .success(.written(7)))), .timer,
            .timer, .node(.performed(plan: 1, .success(.done))),
        ] {
            #expect(GuardianOrderTests.orders(scene.step(event, after: .seconds(6))).isEmpty)
        }
    }

    @Test func aDaemonThatComesBackHasNoLeaseByIt() {
        let scene = Scene(adopted: Lease(since: GuardianOrderTests.start, ttl: .seconds(30)))
        #expect(scene.machine.snapshot().lease == nil)
        #expect(Scene(adopted: GuardianOrderTests.lease).machine.snapshot().lease == GuardianOrderTests.lease)
    }
}
