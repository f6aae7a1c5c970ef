import Simulation
import Testing

@Suite struct WorldTests {
    @Test func aQuietWorldMakesAClusterAndKeepsIt() {
        var setup = World.Setup.random(seed: 1)
        setup.faults = []
        var world = World(setup)
        let outcome = world.run()
        #expect(outcome.violation == nil)
        #expect(outcome.coverage.reached[.leaderElected] ?? 0 > 0)
    }

    @Test func aSeedIsAStory() {
        var setup = World.Setup.random(seed: 7)
        setup.traces = true
        var first = World(setup)
        var second = World(setup)
        let story = first.run().trace
        #expect(!story.isEmpty)
        #expect(story == second.run().trace)
    }

    @Test(arguments: 1...100) func holdsItsInvariants(_ seed: Int) {
        var world = World(.random(seed: UInt64(seed)))
        let outcome = world.run()
        #expect(outcome.violation == nil, "seed \(seed): scripts/simulate tells its story")
    }
}
