import ClusterModel
import Ports
import Synchronization

/// Fresh views for many requests at once: a read of the store counts for every request that came before it was sent.
/// One that comes while a read is under way shares the next with all others that wait, so that the store is asked one
/// question at a time however many clients there are.
final class SharedViews: Sendable {
    typealias Outcome = Result<ClusterView, DCSError>

    private struct Waiter {
        var continuation: CheckedContinuation<Outcome, Never>
        /// How long it waits.
        var until: BootInstant
    }

    private struct State {
        var isReading = false
        /// Those who wait for the next read.
        var waiting: [Waiter] = []
        /// The last view, and when it was asked for: it shows the store as it was then or later.
        var last: (view: ClusterView, askedAt: BootInstant)?
        /// What was asked for before does not show what this node has written.
        var notBefore: BootInstant?
    }

    private let store: any DistributedConfigurationStore
    private let clock: any Clock
    private let state = Mutex(State())

    init(_ store: any DistributedConfigurationStore, _ clock: any Clock) {
        self.store = store
        self.clock = clock
    }

    /// The last view, if it shows the store as it was no more than `age` before `now`.
    func recent(within age: Duration, at now: BootInstant) -> ClusterView? {
        state.withLock { state in state.last.flatMap { now - $0.askedAt <= age ? $0.view : nil } }
    }

    /// The revision of the last view, if that is no older: no copy of the view is made.
    func recentRevision(within age: Duration, at now: BootInstant) -> Revision? {
        state.withLock { state in state.last.flatMap { now - $0.askedAt <= age ? $0.view.revision : nil } }
    }

    /// The node has written: what was read before does not count any more.
    func forget() {
        let now = clock.now()
        state.withLock { state in
            state.last = nil
            state.notBefore = now
        }
    }

    /// How many wait for the next read.
    var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// A view as it was at some moment after the call, or why there is none by `deadline`.
    func load(until deadline: BootInstant) async -> Outcome {
        await withCheckedContinuation { continuation in
            let begins = state.withLock { state in
                state.waiting.append(Waiter(continuation: continuation, until: deadline))
                defer { state.isReading = true }
                return !state.isReading
            }
            if begins { Task { await read() } }
        }
    }

    /// Reads for those who wait, again and again until nobody does.
    private func read() async {
        while let (waiting, deadline) = next() {
            let outcome: Outcome
            let askedAt = clock.now()
            do throws(DCSError) {
                let view = try await store.load(deadline: deadline)
                outcome = .success(view)
                state.withLock { state in
                    if askedAt >= state.notBefore ?? askedAt { state.last = (view, askedAt) }
                }
            } catch {
                outcome = .failure(error)
            }
            for waiter in answered(waiting, outcome, deadline) { waiter.continuation.resume(returning: outcome) }
        }
    }

    /// Those to be told now: where a store that was silent used up the time of some, the others wait on.
    private func answered(_ waiting: [Waiter], _ outcome: Outcome, _ deadline: BootInstant) -> [Waiter] {
        let now = clock.now()
        guard case .failure = outcome, now >= deadline else { return waiting }
        state.withLock { $0.waiting = waiting.filter { $0.until > now } + $0.waiting }
        return waiting.filter { $0.until <= now }
    }

    /// Those who wait, and the end of the first one's time.
    private func next() -> (waiting: [Waiter], deadline: BootInstant)? {
        state.withLock { state in
            guard let deadline = state.waiting.map(\.until).min() else {
                state.isReading = false
                return nil
            }
            defer { state.waiting = [] }
            return (state.waiting, deadline)
        }
    }
}
