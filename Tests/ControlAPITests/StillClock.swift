import ClusterModel
import Ports
import Synchronization

/// A clock that stands still: whoever sleeps does so until cancelled.
final class StillClock: Clock {
    private let count = Mutex(0)

    /// How many sleep.
    var sleepers: Int { count.withLock { $0 } }

    func now() -> BootInstant { Scene.now }
    /// 2027-02-03T12:00:00Z.
    func wallTime() -> Int64 { 1_801_656_000_000_000_000 }

    func sleep(until instant: BootInstant) async {
        count.withLock { $0 += 1 }
        let (sleep, _) = AsyncStream.makeStream(of: Never.self)
        for await _ in sleep {}
        count.withLock { $0 -= 1 }
    }
}
