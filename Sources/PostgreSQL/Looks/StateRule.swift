import ClusterModel

/// What the state becomes by looking (postgresql.md §2). Pure.
enum StateRule {
    /// `hasServed`: the postmaster that runs, or the one that is gone, has accepted connections.
    static func next(
        _ state: PostgreSQLState, isAlive: Bool, readiness: PostgreSQLStatus.Readiness, hasServed: Bool,
        isOperating: Bool
    ) -> PostgreSQLState {
        // An operation says itself where it is; but it never leaves `running` standing over a server it is about to
        // stop.
        if isOperating { return state == .running && !isAlive ? .crashed : state }
        if isAlive { return readiness == .accepting ? .running : .starting }
        switch state {
        case .running: return .crashed
        // Who dies refuses connections before it is gone, and so does one that begins again after a session crashed.
        case .starting, .startingAfterCustomBootstrap: return hasServed ? .crashed : .startFailed
        case .restarting: return .restartFailed
        case .stopping: return .stopped
        case .initializing, .initdbFailed, .customBootstrap, .customBootstrapFailed, .creatingReplica, .startFailed,
            .restartFailed, .stopped, .stopFailed, .crashed:
            return state
        }
    }
}
