import Ports
import Synchronization

/// Has PostgreSQL observed again before the facts are too old: where probes come often, none of them waits for it.
final class Refresher: Sendable {
    private let isUnderWay = Mutex(false)

    /// Begins unless one is under way; does not wait.
    func refresh(_ node: any NodeControl) {
        let begins = isUnderWay.withLock { isUnderWay in
            defer { isUnderWay = true }
            return !isUnderWay
        }
        guard begins else { return }
        Task {
            _ = await node.freshSnapshot(ControlAPI.freshness / 2)
            isUnderWay.withLock { $0 = false }
        }
    }
}
