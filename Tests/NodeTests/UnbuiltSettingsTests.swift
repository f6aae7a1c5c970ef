import ClusterModel
import HighAvailability
import Testing

@testable import Node

/// What came into the store past the REST API and nobody does.
@Suite struct UnbuiltSettingsTests {
    private func told(_ effects: [CycleEffect], _ level: CycleEffect.LogLevel) -> [String] {
        effects.compactMap { effect in
            guard case .local(.log(level, let text)) = effect, text.contains("/config asks") else { return nil }
            return text
        }
    }

    @Test func isToldOnceForEachChangeAndShown() {
        var scene = GuardianOrderTests.Scene()
        func load(_ config: JSONObject, _ revision: Int64) -> [CycleEffect] {
            scene.machine.phase = .idle
            scene.machine.configurationRevision = nil
            return ShortLeaseTests.load(
                &scene, ShortLeaseTests.view(["n2:0.1"], config: config, revision: revision, leader: "n2"))
        }
        let first = told(load(["ttl": 30, "synchronous_mode": true], 5), .error)
        #expect(first.count == 1 && first[0].contains("synchronous_mode: not supported yet"))
        #expect(scene.machine.snapshot().settings.unbuilt.map(\.key) == ["synchronous_mode"])
        #expect(told(load(["ttl": 30, "synchronous_mode": true], 6), .error) == [])
        let second = load(["ttl": 30, "synchronous_mode": true, "failsafe_mode": true], 7)
        #expect(told(second, .error).count == 1 && told(second, .error)[0].contains("failsafe_mode: "))
        let last = load(["ttl": 30], 8)
        #expect(told(last, .error) == [] && told(last, .info).count == 2)
        #expect(scene.machine.snapshot().settings.unbuilt == [])
    }

    /// What the node was started with, from the cache or from `bootstrap.dcs`, is told too.
    @Test func isToldAlsoWhereItWasCached() {
        var scene = GuardianOrderTests.Scene()
        let document: JSONObject = ["ttl": 30, "failsafe_mode": true]
        scene.machine.settings = DynamicConfiguration(document: document) ?? DynamicConfiguration()
        let effects = ShortLeaseTests.load(
            &scene, ShortLeaseTests.view(["n2:0.1"], config: document, leader: "n2"))
        #expect(told(effects, .error).count == 1)
    }
}
