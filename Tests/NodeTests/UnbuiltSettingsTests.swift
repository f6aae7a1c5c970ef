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
            scene.machine.schedule.cycle = nil
            scene.machine.configuration.forgetRevision()
            return ShortLeaseTests.load(
                &scene, ShortLeaseTests.view(["n2:0.1"], config: config, revision: revision, leader: "n2"))
        }
        let first = told(load(["ttl": 30, "primary_race_backoff": 5], 5), .error)
        #expect(first.count == 1 && first[0].contains("primary_race_backoff: not supported yet"))
        #expect(scene.machine.snapshot().settings.unbuilt.map(\.key) == ["primary_race_backoff"])
        #expect(told(load(["ttl": 30, "primary_race_backoff": 5], 6), .error) == [])
        let last = load(["ttl": 30], 8)
        #expect(told(last, .error) == [] && told(last, .info).count == 1)
        #expect(scene.machine.snapshot().settings.unbuilt == [])
    }

    /// What the node was started with, from the cache or from `bootstrap.dcs`, is told too.
    @Test func isToldAlsoWhereItWasCached() {
        var scene = GuardianOrderTests.Scene()
        let document: JSONObject = ["ttl": 30, "primary_race_backoff": 5]
        scene.machine.configuration.settings = DynamicConfiguration(document: document) ?? DynamicConfiguration()
        let effects = ShortLeaseTests.load(
            &scene, ShortLeaseTests.view(["n2:0.1"], config: document, leader: "n2"))
        #expect(told(effects, .error).count == 1)
    }
}
