import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// A member that `/sync` names, and whose data directory a command has restored: when what `/sync` says of it counts
/// again, and who is told.
@Suite struct RestoredCopyTests {
    typealias Scene = GuardianOrderTests.Scene

    /// Streams from `n2`, which has told this end of its WAL.
    private static func copy(_ scene: Scene, at position: UInt64, of end: UInt64) -> PostgreSQLStatus {
        var status = scene.status(writable: false)
        status.observedAt = scene.now
        status.isUnproven = true
        status.facts?.receivedPosition = WALPosition(position)
        status.facts?.replayedPosition = WALPosition(position)
        status.facts?.receiver = .init(isStreaming: true, host: "a", port: 1, latestEnd: WALPosition(end))
        return status
    }

    private static var view: ClusterView {
        var view = SynchronousFlowTests.view(SyncState(leader: "n2", voters: ["n1"], revision: 5))
        view.leader = LeaderRecord(name: "n2", session: "t", revision: 3)
        view.members = [
            Member(
                name: "n2",
                data: ["conn_url": "postgres://a:1/p", "role": "primary", "timeline": 1, "state": "running"])
        ]
        return view
    }

    /// What a cycle is told, and what it does then.
    private static func cycle(_ scene: inout Scene, _ look: (Scene) -> PostgreSQLStatus) -> [CycleEffect] {
        var effects = scene.step(.node(.observed(look(scene)))) + scene.step(.store(.loaded(.success(view))))
        for case .node(.perform(_, _, let plan)) in effects {
            effects += scene.step(.node(.performed(plan: plan, .success(.done))))
            effects += scene.step(.node(.observed(look(scene)))) + scene.step(.store(.loaded(.success(view))))
        }
        if touched(effects) != nil { effects += scene.step(.store(.touched(.success(())))) }
        return effects
    }

    private static func proven(_ effects: [CycleEffect]) -> Set<Int32> {
        Set(effects.compactMap { if case .node(.proveCopy(let postmaster)) = $0 { postmaster } else { nil } })
    }

    /// Whether the member key bears the mark; nil where it is not written.
    private static func touched(_ effects: [CycleEffect]) -> Bool? {
        effects.compactMap { effect -> Bool? in
            guard case .store(.touch(let value, _, _), _) = effect else { return nil }
            return value["unproven_copy"]?.bool == true
        }.last
    }

    private static func reads(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .store(.load, _) = $0 { true } else { false } }
    }

    @Test(arguments: [1000, 999] as [UInt64]) func isProvenWhenItHasEverything(_ position: UInt64) {
        var scene = Scene()
        _ = scene.step(.timer)
        let effects = Self.cycle(&scene) { Self.copy($0, at: position, of: 1000) }
        #expect(Self.proven(effects) == (position == 1000 ? [42] : []))
        #expect(Self.touched(effects) == true)
    }

    /// The primary writes on meanwhile: neither that nor `loop_wait` is waited for.
    @Test func isProvenAndSaysSoBeforeTheNextCycleIsDue() {
        var scene = Scene()
        _ = scene.step(.timer)
        #expect(Self.proven(Self.cycle(&scene) { Self.copy($0, at: 900, of: 1000) }).isEmpty)
        #expect(scene.machine.nextLook.map { $0 - scene.now <= .seconds(1) } == true)
        _ = scene.step(.timer, after: .seconds(1))
        var effects = scene.step(.node(.observed(Self.copy(scene, at: 1000, of: 5000))))
        effects += scene.step(.timer, after: .milliseconds(10))
        #expect(Self.reads(effects))
        effects = Self.cycle(&scene) { Self.copy($0, at: 1000, of: 5000) }
        #expect(Self.proven(effects) == [42])
        // The mark is gone: the leader may take it into /sync.
        #expect(scene.machine.nextLook.map { $0 - scene.now <= .seconds(1) } == true)
        _ = scene.step(.timer, after: .seconds(1))
        func plain(_ scene: Scene) -> PostgreSQLStatus {
            var status = Self.copy(scene, at: 1000, of: 5000)
            status.isUnproven = false
            return status
        }
        effects = scene.step(.node(.observed(plain(scene)))) + scene.step(.timer, after: .milliseconds(10))
        #expect(Self.reads(effects))
        #expect(Self.touched(Self.cycle(&scene, plain)) == false)
        #expect(scene.machine.nextLook == nil)
    }

    /// What comes from another standby proves nothing, however often it is looked at.
    @Test func whoStreamsFromAnotherStandbyIsNotLookedAtAllTheTime() {
        var scene = Scene()
        _ = scene.step(.timer)
        let effects = Self.cycle(&scene) { scene in
            var status = Self.copy(scene, at: 1000, of: 1000)
            status.facts?.receiver?.host = "b"
            return status
        }
        #expect(Self.proven(effects).isEmpty)
        #expect(scene.machine.nextLook == nil, "\(scene.now), \(scene.machine.memory.following)")
    }

    /// The leader is woken when the mark goes.
    @Test func theMarkIsNews() {
        var sight = Sight(now: Scene().now)
        let marked: JSONObject = ["state": "running", "unproven_copy": true]
        let plain: JSONObject = ["state": "running"]
        let news = [marked, marked, plain].map { sight.hasChanged("n1", $0) }
        #expect(news == [true, false, true])
    }
}
