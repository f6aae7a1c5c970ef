import ClusterModel
import HighAvailability
import Node
import Ports

/// What is begun in a directory and may be broken off: its mark stands there from the first on (S11).
extension World {
    /// The cluster's identifier: what whoever has a whole directory has.
    var clusterIdentifier: String {
        let whole = nodes.first { $0.postgreSQL.isInitialized && $0.postgreSQL.unfinished == nil }
        return whole?.postgreSQL.systemIdentifier ?? SimulatedPostgreSQL.systemIdentifier
    }

    // MARK: Rewinds

    /// Nothing is written, nor marked, before the source has answered.
    mutating func beginRewind(_ source: Upstream, _ index: Int) {
        if let peer = reachable(source, from: index), self[server: peer].acceptsWrites {
            if nodes[index].postgreSQL.unfinished == .rewind {
                coverage.count(.rewindCutOff)
            } else {
                checkRemoval(index, source, .rewind(from: source))
            }
            checkCheckpoint(peer, source, index)
            nodes[index].postgreSQL.unfinished = .rewind
        } else {
            nodes[index].operation?.failed = true
        }
        finish(after: 500...5000, index)
    }

    mutating func rewind(_ source: Upstream, _ index: Int) -> Result<OperationResult, PostgreSQLError> {
        guard let peer = reachable(source, from: index), self[server: peer].acceptsWrites else {
            nodes[index].records.rewindHasFailed = true
            return .failure(.failed("\(source.name) is not reachable"))
        }
        if nodes[index].records.refusesRewinds {
            coverage.count(.rewindRefused)
            nodes[index].records.rewindHasFailed = true
            // It has read only, or it has not.
            if generator.oneIn(2) { nodes[index].postgreSQL.unfinished = nil }
            return .failure(.rewindRefused("could not find previous WAL record"))
        }
        if owesCheckpoint(peer), nodes[index].postgreSQL.log.timeline < self[server: peer].log.timeline {
            // By the source's control file both are on one timeline.
            coverage.count(.rewoundInVain)
            nodes[index].postgreSQL.unfinished = nil
            return .success(.done)
        }
        nodes[index].postgreSQL.copy(self[server: peer])
        nodes[index].postgreSQL.grewAt = now
        nodes[index].records.forgetRewinds()
        nodes[index].records.isRewound = true
        if peer == Self.elsewhere { noteMovedSite() }
        coverage.count(.rewind)
        return .success(.done)
    }

    /// S7: who has said that its control file is of the timeline before is waited for.
    private mutating func checkCheckpoint(_ peer: Int, _ source: Upstream, _ index: Int) {
        let member = nodes[index].machine?.snapshot().view?.member(source.name)
        guard peer != Self.elsewhere, owesCheckpoint(peer), member?.checkpointAfterPromote == false else { return }
        violate(.S7, "\(name(index)) is rewound from \(source.name), which has written no checkpoint, and has said so")
    }

    /// The first start after a rewind ends with a signal.
    mutating func killsRewound(_ index: Int) -> Bool {
        guard nodes[index].records.isRewound else { return false }
        nodes[index].records.isRewound = false
        guard setup.tempers.killsRewound else { return false }
        coverage.count(.rewoundKilled)
        return true
    }

    // MARK: Copies

    /// Removal comes first, and takes a while.
    mutating func beginEmptying(_ index: Int) {
        let number = nodes[index].operations
        queue.add(.trouble(index, .emptied(number)), at: now + .milliseconds(200 + number % 4 * 200))
    }

    mutating func endEmptying(_ number: Int, _ index: Int) {
        guard nodes[index].operation?.number == number, !nodes[index].postgreSQL.isInitialized else { return }
        nodes[index].postgreSQL.log = WriteAheadLog()
        nodes[index].records.forgetRewinds()
    }

    // MARK: Bootstraps

    mutating func beginBootstrap(_ index: Int) {
        nodes[index].postgreSQL.unfinished = .bootstrap
        nodes[index].postgreSQL.isHalfMade = false
        planCut(isAtEnd: false, index)
        finish(after: 1000...3000, index)
    }

    mutating func planCut(isAtEnd: Bool, _ index: Int) {
        // Only a guardian makes that safe.
        guard setup.guardian, let cut = setup.tempers.bootstrapCut, cut.isAtEnd == isAtEnd, chapter == .making,
            coverage.reached[.bootstrapCutOff] == nil
        else { return }
        coverage.count(.bootstrapCutOff)
        queue.add(.trouble(index, .bootstrapCut), at: now + cut.after)
    }

    /// The daemon dies in the midst of it, or a moment later.
    mutating func cutBootstrap(_ index: Int) {
        guard let cut = setup.tempers.bootstrapCut, nodes[index].machine != nil else { return }
        note("\(name(index)): its daemon is killed while it makes a cluster")
        nodes[index].records.isCutOff = nodes[index].postgreSQL.unfinished == .bootstrap
        nodes[index].heldDown += 1
        endDaemon(index)
        queue.add(.trouble(index, .daemonReturns), at: now + cut.lasts)
    }
}
