import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// A leader renews once in loop_wait at the default times, and looks at its PostgreSQL more often than that: what hangs
/// or goes is noticed as soon, and the store is asked nothing for it.
@Suite struct LeaderLookTests {
    private static func asksTheStore(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .store = $0 { true } else { false } }
    }

    private static func observes(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .node(.observe) = $0 { true } else { false } }
    }

    private static func statusWrites(_ effects: [CycleEffect]) -> Int {
        effects.count { if case .store(.write(.status, _, _, _), _) = $0 { true } else { false } }
    }

    /// A leader between two cycles, at the look that comes before the renewal.
    private static func looking() -> GuardianOrderTests.Scene {
        var scene = HonestTimeTests.leader()
        let due = scene.machine.nextLook ?? scene.machine.schedule.next
        #expect(due < scene.machine.schedule.next)
        let effects = scene.step(.timer, after: due - scene.now)
        #expect(observes(effects) && !asksTheStore(effects))
        return scene
    }

    @Test func theLookComesBeforeTheRenewal() {
        let scene = HonestTimeTests.leader()
        let since = scene.machine.schedule.began
        #expect(scene.machine.nextLook == since + .milliseconds(7500))
        let lease = scene.machine.snapshot().lease
        #expect(lease.map { scene.machine.schedule.next - $0.since } == .seconds(10))
    }

    /// Where a renewal is due as soon, its cycle looks.
    @Test func aShortTtlNeedsNoFurtherLook() {
        var scene = HonestTimeTests.leader()
        scene.machine.schedule.moveNext(to: scene.machine.schedule.began + .milliseconds(7500))
        #expect(scene.machine.nextLook == nil)
    }

    @Test func whatMayBeLostIsToldAsOftenAsItIsLookedAt() {
        var scene = Self.looking()
        var status = scene.status(writable: true)
        status.facts?.writePosition = WALPosition(5000)
        let first = scene.step(.node(.observed(status)))
        #expect(Self.statusWrites(first) == 1 && scene.machine.isIdle)
        // Others ask for a look whenever they like.
        status.observedAt = scene.now
        status.facts?.writePosition = WALPosition(6000)
        #expect(Self.statusWrites(scene.step(.node(.observed(status)))) == 0)
    }

    @Test func aDirectoryThatHasGoneBeginsACycleAtOnce() {
        var scene = Self.looking()
        var status = scene.status(writable: true)
        status.dataDirectory = .empty
        let effects = scene.step(.node(.observed(status)))
        #expect(!scene.machine.isIdle && Self.asksTheStore(effects))
    }
}
