import ClusterModel
import HighAvailability
import JSON
import Ports
import Testing

@testable import Node

/// What a short ttl needs of the machine.
@Suite struct ShortLeaseTests {
    static func view(
        _ members: [String], config: JSONObject, revision: Int64 = 5, leader: String? = "n1"
    ) -> ClusterView {
        let keys = members.map { entry in
            let parts = entry.split(separator: ":").map(String.init)
            let mark = parts.count > 1 ? ", \"matriarch\": \"\(parts[1])\"" : ""
            return StoredEntry(
                leaf: "members/\(parts[0])",
                value: "{\"state\": \"running\", \"api_url\": \"http://a:2/patroni\"\(mark)}", revision: 1, session: "s"
            )
        }
        let others = [
            StoredEntry(leaf: "config", value: JSON.text(.object(config)), revision: revision - 3),
            StoredEntry(leaf: "initialize", value: "7000000000000000001", revision: 1),
            StoredEntry(leaf: "status", value: #"{"optime": 1}"#, revision: 2),
        ]
        let key = leader.map { [StoredEntry(leaf: "leader", value: $0, revision: 3, session: "s")] } ?? []
        return ClusterView(entries: keys + others + key, revision: revision) { try? JSON.parse($0) }
    }

    static func ttls(_ effects: [CycleEffect]) -> [Duration] {
        effects.compactMap { if case .local(.adoptTimings(let timings)) = $0 { timings.ttl } else { nil } }
    }

    static func load(_ scene: inout GuardianOrderTests.Scene, _ view: ClusterView) -> [CycleEffect] {
        var effects = scene.step(.woken("test"), after: .seconds(40))
        effects += scene.step(.store(.loaded(.success(view))))
        return effects + scene.step(.node(.observed(scene.status(writable: false))))
    }

    @Test func aMemberOfThePeersRaisesTheTtlForAsLongAsItIsThere() {
        var scene = GuardianOrderTests.Scene()
        let config: JSONObject = ["ttl": 5]
        #expect(Self.ttls(Self.load(&scene, Self.view(["n2:0.1"], config: config))) == [.seconds(5)])
        #expect(scene.machine.settings.timings.retryTimeout == .seconds(2))
        scene.machine.schedule.cycle = nil
        let raised = Self.load(&scene, Self.view(["n2:0.1", "n3"], config: config, revision: 6))
        #expect(Self.ttls(raised) == [.seconds(20)])
        let warned = raised.contains { effect in
            if case .local(.log(.warning, let text)) = effect { text.contains("n3 runs Patroni") } else { false }
        }
        #expect(warned)
        scene.machine.schedule.cycle = nil
        #expect(Self.ttls(Self.load(&scene, Self.view(["n2:0.1"], config: config, revision: 7))) == [.seconds(5)])
    }

    /// The key would end before what the guardian enforces (S1).
    @Test func aShorterTtlWaitsForTheGuardian() throws {
        let lease = Lease(since: GuardianOrderTests.start, ttl: .seconds(30), session: "s")
        var scene = GuardianOrderTests.Scene(adopted: lease)
        let members = ["n2:0.1"]
        func renewal() -> CycleEvent {
            .store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s"))))
        }
        _ = scene.step(.timer)
        var effects = scene.step(.node(.observed(scene.status(writable: true))))
        let long = try #require(GuardianOrderTests.orders(effects).last)
        #expect(long == .enforce(lease, postmaster: 42))
        _ = scene.step(.store(.loaded(.success(Self.view(members, config: ["ttl": 30])))))
        _ = scene.step(renewal())
        scene.machine.schedule.cycle = nil
        effects = scene.step(.woken("/config"), after: .seconds(12))
        effects += scene.step(.node(.observed(scene.status(writable: true))))
        effects += scene.step(.store(.loaded(.success(Self.view(members, config: ["ttl": 10], revision: 6)))))
        effects += scene.step(renewal())
        // It has not even acknowledged the long one.
        #expect(Self.ttls(effects).allSatisfy { $0 == .seconds(30) }, "\(effects)")
        #expect(scene.machine.lease?.ttl == .seconds(10))
        effects = scene.step(.guardian(long, .success(GuardianStatus(pid: 1))))
        #expect(Self.ttls(effects).allSatisfy { $0 == .seconds(30) })
        let short = try #require(GuardianOrderTests.orders(effects).last)
        guard case .enforce(let told, _) = short else {
            Issue.record("\(short)")
            return
        }
        #expect(told.ttl == .seconds(10))
        effects = scene.step(.guardian(short, .success(GuardianStatus(pid: 1))))
        #expect(Self.ttls(effects) == [.seconds(10)])
    }

    @Test func aLeaderRenewsThoughItsPostgreSQLIsSlowToAnswer() {
        let lease = Lease(since: GuardianOrderTests.start, ttl: .seconds(3), session: "s")
        var scene = GuardianOrderTests.Scene(adopted: lease)
        _ = scene.step(.timer)
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        _ = scene.step(.store(.loaded(.success(Self.view(["n2:0.1"], config: ["ttl": 3])))))
        _ = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(3), session: "s")))))
        _ = scene.step(.woken("the next cycle"), after: .milliseconds(750))
        let waiting = scene.step(.store(.loaded(.success(Self.view(["n2:0.1"], config: ["ttl": 3], revision: 6)))))
        #expect(!Self.renews(waiting))
        #expect(Self.renews(scene.step(.timer, after: .milliseconds(500))))
    }

    private static func renews(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .store(.renew, _) = $0 { true } else { false } }
    }
}
