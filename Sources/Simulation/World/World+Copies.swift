import ClusterModel
import HighAvailability
import Node
import Ports

/// What comes of stops, copies and rewinds.
extension World {
    func shutdownPositions(_ index: Int) -> ShutdownPositions? {
        let server = nodes[index].postgreSQL
        guard server.process == .down, server.control == .shutDown, server.isInitialized else { return nil }
        let checkpoint = SimulatedPostgreSQL.position(server.log.count - 1)
        return ShutdownPositions(checkpoint: checkpoint, required: checkpoint, timeline: server.log.timeline)
    }

    /// A copy begins: what stands there goes now, or stays until the copy is complete.
    mutating func beginClone(
        from source: Upstream, _ replaced: PostgreSQLOperation.Replaced, _ operation: PostgreSQLOperation, _ index: Int
    ) {
        checkRemoval(index, source, operation)
        checkKept(index, source)
        // Nothing is removed before the source has answered.
        guard reachable(source, from: index) != nil else {
            nodes[index].operation?.failed = true
            return finish(after: 1...5000, index)
        }
        let server = nodes[index].postgreSQL
        if server.process != .down { nodes[index].postgreSQL.crash() }
        // What stood there is removed first, where there is no room for both.
        if !staysUntilCopied(replaced, index) {
            nodes[index].postgreSQL.isInitialized = false
            nodes[index].postgreSQL.isHalfMade = true
            nodes[index].postgreSQL.unfinished = nil
        }
        // The method fails, and what it has left by halves is removed.
        if nodes[index].failsCopies > 0 {
            coverage.count(.copyFailed)
            nodes[index].operation?.failed = true
            // Or is not, where the method dies of it.
            if nodes[index].operations.isMultiple(of: 2) { nodes[index].postgreSQL.isHalfMade = false }
        }
        finish(after: 1000...8000, index)
        if !staysUntilCopied(replaced, index) { beginEmptying(index) }
    }

    mutating func clone(_ source: Upstream, _ index: Int) -> Result<OperationResult, PostgreSQLError> {
        guard let peer = reachable(source, from: index) else {
            return .failure(.failed("\(source.name) is not reachable"))
        }
        nodes[index].postgreSQL.copy(self[server: peer])
        restoreBackup(index, lackingAtLeast: 0)
        nodes[index].postgreSQL.grewAt = now
        nodes[index].records.forgetRewinds()
        coverage.count(.clone)
        return .success(.done)
    }

    /// A backup that somebody has: what of the present branch was safe at some time.
    mutating func restore(_ index: Int) -> Result<OperationResult, PostgreSQLError> {
        let kept = nodes.indices.filter { nodes[$0].postgreSQL.log.branch == presentBranch }.max {
            nodes[$0].postgreSQL.log.count < nodes[$1].postgreSQL.log.count
        }
        guard let kept else { return .failure(.failed("there is no backup")) }
        nodes[index].postgreSQL.copy(nodes[kept].postgreSQL)
        nodes[index].postgreSQL.isUnproven = true
        restoreBackup(index, lackingAtLeast: nodes[index].records.restoresAlone ? 20 : 0)
        nodes[index].postgreSQL.grewAt = now
        coverage.count(.restoredAlone)
        return .success(.done)
    }

    /// What stands there now is from some time before: its command knows nothing of what was acknowledged since.
    private mutating func restoreBackup(_ index: Int, lackingAtLeast least: Int) {
        guard setup.tempers.restoresBackups || least > 0, chapter != .making else { return }
        let log = nodes[index].postgreSQL.log
        // What was there when its timeline began is the least.
        let begin = log.switchPoints.last?.end ?? 0
        let age = generator.number(in: least...least + 40)
        nodes[index].postgreSQL.log = log.prefix(max(begin + 2, log.count - age))
        nodes[index].postgreSQL.isUnproven = true
        if nodes[index].published?.snapshot.view?.sync.includes(name(index)) == true { coverage.count(.voterRestored) }
    }
}
