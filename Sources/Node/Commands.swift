import HighAvailability
import Ports

/// What operators have asked for and what has become of it.
struct Commands: Sendable {
    /// That may wait for a cycle to end.
    static let most = 16

    private var waiting: [(id: Int, command: NodeCommand)] = []
    /// Their plan has ended: they are answered once PostgreSQL was observed since, so that whoever asks next is told
    /// what came of it.
    private var finished: [(id: Int, outcome: CommandOutcome)] = []
    /// Waits for its time.
    var scheduledRestart: RestartRequest?

    /// False where too many wait.
    mutating func wait(_ id: Int, _ command: NodeCommand) -> Bool {
        guard waiting.count < Self.most else { return false }
        waiting.append((id, command))
        return true
    }

    /// The oldest one that waits.
    mutating func next() -> (id: Int, command: NodeCommand)? { waiting.isEmpty ? nil : waiting.removeFirst() }

    mutating func finish(_ id: Int, _ outcome: CommandOutcome) { finished.append((id, outcome)) }

    /// What can be answered now; it is handed out once.
    mutating func takeFinished() -> [(id: Int, outcome: CommandOutcome)] {
        defer { finished = [] }
        return finished
    }
}
