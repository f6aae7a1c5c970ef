import ClusterModel
import HighAvailability
import Node
import Ports

/// Pause (ha-loop.md §15): nobody is started, stopped, promoted or replaced by a daemon, unless somebody asks for it.
extension World {
    /// For how long what is done may be an answer to what was asked: a hand-over in pause has two sides, and the one
    /// that gave the key away follows when the other leads.
    private static let answerLasts = Duration.seconds(60)

    /// How long a guardian may take to be told that nobody is to be ended.
    private static let disarmingTakes = Duration.seconds(5)

    /// What the node has seen of a pause, and of requests in it.
    mutating func notePause(_ published: PublishedSnapshot, _ index: Int) {
        let snapshot = published.snapshot
        if snapshot.view?.failover != nil { askedAt = now }
        if snapshot.decision?.reasons.contains(where: \.isOfUnled) == true { coverage.count(.unledAwaited) }
        guard snapshot.settings.isPaused else { return nodes[index].sawPauseAt = nil }
        if case .write(.clearFailover)? = snapshot.decision?.action,
            snapshot.decision?.reasons.contains(where: \.isOfPrimary) == true
        {
            coverage.count(.pausedBeside)
        }
        nodes[index].sawPauseAt = nodes[index].sawPauseAt ?? now
        askWhereNobodyLeads()
        guard case .wait? = snapshot.decision?.action, nodes[index].postgreSQL.isInitialized else { return }
        let server = nodes[index].postgreSQL
        if server.process == .down, server.control != .shutDownInRecovery { coverage.count(.pausedDown) }
        if server.acceptsWrites, snapshot.lease?.isValid(at: now) != true { coverage.count(.pausedWithoutLease) }
    }

    /// What a daemon sets out to do that it has begun while it knew of the pause.
    mutating func checkPause(_ doing: Late, _ index: Int) {
        guard let since = nodes[index].sawPauseAt, let snapshot = nodes[index].machine?.snapshot(),
            snapshot.settings.isPaused, let running = snapshot.running, running.since >= since
        else { return }
        if case .perform(.promote, _, _) = doing { checkBeside(snapshot, index) }
        if isInheriting(running.plan.kind), snapshot.view?.failover?.candidate != name(index) {
            return coverage.count(.pausedHeir)
        }
        if let askedAt, now - askedAt < Self.answerLasts { return }
        // What was asked for is tried for as long as it fails.
        if case .startStandby = running.plan.kind, nodes[index].failsStarts > 0, askedAt != nil { return }
        switch doing {
        case .perform(let operation, _, _):
            // Asked for before the pause, and begun in it: there is nothing left to be stopped.
            if case .shutdown = running.plan.kind, nodes[index].postgreSQL.process == .down { return }
            if operation.isForbiddenInPause { violatePause(index, "\(running.plan.kind.name): \(operation.name)") }
        case .breakOff: violatePause(index, "to break off \(running.plan.kind.name)")
        case .applySlots, .nameSynchronous: break
        }
    }

    /// Nobody has ended the primary that the node streams from, as it knows, whoever has asked for another one.
    private mutating func checkBeside(_ snapshot: NodeSnapshot, _ index: Int) {
        guard snapshot.local.facts?.receiver?.isStreaming == true, !snapshot.settings.isStandbyCluster,
            let source = source(of: index), source != Self.elsewhere, nodes[source].postgreSQL.acceptsWrites
        else { return }
        violatePause(index, "it is promoted beside \(name(source)), from which it streams")
    }

    /// The pause came with a hand-over, or after it.
    private func isInheriting(_ kind: Plan.Kind) -> Bool {
        guard kind == .promote, let handedOverAt else { return false }
        return now - handedOverAt < Self.answerLasts
    }

    /// A guardian that is told of the pause ends nobody.
    mutating func checkPausedKill(_ index: Int) {
        guard let since = nodes[index].sawPauseAt, now - since > Self.disarmingTakes, nodes[index].machine != nil,
            isUndisturbed(index), nodes[index].deaf == 0, nodes[index].records.isPlain
        else { return }
        violatePause(index, "its guardian ends PostgreSQL")
    }

    private mutating func violatePause(_ index: Int, _ what: String) {
        violate(.pause, "\(name(index)) does in a pause what nobody has asked for: \(what)")
    }
}

extension PostgreSQLOperation {
    /// It starts, ends, promotes or replaces a server.
    fileprivate var isForbiddenInPause: Bool {
        switch self {
        case .bootstrap, .clone, .restore, .startPrimary, .startStandby, .stop, .stopToRestart, .prePromote, .promote,
            .rewind, .recoverSingleUser, .setAsideDataDirectory:
            true
        case .finishBootstrap, .follow, .resumeReplay, .nameSynchronous, .copyLogicalSlots, .archiveLastSegment: false
        }
    }
}

extension Reason {
    fileprivate var isOfUnled: Bool { if case .newcomer(.nobodyHasLed) = self { true } else { false } }
    fileprivate var isOfPrimary: Bool { if case .serving = self { true } else { false } }
}
