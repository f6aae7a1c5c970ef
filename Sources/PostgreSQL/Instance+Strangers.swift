import ClusterModel
import Ports
import Posix
import Processes

/// A PostgreSQL of another directory may answer where ours is to listen: no word of it counts as one of ours.
extension Instance {
    /// A connection to `target`, which is on this machine. Whoever answers there must be a child of our postmaster: the
    /// kernel tells that, for every user and without another question to the server. Throws `.query` with an empty
    /// SQLSTATE where it is not: ours has not answered.
    func connect(to target: ConnectionTarget, deadline: BootInstant) throws(PostgreSQLError) -> PostgreSQLConnection {
        let connection = try PostgreSQLConnection.connect(to: target, deadline: deadline)
        guard let parent = ProcessTable.stat(connection.serverProcess)?.parent, parent == postmaster()?.pid else {
            throw .query(state: "", message: describe(answering: connection.serverProcess, at: target))
        }
        return connection
    }

    private func describe(answering process: Int32, at target: ConnectionTarget) -> String {
        let port = target.parameters["port"] ?? "?"
        // A server's process works in its data directory. That of another user is not shown to us.
        switch ProcessTable.workingDirectory(process) {
        case realPath(configuration.dataDirectory)?: return "the postmaster of the connection is gone"
        case let directory?: return "port \(port) \(Self.isHeld) of \(directory), not of ours"
        case nil: return "port \(port) \(Self.isHeld) that is not ours"
        }
    }

    fileprivate static let isHeld = "is held by a PostgreSQL"

    /// Somebody has refused us while our server does not say yet that it accepts connections.
    func refusedByStranger(_ refusal: PostgreSQLError) -> PostgreSQLError {
        let text = "port \(configuration.port) \(Self.isHeld) that is not ours and refuses us (\(refusal))"
        return .query(state: "", message: text)
    }
}

extension PostgreSQLError {
    /// Another server than ours has answered.
    var isOfStranger: Bool {
        guard case .query("", let message) = self else { return false }
        return message.contains(Instance.isHeld)
    }
}
