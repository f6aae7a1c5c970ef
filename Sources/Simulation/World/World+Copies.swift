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

    mutating func clone(_ source: Upstream, _ index: Int) -> Result<OperationResult, PostgreSQLError> {
        guard let peer = reachable(source, from: index) else {
            return .failure(.failed("\(source.name) is not reachable"))
        }
        nodes[index].postgreSQL.copy(server(peer))
        nodes[index].postgreSQL.grewAt = now
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
        nodes[index].postgreSQL.grewAt = now
        coverage.count(.restoredAlone)
        return .success(.done)
    }

    mutating func rewind(_ source: Upstream, _ index: Int) -> Result<OperationResult, PostgreSQLError> {
        guard let peer = reachable(source, from: index), server(peer).acceptsWrites else {
            return .failure(.failed("\(source.name) is not reachable"))
        }
        checkRemoval(index, source, .rewind(from: source))
        nodes[index].postgreSQL.copy(server(peer))
        nodes[index].postgreSQL.grewAt = now
        if peer == Self.elsewhere { noteMovedSite() }
        coverage.count(.rewind)
        return .success(.done)
    }
}
