import ClusterModel
import Glibc
import Posix
import Simulation

/// Runs worlds by the thousand, or tells the story of one.
@main
enum Simulate {
    static func main() {
        do {
            let arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
            if arguments.needsHelp { return write(Arguments.help) }
            if arguments.findsBugs { exit(try findBugs(arguments)) }
            if let nodes = arguments.resolvers { exit(checkResolvers(nodes)) }
            if let depth = arguments.states { return checkStates(depth, arguments) }
            exit(arguments.seeds == 1 ? tell(arguments) : try run(arguments))
        } catch let mistake as Arguments.Mistake {
            complain(mistake.text)
            exit(2)
        } catch {
            complain("\(error)")
            exit(3)
        }
    }

    /// One world.
    private static func tell(_ arguments: Arguments) -> Int32 {
        var setup = Runner(arguments).setup(arguments.first)
        setup.traces = arguments.traces
        var world = World(setup)
        let outcome = world.run()
        if arguments.traces { write(outcome.trace.joined(separator: "\n")) }
        write("seed \(setup.seed): \(setup.nodes) nodes, \(outcome.events) events, \(outcome.took.inSeconds) s")
        guard let violation = outcome.violation else { return 0 }
        write("VIOLATION: \(violation)")
        if !arguments.traces { show(setup, violation) }
        return 1
    }

    private static func run(_ arguments: Arguments) throws(SystemError) -> Int32 {
        let runner = Runner(arguments)
        let began = BootClock.now()
        var told = 0
        let state = try runner.run { state in
            for failure in state.failures[told...] { complain("seed \(failure.seed): \(failure.violation)") }
            told = state.failures.count
            let rate = Double(state.done) / (BootClock.now() - began).inSeconds
            complain(
                "\(state.done)\(arguments.duration == nil ? " of \(arguments.seeds)" : "") worlds, \(Int(rate)) a second, \(state.failures.count) violations"
            )
        }
        let seconds = (BootClock.now() - began).inSeconds
        for failure in state.failures { write("seed \(failure.seed): \(failure.violation)") }
        if state.profiles.count > 1 { tellProfiles(state.profiles) }
        for reached in Coverage.State.allCases {
            let count = String(state.coverage.reached[reached] ?? 0)
            write(String(repeating: " ", count: max(0, 9 - count.count)) + count + "  \(reached.rawValue)")
        }
        write(
            "\(state.done) worlds from seed \(arguments.first), profile \(arguments.profile?.rawValue ?? "all"): "
                + "\(state.events) events in \(Int(seconds)) s "
                + "(\(Int(Double(state.done) / max(seconds, 0.001))) worlds/s), "
                + "\(state.failures.count) violations")
        guard let first = state.failures.min(by: { $0.seed < $1.seed }) else {
            return arguments.needsCoverage ? complainOfMissing(state) : 0
        }
        show(runner.setup(first.seed), first.violation)
        return 1
    }

    /// A line for each profile: how many worlds it had, how busy they were, and what broke.
    private static func tellProfiles(_ profiles: [FaultProfile: Runner.Tally]) {
        for profile in FaultProfile.allCases {
            guard let tally = profiles[profile] else { continue }
            let name = profile.rawValue + String(repeating: " ", count: max(0, 14 - profile.rawValue.count))
            write(
                "\(name)\(tally.worlds) worlds, \(tally.events / max(1, Int(tally.worlds))) events each, "
                    + "\(tally.failures) violations")
        }
    }

    /// A run that does not reach what it should tests less than it seems to.
    private static func complainOfMissing(_ state: Runner.State) -> Int32 {
        let missing = state.coverage.missing.filter { $0.isExpected(within: state.done) }
        for state in missing { complain("never reached: \(state.rawValue)") }
        return missing.isEmpty ? 0 : 1
    }

    /// The test of the tester: every planted bug is found.
    private static func findBugs(_ arguments: Arguments) throws(SystemError) -> Int32 {
        var missed = 0
        for bug in PlantedBug.allCases {
            let name = bug.rawValue + String(repeating: " ", count: max(0, 26 - bug.rawValue.count))
            if let found = try find(bug, arguments, name) {
                write("\(name)found in world \(found.seed) (\(bug.profile.rawValue)): \(found.violation)")
            } else {
                missed += 1
                write("\(name)NOT FOUND in \(arguments.seeds) worlds (\(bug.profile.rawValue)): \(bug.summary)")
            }
        }
        write("\(PlantedBug.allCases.count - missed) of \(PlantedBug.allCases.count) planted bugs were found")
        return missed == 0 ? 0 : 1
    }

    /// Where it was found last, and then in all other worlds.
    private static func find(
        _ bug: PlantedBug, _ arguments: Arguments, _ name: String
    ) throws(SystemError) -> Runner.Failure? {
        var planted = arguments
        planted.bug = bug
        planted.profile = bug.profile
        let all = arguments.first..<arguments.first + arguments.seeds
        guard let last = bug.lastFound, all.contains(last) else { return try find(planted, in: all, name) }
        if let found = try find(planted, in: last..<all.upperBound, name) { return found }
        return try find(planted, in: all.lowerBound..<last, name)
    }

    /// A world that breaks without the bug, too, has not found it: the search goes on behind it.
    private static func find(
        _ arguments: Arguments, in seeds: Range<UInt64>, _ name: String
    ) throws(SystemError) -> Runner.Failure? {
        var planted = arguments
        planted.first = seeds.lowerBound
        while planted.first < seeds.upperBound {
            planted.seeds = seeds.upperBound - planted.first
            let state = try Runner(planted).run { _ in }
            guard let found = state.failures.min(by: { $0.seed < $1.seed }) else { return nil }
            guard let own = violationWithout(planted, found.seed) else { return found }
            write("\(name)world \(found.seed) (\(planted.profile?.rawValue ?? "all")) breaks without it: \(own)")
            planted.first = found.seed + 1
        }
        return nil
    }

    /// What breaks in a world that nothing was planted in: a bug that is found there was not found.
    private static func violationWithout(_ planted: Arguments, _ seed: UInt64) -> Violation? {
        var sound = planted
        sound.bug = nil
        var world = World(Runner(sound).setup(seed))
        return world.run().violation
    }

    /// A violation in its smallest world, with the story.
    private static func show(_ setup: World.Setup, _ violation: Violation) {
        var small = setup.shrunk(violating: violation.rule)
        small.traces = true
        var world = World(small)
        let outcome = world.run()
        write(
            "\nseed \(setup.seed), shrunk to \(small.nodes) nodes and \(small.faults.count) of "
                + "\(setup.faults.count) faults:"
        )
        for fault in small.faults { write("  \(fault)") }
        write(outcome.trace.suffix(120).joined(separator: "\n"))
    }

    /// Two nodes to that depth and three to two less, with a guardian and without.
    private static func checkStates(_ depth: Int, _ arguments: Arguments) {
        for (nodes, isGuarded) in [(2, true), (2, false), (3, true), (3, false)] {
            let began = BootClock.now()
            let result = SmallWorld.explore(
                nodes: nodes, depth: nodes == 2 ? depth : max(1, depth - 2), isGuarded: isGuarded, bug: arguments.bug)
            let seconds = Int((BootClock.now() - began).inSeconds)
            write(
                "\(nodes) nodes, \(isGuarded ? "guarded" : "unguarded"): \(result.states) states, "
                    + "\(result.steps) steps, "
                    + "every order of \(result.depth) steps\(result.isComplete ? ": all there are" : ""), \(seconds) s")
            if let violation = result.violation {
                write("VIOLATION: \(violation)\n" + result.path.joined(separator: "\n"))
                exit(1)
            }
        }
    }

    private static func checkResolvers(_ most: Int) -> Int32 {
        for nodes in 2...most {
            for (modes, isStrict) in [
                ([ResolverWorld.Rules.Mode.priority], false), ([.quorum], false),
                ([.priority, .quorum], false), ([.priority, .quorum], true),
            ] {
                let began = BootClock.now()
                let rules = ResolverWorld.Rules(nodes: nodes, modes: modes, isStrict: isStrict)
                let found = ResolverWorld.explore(rules)
                write("\(rules): \(found.states) states, \(Int((BootClock.now() - began).inSeconds)) s")
                if let broken = found.broken {
                    write("VIOLATION: who may win may lack a commit\n" + broken)
                    return 1
                }
            }
        }
        return 0
    }

    private static func write(_ text: String) { put(text, 1) }
    private static func complain(_ text: String) { put("simulate: " + text, 2) }

    private static func put(_ text: String, _ descriptor: Int32) {
        var bytes = Array((text + "\n").utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count <= 0 { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
