import Glibc
import Simulation

@main
enum Simulate {
    static func main() {
        let words = CommandLine.arguments
        let first = words.count > 1 ? UInt64(words[1]) ?? 1 : 1
        let count = words.count > 2 ? UInt64(words[2]) ?? 1 : 1
        let traces = words.contains("--trace")
        var coverage = Coverage()
        for seed in first..<first + count {
            var world = World(.random(seed: seed, traces: traces))
            world.run()
            coverage.add(world.coverage)
            if traces { for line in world.trace { write(line) } }
            if !world.violations.isEmpty { write("seed \(seed) (\(world.events) events): \(world.violations)") }
        }
        for state in Coverage.State.allCases { write("\(coverage.reached[state] ?? 0) times: \(state.rawValue)") }
    }

    static func write(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = Glibc.write(1, bytes, bytes.count)
    }
}
