import ClusterModel
import Ports
import Synchronization

/// A store whose reads wait until it is opened.
final class GatedStore: StoreOfAnAPI {
    private struct State {
        var loads = 0
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    let events = AsyncStream<DCSEvent> { $0.finish() }

    var loads: Int { state.withLock { $0.loads } }

    func untilLoading(_ count: Int) async { while loads < count { await Task.yield() } }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func load(deadline: BootInstant) async throws(DCSError) -> ClusterView {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                state.loads += 1
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
        return Scene.view(leader: "pg-a")
    }

    func write(
        _ key: DCSKey, _ value: String, if condition: WriteCondition, deadline: BootInstant
    ) async throws(DCSError) -> WriteOutcome { .refused }
}
