/// Makes the world of a violation smaller before anybody has to read its story.
extension World.Setup {
    /// The same violation with fewer faults and fewer nodes, as far as at most `attempts` runs find one.
    public func shrunk(violating rule: Violation.Rule, attempts: Int = 200) -> World.Setup {
        var best = self
        best.traces = false
        var left = attempts
        var improved = true
        while improved {
            improved = false
            for smaller in best.smaller where left > 0 {
                left -= 1
                var world = World(smaller)
                guard world.run().violation?.rule == rule else { continue }
                best = smaller
                improved = true
                break
            }
        }
        return best
    }

    /// The worlds that are one step smaller, the largest step first.
    private var smaller: [World.Setup] {
        var setups: [World.Setup] = []
        if nodes > 2, !faults.contains(where: { $0.kind.nodes.contains(nodes - 1) }) {
            var setup = self
            setup.nodes -= 1
            setups.append(setup)
        }
        for index in faults.indices {
            var setup = self
            setup.faults.remove(at: index)
            setups.append(setup)
        }
        return setups
    }
}
