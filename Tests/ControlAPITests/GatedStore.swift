import ClusterModel
import Ports
import Synchronization

/// A store whose reads wait until it is opened.
final class GatedStore: StoreOfAnAPI {
    private let count = Mutex(0)
    private let gate = Gate()
    let events = AsyncStream<DCSEvent> { $0.finish() }

    var loads: Int { count.withLock { $0 } }

    func untilLoading(_ count: Int) async { while loads < count { await Task.yield() } }

    func open() { gate.open() }

    func load(deadline: BootInstant) async throws(DCSError) -> ClusterView {
        count.withLock { $0 += 1 }
        await gate.pass()
        return Scene.view(leader: "pg-a")
    }

    func write(
        _ key: DCSKey, _ value: DCSValue, if condition: WriteCondition, deadline: BootInstant
    ) async throws(DCSError) -> WriteOutcome { .refused }
}
