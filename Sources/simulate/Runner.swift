import ClusterModel
import Glibc
import Posix
import Simulation
import Synchronization

/// Runs many worlds on all cores.
final class Runner: Sendable {
    struct Failure: Sendable {
        var seed: UInt64
        var violation: Violation
    }

    /// What the worlds of one profile came to.
    struct Tally: Sendable {
        var worlds: UInt64 = 0
        var events = 0
        var failures = 0
    }

    struct State: Sendable {
        var next: UInt64
        var done: UInt64 = 0
        var events = 0
        var coverage = Coverage()
        var profiles: [FaultProfile: Tally] = [:]
        var failures: [Failure] = []
        var workers: Int
    }

    private let arguments: Arguments
    private let end: UInt64
    private let endsAt: BootInstant?
    private let state: Mutex<State>
    private let finished = Condition()
    /// Enough to see whether one cause is behind them all.
    private static let maximumFailures = 100

    init(_ arguments: Arguments) {
        self.arguments = arguments
        end = arguments.first + arguments.seeds
        endsAt = arguments.duration.map { BootClock.now() + $0 }
        let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let workers = min(arguments.jobs ?? cores, Int(clamping: arguments.seeds))
        state = Mutex(State(next: arguments.first, workers: workers))
    }

    func setup(_ seed: UInt64) -> World.Setup {
        .random(seed: seed, nodes: arguments.nodes, profile: profile(of: seed), bug: arguments.bug)
    }

    private func profile(of seed: UInt64) -> FaultProfile {
        let profiles = FaultProfile.allCases.filter { $0 != .quiet }
        return arguments.profile ?? profiles[Int(seed % UInt64(profiles.count))]
    }

    /// Runs all worlds, or until the first that fails. `progress` is called about once a second.
    func run(_ progress: (State) -> Void) throws(SystemError) -> State {
        let workers = state.withLock { $0.workers }
        // One alone shares nothing with another thread: a build that takes that for granted may be run so.
        if workers == 1 {
            work(progress)
            return state.withLock { $0 }
        }
        for number in 0..<workers { try NamedThread.start("worlds-\(number)") { self.work() } }
        while state.withLock({ $0.workers }) > 0 {
            if !finished.wait(until: BootClock.now() + .seconds(1)) { progress(state.withLock { $0 }) }
        }
        return state.withLock { $0 }
    }

    private func work(_ progress: (State) -> Void = { _ in }) {
        var toldAt = BootClock.now()
        while let seed = takeSeed() {
            var world = World(setup(seed))
            let outcome = world.run()
            state.withLock { state in
                state.done += 1
                state.events += outcome.events
                state.coverage.add(outcome.coverage)
                state.profiles[profile(of: seed), default: Tally()].add(outcome)
                if let violation = outcome.violation {
                    state.failures.append(Failure(seed: seed, violation: violation))
                }
            }
            if BootClock.now() - toldAt >= .seconds(1) {
                toldAt = BootClock.now()
                progress(state.withLock { $0 })
            }
        }
        state.withLock { $0.workers -= 1 }
        finished.signal()
    }

    private func takeSeed() -> UInt64? {
        state.withLock { state in
            let limit = arguments.keepsGoing ? Self.maximumFailures : 1
            guard state.next < end, endsAt.map({ BootClock.now() < $0 }) ?? true, state.failures.count < limit else {
                return nil
            }
            state.next += 1
            return state.next - 1
        }
    }
}

extension Runner.Tally {
    mutating func add(_ outcome: World.Outcome) {
        worlds += 1
        events += outcome.events
        failures += outcome.violation == nil ? 0 : 1
    }
}
