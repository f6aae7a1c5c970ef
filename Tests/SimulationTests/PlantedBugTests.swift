import Simulation
import Testing

/// A few of the planted bugs, each in a world or in small worlds; `scripts/simulate --bugs` looks for all of them.
@Suite struct PlantedBugTests {
    static let found: [(PlantedBug, FaultProfile, Violation.Rule)] = [
        (.leaderKeyOverwritten, .mixed, .S4), (.promotionWithoutRereading, .mixed, .S5),
        (.exPrimaryStartsAsPrimary, .mixed, .S1), (.synchronousSetIgnored, .synchronous, .S6),
        (.deadManForgotten, .process, .S1), (.earlierDaemonForgotten, .ground, .S1),
        (.otherLifeRefused, .store, .L1), (.otherLifeTrusted, .store, .S4), (.watchOfFormerLife, .store, .progress),
    ]

    @Test(arguments: found) func isFoundInAWorld(_ bug: PlantedBug, _ profile: FaultProfile, _ rule: Violation.Rule) {
        let first = (1...200).lazy.compactMap { seed in
            var world = World(.random(seed: UInt64(seed), profile: profile, bug: bug))
            return world.run().violation
        }.first
        #expect(first?.rule == rule)
    }

    @Test(arguments: [PlantedBug.refusedRenewalIsHeld, .promotionWithoutRereading])
    func isFoundInASmallWorld(_ bug: PlantedBug) {
        let result = SmallWorld.explore(nodes: 2, depth: 7, bug: bug)
        #expect(result.violation != nil)
        #expect(!result.path.isEmpty)
    }

    /// A guardian that hangs, and a daemon that is dead.
    @Test func aGuardianThatHangsIsEndedInASmallWorld() {
        let bounds = SmallWorld.Bounds(writes: 0, faults: 2, promotions: 1)
        let sound = SmallWorld.explore(nodes: 2, depth: 8, bounds)
        #expect(sound.violation == nil)
        let result = SmallWorld.explore(nodes: 2, depth: 12, bounds, bug: .deadManForgotten)
        #expect(result.violation?.hasPrefix("S1") ?? false)
        #expect(result.path.contains("freezeGuardian(0)"))
    }

    @Test func smallWorldsHold() {
        for isGuarded in [true, false] {
            let result = SmallWorld.explore(nodes: 2, depth: 5, isGuarded: isGuarded)
            #expect(result.violation == nil)
            #expect(result.states > 1000)
        }
    }

    @Test func aViolationIsShrunk() throws {
        let setups = (1...200).lazy.map { World.Setup.random(seed: UInt64($0), bug: .leaderKeyOverwritten) }
        let found = setups.compactMap { setup in
            var world = World(setup)
            return world.run().violation.map { (setup, $0) }
        }
        let (setup, violation) = try #require(found.first { $0.0.faults.count > 3 })
        let small = setup.shrunk(violating: violation.rule)
        #expect(small.faults.count < setup.faults.count)
        var again = World(small)
        #expect(again.run().violation?.rule == violation.rule)
    }

    /// Claims of the key fail one after another, and the primary would have paused past the time to ask the others.
    @Test func aStoreThatHalfAnswersDemotesNobodyInFailsafeMode() {
        var world = World(.random(seed: 3893, profile: .failsafeLate))
        let outcome = world.run()
        #expect(outcome.violation == nil)
        #expect(outcome.coverage.reached[.failsafeGranted] ?? 0 > 0)
    }

    @Test(arguments: [5, 60]) func losingTheStoreDemotesNobodyInFailsafeMode(_ seconds: Int) {
        var world = World(
            World.Setup(
                seed: 1, faults: [Fault(.storeOutage, at: .seconds(5), lasts: .seconds(seconds))], isFailsafe: true))
        let outcome = world.run()
        #expect(outcome.violation == nil)
        #expect(outcome.coverage.reached[.demotedOffline] == nil)
        #expect(seconds < 60 || outcome.coverage.reached[.failsafeGranted] ?? 0 > 0)
    }
}
