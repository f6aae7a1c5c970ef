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
            if let depth = arguments.states { return checkStates(depth) }
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
        let state = try runner.run { state in
            let rate = Double(state.done) / (BootClock.now() - began).inSeconds
            complain(
                "\(state.done) of \(arguments.seeds) worlds, \(Int(rate)) a second, \(state.failures.count) violations")
        }
        let seconds = (BootClock.now() - began).inSeconds
        for failure in state.failures { write("seed \(failure.seed): \(failure.violation)") }
        for reached in Coverage.State.allCases {
            let count = String(state.coverage.reached[reached] ?? 0)
            write(String(repeating: " ", count: max(0, 9 - count.count)) + count + "  \(reached.rawValue)")
        }
        write(
            "\(state.done) worlds from seed \(arguments.first), profile \(arguments.profile.rawValue): "
                + "\(state.events) events in \(Int(seconds)) s (\(Int(Double(state.done) / max(seconds, 0.001))) worlds/s), "
                + "\(state.failures.count) violations")
        guard let first = state.failures.min(by: { $0.seed < $1.seed }) else { return 0 }
        show(runner.setup(first.seed), first.violation)
        return 1
    }

    /// A violation in its smallest world, with the story.
    private static func show(_ setup: World.Setup, _ violation: Violation) {
        var small = setup.shrunk(violating: violation.rule)
        small.traces = true
        var world = World(small)
        let outcome = world.run()
        write(
            "\nseed \(setup.seed), shrunk to \(small.nodes) nodes and \(small.faults.count) of \(setup.faults.count) faults:"
        )
        for fault in small.faults { write("  \(fault)") }
        write(outcome.trace.suffix(120).joined(separator: "\n"))
    }

    private static func checkStates(_ depth: Int) {
        for nodes in 2...3 {
            let began = BootClock.now()
            let result = SmallWorld.explore(nodes: nodes, depth: nodes == 2 ? depth : max(1, depth - 3))
            let seconds = (BootClock.now() - began).inSeconds
            write("\(nodes) nodes: \(result.states) states, \(result.steps) steps, depth \(result.depth), \(seconds) s")
            if let violation = result.violation {
                write("VIOLATION: \(violation)\n" + result.path.joined(separator: "\n"))
                exit(1)
            }
        }
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
