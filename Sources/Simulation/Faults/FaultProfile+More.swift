import ClusterModel

/// Faults that worlds have learnt later, drawn after all else: a seed of before has what it had, and at most these on
/// top.
extension FaultProfile {
    /// What becomes of the store's endpoints, and of its memory. A `/sync` that was set back names who has everything
    /// by a word that holds no more, and nothing can tell: the store is not set back where there is one.
    func planStore(_ generator: inout SeededGenerator, span: Duration) -> [Fault] {
        guard self != .quiet, generator.oneIn(self == .store ? 2 : 8) else { return [] }
        let longest = Int(span.nanoseconds / 1_000_000)
        let at = generator.milliseconds(in: 0...longest)
        let lasts = generator.milliseconds(in: 3000...90_000)
        let first = generator.number(in: 0...2)
        let ailments = Fault.Ailment.allCases
        let drawn = (0..<2).map { _ in ailments[generator.number(in: 0...ailments.count - 1)] }
        let isSameCluster = generator.oneIn(2)
        switch generator.number(in: 1...6) {
        case 1 where mayLoseStore: return [Fault(.restoreStore(isSameCluster: isSameCluster), at: at, lasts: lasts)]
        case 2 where mayLoseStore: return [Fault(.forgetStore(isSameCluster: isSameCluster), at: at, lasts: .zero)]
        case 3:
            return drawn.enumerated().map { Fault(.spoilEndpoint((first + $0) % 3, $1), at: at, lasts: lasts) }
        default: return [Fault(.spoilEndpoint(first, drawn[0]), at: at, lasts: lasts)]
        }
    }

    /// Where there is a `/sync`, or the other site's word, nothing could tell that they hold no more.
    private var mayLoseStore: Bool {
        switch self {
        case .mixed, .network, .process, .store, .operators, .handover, .lag, .unguarded, .ground, .failsafe,
            .failsafeLate, .checkpoints:
            true
        case .quiet, .synchronous, .quorum, .modes, .sites, .pauses: false
        }
    }

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
