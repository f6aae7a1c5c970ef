import ClusterModel
import Posix
import Synchronization

/// Tells that a copy stands: its source, or the tool itself (pg_basebackup, pg_rewind), may be stopped or hang, and has
/// a day. What has no progress to tell at times (the checkpoint at the beginning, the look for what has changed, the
/// flush at the end) is no reason to end it.
final class CopyWatch: Sendable {
    /// How long a copy may tell nothing before that is told.
    static let patience = Duration.seconds(60)

    private struct State {
        var last: BootInstant
        /// After which silence it is told next: twice as long each time.
        var next = CopyWatch.patience
    }

    private let state: Mutex<State>

    init(at now: BootInstant) { state = Mutex(State(last: now)) }

    func noteProgress(at now: BootInstant) { state.withLock { $0 = State(last: now) } }

    /// For how long it has stood, and whether that is worth a line; nil while it moves.
    func silence(at now: BootInstant) -> (time: Duration, isNews: Bool)? {
        state.withLock { state in
            let time = now - state.last
            guard time >= Self.patience else { return nil }
            let isNews = time >= state.next
            if isNews { state.next = time * 2 }
            return (time, isNews)
        }
    }
}
