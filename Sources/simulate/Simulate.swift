import Glibc
import Simulation

@main
enum Simulate {
    static func main() {
        let words = CommandLine.arguments
        let first = words.count > 1 ? UInt64(words[1]) ?? 1 : 1
        let count = words.count > 2 ? UInt64(words[2]) ?? 1 : 1
        let profile = words.count > 3 ? FaultProfile(rawValue: words[3]) ?? .mixed : .mixed
        let traces = words.contains("--trace")
        var coverage = Coverage()
        for seed in first..<first + count {
            var setup = World.Setup.random(seed: seed, profile: profile)
            setup.traces = traces
            var world = World(setup)
            let outcome = world.run()
            coverage.add(outcome.coverage)
            if traces { for line in outcome.trace { write(line) } }
            if let violation = outcome.violation { write("seed \(seed) (\(outcome.events) events): \(violation)") }
        }
        for state in Coverage.State.allCases { write("\(coverage.reached[state] ?? 0) times: \(state.rawValue)") }
    }

    static func write(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = Glibc.write(1, bytes, bytes.count)
    }
}
