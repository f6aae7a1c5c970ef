import ClusterModel
import Ports
import Synchronization

/// A store that never answers: each read ends at its deadline, to which the clock is set once the test says so.
final class SilentStore: StoreOfAnAPI {
    private let clock: FakeClock
    private let state = Mutex<(loads: Int, waiting: CheckedContinuation<Void, Never>?)>((0, nil))
    let events = AsyncStream<DCSEvent> { $0.finish() }

    init(_ clock: FakeClock) { self.clock = clock }

    /// Returns once the read of this number is under way.
    func untilLoading(_ count: Int) async {
        while !state.withLock({ $0.loads == count && $0.waiting != nil }) { await Task.yield() }
    }

    /// Ends the read that is under way.
    func fail() {
        let waiting = state.withLock { state in
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    func load(deadline: BootInstant) async throws(DCSError) -> ClusterView {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                state.loads += 1
                state.waiting = continuation
            }
        }
        await clock.sleep(until: deadline)
        throw .unreachable("silence")
    }

    func write(
        _ key: DCSKey, _ value: DCSValue, if condition: WriteCondition, deadline: BootInstant
    ) async throws(DCSError) -> WriteOutcome { .refused }
}
