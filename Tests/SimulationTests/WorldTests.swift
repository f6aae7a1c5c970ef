import Simulation
import Testing

@Suite struct WorldTests {
    @Test func aQuietWorldMakesAClusterAndKeepsIt() {
        var world = World(World.Setup(seed: 1, faults: [], traces: true))
        world.run()
        #expect(world.violations.isEmpty, "\(world.violations)\n\(world.trace.joined(separator: "\n"))")
    }

    @Test func aSeedIsAStory() {
        var first = World(.random(seed: 7, traces: true))
        var second = World(.random(seed: 7, traces: true))
        first.run()
        second.run()
        #expect(first.trace == second.trace)
    }

    @Test(arguments: 1...10) func holdsItsInvariants(_ seed: Int) {
        var world = World(.random(seed: UInt64(seed), traces: false))
        world.run()
        #expect(world.violations.isEmpty, "seed \(seed): \(world.violations)")
    }
}
