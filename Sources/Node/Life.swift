/// How far a daemon is with its life. It goes down this list, and never up.
enum Life: Sendable, Hashable {
    case running
    /// To end when no operation runs, without PostgreSQL.
    case leaving
    /// PostgreSQL is being stopped, and then the daemon ends with this code.
    case shuttingDown(code: Int32)
    /// Nothing begins any more.
    case ended(code: Int32)

    var isShuttingDown: Bool { if case .shuttingDown = self { true } else { false } }
    var hasEnded: Bool { if case .ended = self { true } else { false } }

    /// With which the daemon ends, as far as is known.
    var exitCode: Int32 {
        switch self {
        case .running, .leaving: 0
        case .shuttingDown(let code), .ended(let code): code
        }
    }

    mutating func leave() {
        if self == .running { self = .leaving }
    }

    /// A failure stays one, whatever is asked for later.
    mutating func shutDown(code: Int32 = 0) {
        if !hasEnded { self = .shuttingDown(code: max(exitCode, code)) }
    }

    mutating func end(code: Int32 = 0) {
        if !hasEnded { self = .ended(code: max(exitCode, code)) }
    }
}
