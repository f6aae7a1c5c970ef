import Simulation
import Testing

/// The store's endpoints and its lives: what real servers showed first.
@Suite struct StoreTroubleTests {
    private func run(_ kinds: [Fault.Kind], lasts: Duration, bug: PlantedBug? = nil) -> World.Outcome {
        let faults = kinds.map { Fault($0, at: .seconds(5), lasts: lasts) }
        var world = World(World.Setup(seed: 1, faults: faults, bug: bug))
        return world.run()
    }

    /// Of three nodes each begins with another endpoint.
    @Test(arguments: Fault.Ailment.allCases, 0...2)
    func anEndpointThatIsNoneCostsNoLeadership(_ ailment: Fault.Ailment, _ endpoint: Int) {
        let outcome = run([.spoilEndpoint(endpoint, ailment)], lasts: .seconds(60))
        #expect(outcome.violation == nil)
        #expect(outcome.coverage.reached[.leaderElected] == 1)
        #expect(outcome.coverage.reached[.demotedOffline] == nil)
    }

    /// Two of three are not the store's, each in a way of its own.
    @Test func theThirdEndpointIsEnough() {
        let outcome = run([.spoilEndpoint(0, .silent), .spoilEndpoint(1, .internalError)], lasts: .seconds(60))
        #expect(outcome.violation == nil)
        #expect(outcome.coverage.reached[.demotedOffline] == nil)
        #expect(outcome.coverage.reached[.endpointSilent] ?? 0 > 0)
        #expect(outcome.coverage.reached[.nonsenseLeft] ?? 0 > 0)
    }

    @Test(arguments: [Fault.Ailment.page, .notFound, .internalError])
    func whoTakesNonsenseForTheLastWordIsFound(_ ailment: Fault.Ailment) {
        let outcomes = (0...2).map {
            run([.spoilEndpoint($0, ailment)], lasts: .seconds(90), bug: .nonsenseIsFinal).violation
        }
        #expect(outcomes.contains { $0?.text.contains("asked in vain") == true })
    }

    /// Nobody has to help: the daemons remember who led.
    @Test(
        arguments: [
            .forgetStore(isSameCluster: true), .forgetStore(isSameCluster: false), .restoreStore(isSameCluster: true),
            .restoreStore(isSameCluster: false),
        ] as [Fault.Kind])
    func anotherLifeOfTheStoreIsTakenAfterATtl(_ fault: Fault.Kind) {
        let outcome = run([fault], lasts: .seconds(20))
        #expect(outcome.violation == nil)
        #expect(outcome.coverage.reached[.lifeRefused] ?? 0 > 0)
        #expect(outcome.coverage.reached[.lifeTaken] == 3)
        #expect(outcome.coverage.reached[.siteBroughtBack] == nil)
    }
}
