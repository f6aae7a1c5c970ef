import ClusterModel

/// What the state becomes by looking (postgresql.md §2). Pure.
enum StateRule {
    static func next(
        _ state: PostgreSQLState, isAlive: Bool, readiness: PostgreSQLStatus.Readiness, isOperating: Bool
    ) -> PostgreSQLState {
        // An operation says itself where it is; but it never leaves `running` standing over a server it is about to
        // stop.
        if isOperating { return state == .running && !isAlive ? .crashed : state }
        if isAlive { return readiness == .accepting ? .running : .starting }
        switch state {
        case .running: return .crashed
        case .starting, .startingAfterCustomBootstrap: return .startFailed
        case .restarting: return .restartFailed
        case .stopping: return .stopped
        case .initializing, .initdbFailed, .customBootstrap, .customBootstrapFailed, .creatingReplica, .startFailed,
            .restartFailed, .stopped, .stopFailed, .crashed:
            return state
        }
    }
}
