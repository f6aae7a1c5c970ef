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

    @Test(
        "Worlds in which something was found",
        arguments: [
            // Who had parted led a standby cluster (docs/simulation.md).
            (50_110_214, .sites),
            // The checkers saw the leader key later than the daemon.
            (50_010_704, .sites), (60_078_359, .sites), (60_079_244, .sites), (60_111_284, .sites),
            (50_097_104, .sites),
            // A start of a server that ran already was taken for done.
            (60_037_629, .synchronous),
            // Failsafe mode: who had led refused its promise, and a look at the store outlasted the time to ask.
            (50_021_788, .failsafeLate), (50_104_873, .failsafeLate), (50_117_863, .failsafeLate),
            (60_007_993, .failsafeLate), (60_082_318, .failsafeLate),
            // A switchover to a daemon that had begun lately left nobody leading for a ttl.
            (71_003_780, .failsafe),
            // A standby that was preferred, and whose operations hung, was waited for for ever.
            (80_008_395, .mixed),
            // Who had followed another site lacked what was handed over afterwards, which an operator had given up.
            (72_501_552, .sites),
            // An heir that had no turn, and a command that was broken off, were judged as refusals.
            (50_071_678, .failsafeLate), (60_029_070, .mixed), (50_034_263, .ground), (50_058_487, .unguarded),
        ] as [(UInt64, FaultProfile)])
    func holdsThemNow(_ seed: UInt64, _ profile: FaultProfile) {
        // They were found before worlds had any.
        var setup = World.Setup.random(seed: seed, profile: profile)
        setup.tempers = Tempers()
        var world = World(setup)
        #expect(world.run().violation == nil, "seed \(seed)")
    }

    /// Seeds that have found something since worlds have tempers; they are found as they are.
    @Test(
        arguments: [
            // A member whose key had run out came back while a standby asked the others, and was ahead of it.
            (200_040_242, .network),
            // Those of docs/simulation.md that have no other test.
            (577, .synchronous), (3969, .synchronous), (10_454, .ground), (537, .ground), (3125, .failsafe),
            (3882, .failsafe), (1376, .mixed), (1376, .ground), (1418, .mixed), (1418, .ground), (349, .sites),
            (3818, .sites), (5775, .sites), (1458, .mixed),
            // The daemon that made the cluster died before it had the key, and who was restored from its backup led.
            (1066, .ground),
            // A standby that did not know its timeline had most, and everybody waited for it.
            (1674, .ground), (2172, .failsafeLate),
            // The store was set back while its numbers grew: the end of a pause had that of the pause.
            (3659, .operators),
            // Who may not lead was taken for an heir.
            (17_577, .checkpoints),
        ] as [(UInt64, FaultProfile)])
    func holdsNow(_ seed: UInt64, _ profile: FaultProfile) {
        var world = World(.random(seed: seed, profile: profile))
        #expect(world.run().violation == nil, "seed \(seed)")
    }

    @Test(arguments: 1...100) func holdsItsInvariants(_ seed: Int) {
        var world = World(.random(seed: UInt64(seed)))
        let outcome = world.run()
        #expect(outcome.violation == nil, "seed \(seed): scripts/simulate tells its story")
    }
}
