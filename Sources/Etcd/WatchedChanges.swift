import ClusterModel
import Synchronization

/// What the watch has told lately, so that a node that is told anyway what the others publish need not ask for it.
final class WatchedChanges: Sendable {
    /// More events than come between two reads of a cluster in which nothing happens.
    static let eventsMax = 256

    private struct State {
        /// The life of the store that it was told in (`StoreLife`).
        var life = 0
        /// All that has happened to the cluster's keys after this revision is in `events`; nil where the watch has no
        /// place.
        var since: Revision?
        var events: [EtcdEvent] = []
    }

    private let state = Mutex(State())

    /// The watch begins after `revision`.
    func begin(after revision: Revision, life: Int) {
        state.withLock { $0 = State(life: life, since: revision) }
    }

    /// Events may have been lost.
    func lose() { state.withLock { $0 = State() } }

    /// The events that come next, none left out.
    func note(_ events: [EtcdEvent]) {
        state.withLock { state in
            guard state.since != nil else { return }
            state.events += events
            let excess = state.events.count - Self.eventsMax
            guard excess > 0 else { return }
            // Events of one revision go together.
            let last = state.events[excess - 1].revision
            state.since = last
            state.events.removeAll { $0.revision <= last }
        }
    }

    /// All that happened after `revision` and up to `last`, which is the newest of it; nil where the watch has not told
    /// that far, or farther, or where somebody else's keys count up to there.
    func events(after revision: Revision, upTo last: Revision, life: Int) -> [EtcdEvent]? {
        state.withLock { state in
            guard let since = state.since, since <= revision, state.life == life, state.events.last?.revision == last
            else { return nil }
            return state.events.filter { $0.revision > revision }
        }
    }
}
