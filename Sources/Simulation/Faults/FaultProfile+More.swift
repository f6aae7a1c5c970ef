import ClusterModel

/// Faults that worlds have learnt later, drawn after all else: a seed of before has what it had, and at most these on
/// top.
extension FaultProfile {
    func planMore(_ generator: inout SeededGenerator, nodes: Int, span: Duration) -> [Fault] {
        guard self != .quiet, generator.oneIn(3) else { return [] }
        let longest = Int(span.nanoseconds / 1_000_000)
        let node = generator.number(in: 0...nodes - 1)
        let at = generator.milliseconds(in: 0...longest)
        let lasts = generator.milliseconds(in: 5000...60_000)
        switch generator.number(in: 1...8) {
        case 1...3 where hasGuardian:
            var faults = [Fault(.freezeGuardian(node), at: at, lasts: lasts)]
            // What hangs together has one reason, mostly: a cgroup's freezer, no memory.
            let moment = generator.milliseconds(in: 0...8000)
            switch generator.number(in: 1...4) {
            case 1: faults.append(Fault(.freezeDaemon(node), at: min(at + moment, span), lasts: lasts))
            case 2: faults.append(Fault(.killDaemon(node), at: min(at + moment, span), lasts: lasts))
            default: break
            }
            return faults
        // Whoever leads by then.
        case 4...5 where hasGuardian: return (0..<nodes).map { Fault(.moveDirectory($0), at: at, lasts: .zero) }
        case 6: return [Fault(.fillConnections(node), at: at, lasts: lasts)]
        default: return [Fault(.refuseRewinds(node), at: at, lasts: .zero)]
        }
    }
}
